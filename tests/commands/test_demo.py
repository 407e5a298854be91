"""Tests of ``masklstm demo``."""

import argparse
import contextlib
import difflib
import gzip
import json
import math
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from masklstm.commands.demo import command
from masklstm.commands.demo.evaluation import Errors, compare, persistence
from masklstm.commands.demo.examples import (
    Scale,
    Split,
    carry_forward,
    forecast_windows,
    prepare,
    split_rows,
    training_windows,
)
from masklstm.commands.demo.gaps import GapSummary, Run, find_gaps, summarise
from masklstm.commands.demo.options import Settings
from masklstm.commands.table import CommandError, Table, read_table

# Raised inside of Keras 3 by NumPy 2 when a model is saved; not shown to users.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

NAN = float("nan")
SHIPPED = Path(command.__file__).with_name("beijing_pm25.csv.gz")
PNG_MAGIC = b"\x89PNG\r\n\x1a\n"


def test_the_earlier_path_of_the_data_still_leads_there():
    from masklstm.demo.options import SHIPPED_DATA
    from masklstm.demo.table import read_table as earlier

    assert (SHIPPED_DATA, earlier) == (SHIPPED, read_table)


def run(*options: str) -> int:
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    return command.run(parser.parse_args(options))


def table(**columns: object) -> Table:
    return Table({name: np.array(values, float) for name, values in columns.items()}, {})


# The shipped data


@pytest.fixture(scope="module")
def shipped() -> Table:
    return read_table(SHIPPED)


def test_the_shipped_data_has_the_gaps_that_are_told_of_it(shipped: Table) -> None:
    assert summarise(shipped.numbers["pm2.5"]) == GapSummary(
        labels=43_824, missing=2_067, gaps=214, longest=155
    )
    assert list(shipped.not_numeric) == ["cbwd"]
    complete = [column for column in shipped.numbers if column != "pm2.5"]
    assert not any(np.isnan(shipped.numbers[column]).any() for column in complete)


def test_the_shipped_data_names_its_author_and_licence() -> None:
    text = SHIPPED.with_name("DATA.md").read_text("utf-8")
    for fact in ("Song Chen", "10.24432/C5JS49", "CC BY 4.0", "43,824", "2,067", "214", "155"):
        assert fact in text


def test_every_shipped_row_is_an_hour_after_the_one_before(shipped: Table) -> None:
    parts = [shipped.numbers[name].astype(int) for name in ("year", "month", "day", "hour")]
    hours = [np.datetime64(f"{y}-{m:02}-{d:02}T{h:02}") for y, m, d, h in zip(*parts, strict=True)]
    assert hours[0] == np.datetime64("2010-01-01T00")
    assert set(np.diff(hours)) == {np.timedelta64(1, "h")}


def test_a_short_training_on_the_shipped_data_beats_persistence(shipped: Table) -> None:
    from masklstm.commands.demo.forecast import forecast, train_masked

    settings = Settings(horizon=24, window=48, epochs=3, units=32, seed=7)
    series = prepare(shipped, "pm2.5", settings.window, settings.horizon)
    rows = series.split.parts["test"]
    model = train_masked(series, settings, report=lambda _: None).model
    masked = compare(series.target[rows], forecast(model, series, rows, settings))
    rival = compare(series.target[rows], persistence(series, rows, settings.horizon))
    assert rival.rmse == pytest.approx(99.48, abs=0.01)
    assert rival.mae == pytest.approx(67.66, abs=0.01)
    assert masked.rmse < 0.9 * rival.rmse
    assert masked.mae < rival.mae


# Gaps and errors


def test_gaps_are_found_at_both_ends_and_inside() -> None:
    labels = np.array([NAN, 1, NAN, NAN, NAN, 2, 3, NAN])
    assert find_gaps(labels) == [Run(0, 1), Run(2, 5), Run(7, 8)]
    assert summarise(labels) == GapSummary(labels=8, missing=5, gaps=3, longest=3)
    assert summarise(labels).share == 0.625


def test_a_series_without_gaps_has_none() -> None:
    assert find_gaps(np.ones(3)) == []
    assert summarise(np.ones(3)) == GapSummary(labels=3, missing=0, gaps=0, longest=0)


def test_errors_are_those_of_the_observed_rows() -> None:
    observed = np.array([1.0, NAN, 5.0])
    assert compare(observed, np.array([4.0, 1e9, 1.0])) == Errors(rmse=math.sqrt(12.5), mae=3.5)


# Inputs and labels


def test_rows_are_split_in_time() -> None:
    assert split_rows(20, window=4, horizon=2) == Split(train=12, validation=16, rows=20)


@pytest.mark.parametrize(("window", "horizon"), [(1, 1), (4, 2), (3, 10), (48, 24)])
def test_the_number_of_rows_asked_for_is_the_least_that_works(window: int, horizon: int) -> None:
    with pytest.raises(CommandError, match="Too few rows") as error:
        split_rows(1, window, horizon)
    least = int(str(error.value).split("at least ")[1].split()[0])
    split = split_rows(least, window, horizon)
    assert all(rows.start < rows.stop for rows in split.parts.values())
    with pytest.raises(CommandError, match="Too few rows"):
        split_rows(least - 1, window, horizon)


def test_labels_are_exactly_the_horizon_after_their_inputs() -> None:
    # The target is its own row number, so that a window shows which rows it was cut from.
    series = prepare(table(row=range(20)), "row", window=4, horizon=2)
    assert series.split == Split(train=12, validation=16, rows=20)
    inputs, labels = training_windows(series, window=4, horizon=2)
    expected = [[0, 1, 2, 3], [2, 3, 4, 5], [4, 5, 6, 7], [6, 7, 8, 9]]
    np.testing.assert_allclose(series.scale.restore(inputs[:, :, 0]), expected, atol=1e-5)
    expected = [[2, 3, 4, 5], [4, 5, 6, 7], [6, 7, 8, 9], [8, 9, 10, 11]]
    np.testing.assert_allclose(series.scale.restore(labels[:, :, 0]), expected, atol=1e-5)


def test_the_first_window_is_kept_when_the_others_do_not_meet_it() -> None:
    series = prepare(table(row=range(21)), "row", window=5, horizon=2)
    inputs, _ = training_windows(series, window=5, horizon=2)
    firsts = series.scale.restore(inputs[:, 0, 0])
    np.testing.assert_allclose(firsts, [0, 1, 3, 5], atol=1e-5)


def test_a_forecast_reads_the_rows_known_when_it_is_made() -> None:
    series = prepare(table(row=range(20)), "row", window=4, horizon=2)
    windows = forecast_windows(series, series.split.parts["test"], window=4, horizon=2)
    expected = [[11, 12, 13, 14], [12, 13, 14, 15], [13, 14, 15, 16], [14, 15, 16, 17]]
    np.testing.assert_allclose(series.scale.restore(windows[:, :, 0]), expected, atol=1e-5)


def test_persistence_is_the_last_value_known() -> None:
    target = np.arange(20.0)
    target[[13, 14]] = NAN
    series = prepare(table(row=target), "row", window=4, horizon=2)
    np.testing.assert_array_equal(persistence(series, slice(14, 19), 2), [12, 12, 12, 15, 16])


def test_missing_labels_stay_missing_and_missing_inputs_are_filled_from_the_past() -> None:
    target = [5, 1, NAN, NAN, 3, 5, 1, 3, 5, 1, 3, NAN, 2, NAN, 7, 8, 9, 4, NAN, 6]
    series = prepare(table(y=target), "y", window=2, horizon=1)
    assert series.scale.mean == 3.0  # of the first 12 rows
    np.testing.assert_array_equal(np.isnan(series.labels), np.isnan(target))
    assert series.features == ["y", "y missing"]
    filled = [5, 1, 1, 1, 3, 5, 1, 3, 5, 1, 3, 3, 2, 2, 7, 8, 9, 4, 4, 6]
    np.testing.assert_allclose(series.scale.restore(series.inputs[:, 0]), filled, atol=1e-6)
    np.testing.assert_array_equal(series.inputs[:, 1], np.isnan(target))


def test_nothing_observed_before_becomes_what_it_is_told() -> None:
    values = np.array([NAN, NAN, 4.0, NAN])
    np.testing.assert_array_equal(carry_forward(values, before_first=-1.0), [-1, -1, 4, 4])


def test_no_input_and_no_scale_depends_on_what_comes_later() -> None:
    generator = np.random.default_rng(0)
    values = generator.normal(size=(2, 100))
    values[:, generator.integers(0, 100, 30)] = NAN
    before = prepare(table(y=values[0], x=values[1]), "y", window=4, horizon=2)
    for now in (60, 75, 99):  # at the end of the training part and later
        future = values.copy()
        future[:, now:] = 1e6 * generator.normal(size=(2, 100 - now))
        after = prepare(table(y=future[0], x=future[1]), "y", window=4, horizon=2)
        assert after.scales == before.scales
        assert after.features == before.features
        np.testing.assert_array_equal(after.inputs[:now], before.inputs[:now])
        np.testing.assert_array_equal(after.carried[:now], before.carried[:now])
        np.testing.assert_array_equal(after.labels[:now], before.labels[:now])
        for part in zip(training_windows(before, 4, 2), training_windows(after, 4, 2), strict=True):
            np.testing.assert_array_equal(*part)


def test_an_earlier_input_does_not_depend_on_a_later_one_within_the_training_part() -> None:
    series = prepare(table(y=[1, NAN, 9, 2, 5, 3, 4, 1, 2, 5]), "y", window=1, horizon=1)
    assert series.scale.restore(series.inputs[1, 0]) == pytest.approx(1.0)


def test_columns_that_say_nothing_new_are_left_out() -> None:
    rows = np.arange(20.0)
    series = prepare(
        Table(
            {
                "constant": np.full(20, 0.1),
                "y": np.sin(rows),
                "counter": rows,
                "down": -rows,
                "empty": np.full(20, NAN),
                "late": np.where(rows < 12, 0.1, -rows % 5),
                "x": np.cos(rows),
            },
            {"wind": "'NW' in line 2"},
        ),
        "y",
        window=2,
        horizon=1,
    )
    assert series.features == ["y", "x"]
    assert sorted(series.left_out) == ["constant", "counter", "down", "empty", "late", "wind"]


def test_an_indicator_needs_a_gap_to_learn_from() -> None:
    x = np.cos(np.arange(20.0))
    x[15] = NAN  # after the training part
    series = prepare(table(y=np.sin(np.arange(20.0)), x=x), "y", window=2, horizon=1)
    assert series.features == ["y", "x"]
    assert np.isfinite(series.inputs).all()


@pytest.mark.parametrize("value", [0.0, 0.1, -7.0, 1e30])
def test_a_constant_column_is_not_divided_by_zero(value: float) -> None:
    scale = Scale.of(np.full(7, value))
    np.testing.assert_allclose(scale.standardise(np.full(3, value)), 0, atol=1e-9 * abs(value))


# Reading a file


def test_missing_cells_quotes_spaces_and_byte_order_mark_are_read(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text('\ufeffa, b ,"c,d"\n1,NA,-1e3\n, 2.5 ,nan\nNaN,null,7\n\n', "utf-8")
    columns = read_table(file).numbers
    np.testing.assert_array_equal(columns["a"], [1, NAN, NAN])
    np.testing.assert_array_equal(columns["b"], [NAN, 2.5, NAN])
    np.testing.assert_array_equal(columns["c,d"], [-1000, NAN, 7])


def test_a_gzipped_file_is_the_same_file(tmp_path: Path) -> None:
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(b"a\n1\n2\n"))
    np.testing.assert_array_equal(read_table(tmp_path / "a.csv.gz").numbers["a"], [1, 2])


def test_an_empty_line_of_a_one_column_file_is_a_missing_cell(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a\n1\n\n3\n")
    np.testing.assert_array_equal(read_table(tmp_path / "a.csv").numbers["a"], [1, NAN, 3])


# What the user can put right


def rows_of(cell: str, count: int = 200) -> str:
    return "".join(f"{math.sin(row):.3f},{cell}\n" for row in range(count))


GOOD = "flow,rain\n" + rows_of("1.5")
FILES = {
    "good.csv": GOOD,
    "short.csv": "flow,rain\n" + rows_of("1.5", 100),
    "words.csv": "flow,rain\n" + rows_of("dry"),
    "late_word.csv": "flow,rain\n" + rows_of("1", 150) + rows_of("2014_01", 50),
    "infinite.csv": "flow,rain\n" + rows_of("-inf"),
    "huge.csv": "flow,rain\n" + rows_of("1e39"),
    "ragged.csv": GOOD + "1,2,3\n",
    "quote.csv": GOOD + '1,"2\n',
    "empty.csv": "",
    "twice.csv": "flow,flow\n1,2\n",
    "header.csv": "flow,rain\n",
    "no_train.csv": "flow,rain\n" + rows_of("NA", 120) + rows_of("1", 80),
    "no_validation.csv": "flow,rain\n" + rows_of("1", 120) + rows_of("", 40) + rows_of("1", 40),
    "no_test.csv": "flow,rain\n" + rows_of("1", 160) + rows_of("nan", 40),
    "escape.csv": "re\x1b[31md\nx\n",
    "picture.csv": b"\x89PNG\r\n\x1a\n\x00\xff",
    "damaged.csv.gz": gzip.compress(GOOD.encode())[:-20],
    "not_gzip.csv.gz": b"\x1f\x8bno",
}

COMPLAINTS = {
    "good.csv --target rian": "Did you mean 'rain'? Expected one of: flow, rain. Received: ",
    "good.csv --target Rain": "Did you mean 'rain'? Expected one of: flow, rain. Received: ",
    "good.csv --target zzzz": "column. Expected one of: flow, rain. Received: --target zzzz",
    "good.csv": "Expected --target COLUMN with --csv. Received: --csv",
    "absent.csv --target flow": "Expected a CSV file. Received: absent.csv (No such file",
    ". --target flow": "Expected a CSV file. Received: . (Is a directory",
    "short.csv --target flow": "Expected at least 120 for --window 48 and --horizon 24, as 60 % of "
    "them are for training. Received: 100",
    "header.csv --target flow": "Expected at least 120",
    "words.csv --target rain": "'rain' is not numeric. Expected finite numbers within float32's "
    "range, or missing cells. Received: 'dry' in line 2",
    "late_word.csv --target rain": "Received: '2014_01' in line 152",
    "infinite.csv --target rain": "Received: -inf in line 2",
    "huge.csv --target rain": "Received: 1e+39 in line 2",
    "ragged.csv --target flow": "Expected 2 cells in every line, as in its header, separated by "
    "',' (another one: --sep=). Received: 3 in line 202",
    "quote.csv --target flow": "quote.csv is no table",
    "empty.csv --target flow": "Expected a header line. Received: none",
    "twice.csv --target flow": "Received more than once in line 1: 'flow'",
    "picture.csv --target flow": "is no text in utf-8. Expected its encoding as --encoding=",
    "damaged.csv.gz --target flow": "damaged.csv.gz is a damaged compressed file",
    "not_gzip.csv.gz --target flow": "not_gzip.csv.gz is a damaged compressed file",
    "no_train.csv --target rain": "none in the training part, rows 25 to 120",
    "no_validation.csv --target rain": "none in the validation part, rows 121 to 160",
    "no_test.csv --target rain": "none in the test part, rows 161 to 200",
    "good.csv --target flow --horizon 0": "option --horizon. Expected a whole number from 1 to",
    "good.csv --target flow --window=-3": "option --window. Expected a whole number from 1 to",
    "good.csv --target flow --epochs 1.5": "option --epochs. Expected a whole number from 1 to",
    "good.csv --target flow --units many": "option --units. Expected a whole number from 1 to "
    "1024. Received: many",
    "good.csv --target flow --seed 4294967296": "option --seed. Expected a whole number from 0 to "
    "4294967295. Received: 4294967296",
    "good.csv --target flow --seeds 22": "option --seeds. Expected a whole number from 1 to 21.",
    "good.csv --target flow --remove 1": "option --remove. Expected a share from 0 to below 1.",
    "good.csv --target flow --remove many": "Received: many",
    "good.csv --target flow --out empty.csv": "option --out. Expected a folder that can be written",
    "good.csv --target \x1b[31mred": r"Received: --target \x1b[31mred",
    "escape.csv --target re\x1b[31md": r"'re\x1b[31md' is not numeric",
}


@pytest.mark.parametrize("options", COMPLAINTS)
def test_a_mistake_is_told_in_one_line(
    options: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    file = options.split()[0]
    for name in {file, "empty.csv"} & FILES.keys():
        content = FILES[name]
        Path(name).write_bytes(content if isinstance(content, bytes) else content.encode())
    assert run("--csv", *options.split()) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("masklstm demo: error: ")
    assert printed.err.count("\n") == 1
    assert "\x1b" not in printed.err
    assert COMPLAINTS[options] in printed.err
    assert not Path("masklstm-demo").exists()


@pytest.mark.parametrize("name", ["forecast.png", "model.keras", "result.json"])
def test_a_folder_in_the_way_is_found_before_the_training(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("masklstm.commands.demo.forecast.train_masked", None)
    (tmp_path / name).mkdir()
    assert run("--out", str(tmp_path)) == 2
    printed = capsys.readouterr()
    assert f"{tmp_path / name} is a folder" in printed.err
    assert printed.err.count("\n") == 1
    assert printed.out == ""


def test_an_input_that_is_infinite_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(FILES["infinite.csv"])  # type: ignore[arg-type]
    table = read_table(tmp_path / "a.csv")
    assert list(table.numbers) == ["flow"]
    assert table.not_numeric == {"rain": "-inf in line 2"}


def test_of_many_names_a_few_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"column {index}" for index in range(20_000)]
    wide = Table(dict.fromkeys(names, np.ones(1)), {})
    monkeypatch.setattr("difflib.get_close_matches", _only_few(difflib.get_close_matches))
    with pytest.raises(CommandError, match=r"column 49 and 19,950 more\. Received: --target x"):
        wide.target("x")
    with pytest.raises(CommandError, match="Did you mean 'column 9'"):
        wide.target("Column 9")
    (tmp_path / "twice.csv").write_text(",".join(names + names) + "\n")
    with pytest.raises(CommandError) as error:
        read_table(tmp_path / "twice.csv")
    assert len(str(error.value)) < 2000


def _only_few(function: Callable[..., list[str]]) -> Callable[..., list[str]]:
    def wrapped(word: str, possibilities: Sequence[str], **options: object) -> list[str]:
        assert len(possibilities) <= 10_000
        return function(word, possibilities, **options)

    return wrapped


def test_an_unknown_column_of_the_shipped_data_is_refused(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run("--target", "PM25") == 2
    assert "Did you mean 'pm2.5'?" in capsys.readouterr().err


def test_without_matplotlib_it_ends_before_the_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    out = tmp_path / "out"
    assert run("--out", str(out)) == 2
    printed = capsys.readouterr()
    assert 'pip install "masklstm[demo]"' in printed.err
    assert printed.err.count("\n") == 1
    assert printed.out == ""
    assert not out.exists()


def test_help_does_not_wait_for_what_training_needs() -> None:
    late = {"masklstm.commands.demo.forecast", "masklstm.commands.demo.picture"}
    code = (
        "import argparse, sys; from masklstm.commands.demo import command; "
        "parser = argparse.ArgumentParser(); command.add_arguments(parser); parser.format_help(); "
        f"print(sorted({late!r} & sys.modules.keys()))"
    )
    shown = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert shown.stdout.strip() == "[]"


# From start to end


def write_series(file: Path, gaps: bool) -> None:
    generator = np.random.default_rng(3)
    rows = np.arange(300)
    flow = 1000 + 50 * np.sin(rows / 4) + generator.normal(size=300)
    cells = [f"{value:.3f}" for value in flow]
    if gaps:
        for start, length in ((0, 3), (40, 9), (200, 5), (260, 12)):
            cells[start : start + length] = ["NA"] * length
    lines = [
        f"2020-{row},{cell},{math.cos(row / 4):.4f},5"
        for row, cell in zip(rows, cells, strict=True)
    ]
    file.write_text("\n".join(["time,flow $x^{$,tide,constant", *lines, ""]))


TINY = ["--horizon", "3", "--window", "6", "--epochs", "2", "--units", "4", "--seeds", "2"]


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a run on a small file with gaps leaves behind."""
    folder = tmp_path_factory.mktemp("demo")
    write_series(folder / "river.csv", gaps=True)
    options = ["--csv", str(folder / "river.csv"), "--target", "flow $x^{$", *TINY]
    out = folder / "new" / "out"
    assert run(*options, "--out", str(out)) == 0
    return out


def test_the_picture_is_one(outcome: Path) -> None:
    picture = (outcome / "forecast.png").read_bytes()
    assert picture.startswith(PNG_MAGIC)
    assert len(picture) > 20_000


def test_the_saved_model_forecasts(outcome: Path) -> None:
    import keras

    import masklstm

    model = keras.saving.load_model(outcome / "model.keras")
    assert isinstance(model.loss, masklstm.losses.MeanSquaredError)
    forecasts = model.predict(np.zeros((2, 6, 3), np.float32), verbose=0)
    assert forecasts.shape == (2, 6, 1)
    assert np.isfinite(forecasts).all()


def test_the_result_holds_finite_numbers(outcome: Path) -> None:
    result = json.loads((outcome / "result.json").read_text("utf-8"))
    assert result["data"]["inputs"] == ["flow $x^{$", "tide", "flow $x^{$ missing"]
    assert sorted(result["data"]["left_out"]) == ["constant", "time"]
    labels = result["data"]["labels"]
    assert labels["all"] == {"labels": 300, "missing": 29, "gaps": 4, "longest": 12}
    assert labels["training"] == {"labels": 180, "missing": 12, "gaps": 2, "longest": 9}
    assert labels["test"] == {"labels": 60, "missing": 12, "gaps": 1, "longest": 12}
    assert result["settings"] == {
        **{"horizon": 3, "window": 6, "epochs": 2, "units": 4, "seed": 0},
        **{"seeds": 2, "remove": 0.0, "block": 168},
    }
    assert list(result["test_errors"]) == ["masked", "mean-filled", "persistence"]
    for name in ("masked", "mean-filled"):
        assert len(result["test_errors"][name]) == 2
        for errors in result["test_errors"][name]:
            assert 0 < errors["mae"] <= errors["rmse"] < 1000
    assert result["plain_keras"] == {"weights_that_are_nan": 1.0}
    assert 0 <= result["coverage_of_90_percent"] <= 1
    assert min(result["seconds_of_an_epoch"].values()) > 0
    for name in ("masked", "mean-filled"):
        rmse = result["validation_rmse"][name]
        assert len(rmse) == 2
        assert rmse[result["best_epoch"][name] - 1] == min(rmse)
    assert set(result["build"]) >= {"masklstm", "tensorflow", "backend"}


def test_it_says_what_it_does(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_series(tmp_path / "river.csv", gaps=True)
    assert run("--csv", "river.csv", "--target", "tide", *TINY, "--epochs", "1") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("masklstm ")
    assert "data      river.csv, 300 rows; target tide, 3 rows ahead" in lines
    assert "inputs    tide, flow $x^{$, flow $x^{$ missing" in lines
    assert "left out  time: not numeric" in lines
    assert "labels    0 of 300 missing (0.0%); gaps: 0, longest: 0 rows" in lines
    for name in ("masked", "mean-filled"):
        assert len([line for line in lines if f"  {name}" in line and "seed " in line]) == 2
    assert len([line for line in lines if line.startswith("plain Keras")]) == 1
    assert any(line.startswith("masked RMSE is ") for line in lines)
    assert any(line.startswith("an epoch takes ") for line in lines)
    for name in ("forecast.png", "model.keras", "result.json"):
        assert f"saved {Path('masklstm-demo', name)}" in lines
        assert Path("masklstm-demo", name).stat().st_size > 0


@pytest.mark.parametrize("full_at", ["picture.save", "report.save_result"])
def test_a_full_disk_leaves_no_part_of_a_file(
    full_at: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    full_disk: Callable[[], contextlib.AbstractContextManager[None]],
) -> None:
    """It is full when the picture is written, or after the picture and the model."""
    from masklstm.commands.demo import picture, report

    modules = {"picture": picture, "report": report}
    module, name = full_at.split(".")
    save = getattr(modules[module], name)

    with contextlib.ExitStack() as stack:

        def fill_first(path: Path, *arguments: object) -> None:
            stack.enter_context(full_disk())
            if module == "report":
                path.write_bytes(bytes(5000))
            save(path, *arguments)

        monkeypatch.setattr(modules[module], name, fill_first)
        write_series(tmp_path / "river.csv", gaps=True)
        options = ["--csv", str(tmp_path / "river.csv"), "--target", "tide", *TINY]
        out = tmp_path / "out"
        assert run(*options, "--epochs", "1", "--out", str(out)) == 2
    left = sorted(path.name for path in out.iterdir())
    assert left == ([] if module == "picture" else ["forecast.png", "model.keras"])
    printed = capsys.readouterr()
    failed = "forecast.png" if module == "picture" else "result.json"
    assert f"Cannot save {out / failed}" in printed.err
    assert printed.err.count("\n") == 1
    assert printed.out.count("saved ") == len(left)


def test_a_model_is_saved_as_a_whole_or_not_at_all(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    full_disk: Callable[[], contextlib.AbstractContextManager[None]],
) -> None:
    from masklstm.commands.demo import picture

    with contextlib.ExitStack() as stack:

        def save(path: Path, *_: object) -> None:
            path.write_bytes(b"")
            stack.enter_context(full_disk())

        monkeypatch.setattr(picture, "save", save)
        write_series(tmp_path / "river.csv", gaps=True)
        options = ["--csv", str(tmp_path / "river.csv"), "--target", "tide", *TINY]
        out = tmp_path / "out"
        assert run(*options, "--epochs", "1", "--out", str(out)) == 2
    assert [path.name for path in out.iterdir()] == ["forecast.png"]
    assert f"Cannot save {out / 'model.keras'}" in capsys.readouterr().err


def test_the_weights_of_the_best_epoch_are_kept(tmp_path: Path) -> None:
    from masklstm.commands.demo.forecast import KeepBestEpoch, build_model

    write_series(tmp_path / "river.csv", gaps=True)
    settings = Settings(horizon=3, window=6, epochs=3, units=4, seed=5)
    series = prepare(read_table(tmp_path / "river.csv"), "tide", 6, 3)
    model = build_model(series.inputs.shape[-1], settings)
    keep = KeepBestEpoch(series, settings, report=lambda _: None)
    keep.set_model(model)
    for epoch, bias in enumerate((7.0, 1.0, 4.0)):  # a standardised forecast is off by its bias
        keep.on_epoch_begin(epoch)
        model.set_weights([*model.get_weights()[:-1], np.array([bias])])
        keep.on_epoch_end(epoch, {"loss": -float(epoch)})
    keep.on_train_end()
    assert keep.best_epoch == 2
    assert keep.validation_rmse[1] == min(keep.validation_rmse)
    np.testing.assert_array_equal(model.get_weights()[-1], [1.0])


@pytest.mark.parametrize("gaps", [False, True])
def test_both_trainings_start_alike_and_differ_by_the_gaps_alone(
    gaps: bool, tmp_path: Path
) -> None:
    from masklstm.commands.demo import forecast, ways

    write_series(tmp_path / "river.csv", gaps)
    settings = Settings(horizon=3, window=6, epochs=2, units=4, seed=5)
    series = prepare(read_table(tmp_path / "river.csv"), "flow $x^{$", 6, 3)
    rows = series.split.parts["test"]
    reports: list[str] = []
    masked, filled = (
        forecast.forecast(train(series, settings, reports.append).model, series, rows, settings)
        for train in (forecast.train_masked, forecast.train_mean_filled)
    )
    assert len(reports) == 4
    assert np.isfinite(masked).all()
    difference = np.abs(masked - filled).max() / series.scale.spread
    assert difference > 1e-4 if gaps else difference < 1e-5
    loss, share = ways.plain_keras_fails(series, settings)
    assert math.isnan(loss) == gaps
    assert share == (1.0 if gaps else 0.0)


def test_labels_are_removed_from_the_training_part_alone(shipped: Table) -> None:
    from masklstm.commands.demo.ways import with_labels_removed

    settings = Settings(24, 48, 1, 4, 0, remove=0.5, block=168)
    series = prepare(shipped, "pm2.5", 48, 24)
    gappy = with_labels_removed(series, settings, 0)
    training = slice(24, series.split.train)
    observed = [np.count_nonzero(~np.isnan(each.labels[training])) for each in (series, gappy)]
    assert observed[1] == pytest.approx(observed[0] / 2, abs=1)
    for rows in (slice(0, 24), slice(series.split.train, None)):
        np.testing.assert_array_equal(series.labels[rows], gappy.labels[rows])
    assert gappy.inputs is series.inputs
    assert gappy.target is series.target
    other = with_labels_removed(series, settings, 1)
    assert np.any(np.isnan(gappy.labels) != np.isnan(other.labels))


class TestSeveralSeries:
    @pytest.fixture
    def file(self, tmp_path: Path) -> Path:
        file = tmp_path / "stations.csv"
        days = np.arange("2020-01-01", "2020-10-27", dtype="M8[D]")
        rows = [
            f"{station},{day},{math.sin(row / 9) + place:.3f}"
            for row, day in enumerate(days)
            for place, station in enumerate("AB")
            if row % 50 != 7
        ]
        file.write_text("\n".join(["station,time,flow", *rows, ""]))
        return file

    def test_one_is_chosen(self, file: Path, tmp_path: Path) -> None:
        options = ["--csv", str(file), "--target", "flow", *TINY, "--seeds", "1", "--epochs", "1"]
        out = tmp_path / "out"
        chosen = ["--group", "station", "--series", "B"]
        assert run(*options, *chosen, "--out", str(out)) == 0
        result = json.loads((out / "result.json").read_text("utf-8"))
        # A day without a row is a missing label.
        assert result["data"]["labels"]["all"]["labels"] == 300
        assert result["data"]["labels"]["all"]["missing"] == 6
        assert result["data"]["inputs"] == ["flow", "flow missing"]

    @pytest.mark.parametrize(
        ("options", "words"),
        [
            ([], "--group='station'"),
            (["--group", "station"], "by --series, as one of: A, B. Received: none"),
            (["--group", "station", "--series", "C"], "Received: C"),
            (["--series", "A"], "--group='station'"),
            (["--series", "A", "--duplicates", "first"], "Expected --group COLUMN with --series"),
        ],
    )
    def test_none_is_mixed_with_another(
        self, options: list[str], words: str, file: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert run("--csv", str(file), "--target", "flow", *options) == 2
        assert words in capsys.readouterr().err
