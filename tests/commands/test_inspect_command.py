"""The command `masklstm inspect`: which files it reads rightly, and what it says of others."""

import gzip

import numpy as np
import pytest
from data import traps

import _masklstm_command


@pytest.fixture(scope="module")
def traps_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("traps")
    traps.write_all(folder)
    return folder


def test_the_shipped_data(capsys, tmp_path):
    assert _masklstm_command.main(["inspect", "--out", str(tmp_path / "gaps.png")]) == 0
    printed = capsys.readouterr().out
    assert "2,067 (4.7%)" in printed
    assert "155 steps long" in printed
    assert (tmp_path / "gaps.png").exists()


def test_a_file(capsys, tmp_path):
    file = tmp_path / "river.csv.gz"
    file.write_bytes(gzip.compress(b"day,level\nmon,-999\ntue,2\nwed,NA\n"))
    assert _masklstm_command.main(["inspect", "--csv", str(file)]) == 0
    assert "missing  1 (33.3%)" in capsys.readouterr().out
    assert _masklstm_command.main(["inspect", "--csv", str(file), "--missing", "-999"]) == 0
    assert "missing  2 (66.7%)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--csv", "no-such-file.csv"], "no-such-file.csv"),
        (["--target", "pm25"], "Did you mean 'pm2.5'?"),
        (["--out", "no-such-folder/gaps.png"], "--out"),
        (["--out", "gaps.xyz"], "--out"),
        (["--out", "/tmp", "--csv", "no-such-file.csv"], "/tmp is a folder"),
        (["--target", "\x1b[31mred\x07\u202e"], r"Received: --target \x1b[31mred\x07\u202e"),
    ],
)
def test_errors(arguments, message, capsys):
    assert _masklstm_command.main(["inspect", *arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith("masklstm inspect: error:")
    assert error.count("\n") == 1
    assert message in error


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("holes.csv", [], ["missing  200 (20.0%)", "2020-01-17 16:00  2020-01-25 23:00"]),
        ("shuffled.csv", [], ["missing  0", "not in the order of 'time'"]),
        ("twice.csv", [], ["labels   1,000 steps", "--duplicates="]),
        ("irregular.csv", [], ["counted by rows", "--step='1min'"]),
        ("stations.csv", [], ["--group='station'", "3 features = 3,000", "A ", "B ", "C "]),
        ("stations.csv", ["--group", "station"], ["groups 'station': 3, as A, B, C"]),
        ("sentinel.csv", [], ["--missing=-999"]),
        ("sentinel.csv", ["--missing=-999"], ["missing  100 (10.0%)"]),
        ("two_sentinels.csv", ["--missing=-999", "--missing=9999"], ["missing  110 (11.0%)"]),
        ("german.csv", [], ["semicolon; decimal comma", "missing  0"]),
        ("tab.tsv", [], ["separated by tab", "missing  0"]),
        ("tab.tsv", ["--sep", "tab"], ["missing  0"]),
        ("utf16.csv", [], ["encoded in utf-16", "missing  0"]),
        ("comment.csv", [], ["2 lines before the header", "missing  0"]),
        ("infinite.csv", [], ["labels   1,000 steps", "missing  0"]),
        ("dot.csv", [], ["missing  112 (11.2%)"]),
        ("text.csv", ["--missing=<0.5"], ["missing  1 (0.1%)"]),
    ],
    ids=str,
)
def test_files_that_are_easily_misread(name, options, said, traps_folder, capsys):
    arguments = ["inspect", "--csv", str(traps_folder / name), "--target", "y", *options]
    assert _masklstm_command.main(arguments) == 0
    printed = "".join(capsys.readouterr())
    for words in said:
        assert words in printed


def test_which_of_doubled_rows(tmp_path, capsys):
    file = tmp_path / "twice.csv"
    file.write_text("time,y\n2020-01-01,\n2020-01-01,2\n2020-01-02,4\n2020-01-02,6\n")
    for which, missing in (("first", 1), ("last", 0), ("mean", 0)):
        arguments = ["inspect", "--csv", str(file), "--duplicates", which]
        assert _masklstm_command.main(arguments) == 0
        assert f"missing  {missing} " in capsys.readouterr().out
    with pytest.raises(SystemExit):
        _masklstm_command.main(["inspect", "--csv", str(file), "--duplicates", "sum"])


def test_why_rows_are_counted_instead_of_steps(traps_folder, capsys):
    arguments = ["inspect", "--csv", str(traps_folder / "plain.csv"), "--step", "soon"]
    assert _masklstm_command.main(arguments) == 0
    assert "not by steps of time: Invalid value for argument 'step'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("latin.csv", "--encoding='latin-1'"),
        ("ambiguous.csv", "--dayfirst=True or False"),
        ("short.csv", "--sep="),
        ("text.csv", "Received: '<0.5' in line 9"),
    ],
)
def test_files_that_are_refused(name, words, traps_folder, capsys):
    arguments = ["inspect", "--csv", str(traps_folder / name), "--target", "y"]
    assert _masklstm_command.main(arguments) == 2
    assert words in capsys.readouterr().err


def test_columns_that_hold_infinite_values_are_left_out(traps_folder, capsys):
    assert _masklstm_command.main(["inspect", "--csv", str(traps_folder / "infinite.csv")]) == 0
    printed = capsys.readouterr().out
    assert "left out, as not numeric: a (inf in line 7)" in printed
    assert "labels   1,000 steps\n" in printed


def test_it_says_what_was_written(capsys, tmp_path):
    file = tmp_path / "river.csv"
    file.write_text("day,le\x1b[31mvel\n1,-999\n2,2\n")
    assert (
        _masklstm_command.main(["inspect", "--csv", str(file), "--out", str(tmp_path / "gaps")])
        == 0
    )
    printed = capsys.readouterr().out
    assert f"saved {tmp_path / 'gaps.png'}" in printed
    assert r"river.csv: 2 rows of day, le\x1b[31mvel" in printed
    assert "\x1b" not in printed


def test_many_columns_are_not_all_listed(capsys, tmp_path):
    names = [f"column {index}" for index in range(3000)]
    file = tmp_path / "wide.csv"
    file.write_text(f"{','.join(names)}\n{','.join('1' * 3000)}\n")
    assert _masklstm_command.main(["inspect", "--csv", str(file)]) == 0
    assert "column 49 and 2,950 more\n" in capsys.readouterr().out
    assert _masklstm_command.main(["inspect", "--csv", str(file), "--target", "x"]) == 2
    assert "column 49 and 2,950 more. Received" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["\x1b[31m"], ["inspect", "--x\x1b[31m"]])
def test_what_was_typed_is_shown_without_escapes(arguments, capsys):
    with pytest.raises(SystemExit):
        _masklstm_command.main(arguments)
    error = capsys.readouterr().err
    assert r"\x1b[31m" in error
    assert "\x1b" not in error


def test_help(capsys):
    with pytest.raises(SystemExit) as exit_:
        _masklstm_command.main(["inspect", "--help"])
    assert exit_.value.code == 0
    assert "--csv" in capsys.readouterr().out


@pytest.mark.parametrize(("hours", "columns"), [(1, 1), (1000, 1), (1, 50)])
def test_times_as_the_group(capsys, tmp_path, hours, columns):
    """Nothing is built that is almost empty: here of 25 thousand million steps."""
    file = tmp_path / "river.csv"
    names = [f"flow{number}" for number in range(columns)]
    times = np.datetime64("2020-01-01T00") + hours * np.arange(8)
    lines = [",".join([str(time).replace("T", " ") + ":00", *["1"] * columns]) for time in times]
    file.write_text("\n".join([",".join(["time", *names]), *lines]))
    assert _masklstm_command.main(["inspect", "--csv", str(file), "--group", "time"]) in (0, 2)
    errors = capsys.readouterr().err
    assert "Traceback" not in errors
    assert "rows for more of the steps" in errors
    assert "--group" in errors


def test_one_time_far_from_all_others_in_a_wide_table(capsys, tmp_path):
    """Few enough steps for one column, two thousand million bytes for thirty."""
    file = tmp_path / "river.csv"
    times = [f"2020-01-01 00:0{minute}:00" for minute in range(8)] + ["2037-01-01 00:00:00"]
    header = ",".join(["time", *(f"flow{number}" for number in range(30))])
    file.write_text("\n".join([header, *(time + ",1" * 30 for time in times)]))
    assert _masklstm_command.main(["inspect", "--csv", str(file)]) == 0
    printed = capsys.readouterr()
    assert "look for a wrong time" in printed.err.lower()
    assert "9 steps" in printed.out  # counted by rows


@pytest.mark.parametrize("text", ["True", "false", "YES", "no"])
def test_the_day_may_come_first(text, traps_folder, capsys):
    file = str(traps_folder / "ambiguous.csv")
    arguments = ["inspect", "--csv", file, "--target", "y", "--dayfirst", text]
    assert _masklstm_command.main(arguments) == 0
    step = "1 day" if text in ("True", "YES") else "1 month"
    assert f"a step is {step}\n" in capsys.readouterr().out


def test_a_day_that_may_come_first(traps_folder, capsys):
    file = str(traps_folder / "ambiguous.csv")
    assert _masklstm_command.main(["inspect", "--csv", file, "--dayfirst", "maybe"]) == 2
    assert "--dayfirst. Expected True or False. Received: maybe" in capsys.readouterr().err


def test_a_likely_group_is_taken(traps_folder, capsys):
    arguments = ["inspect", "--csv", str(traps_folder / "stations.csv")]
    assert _masklstm_command.main(arguments) == 0
    assert "taken as the group: station" in capsys.readouterr().out
    assert _masklstm_command.main(["inspect", "--csv", str(traps_folder / "plain.csv")]) == 0
    assert "taken as the group" not in capsys.readouterr().out
