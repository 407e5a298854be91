"""Tests of examples/study.py and of docs/study.md, which it writes."""

import dataclasses
import itertools
import json
import math
import re
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "examples"))
pytest.importorskip("study", reason="the tests run away from the source tree")

import study
from masklstm.commands.demo.gaps import find_gaps
from masklstm.commands.demo.intervals import interval
from masklstm.commands.demo.removal import remove
from study_parts import conclusions, methods, plot, report, results, training
from study_parts.comparison import compare_with_masking
from study_parts.design import (
    DROPPED,
    FULL,
    IMPUTED,
    MASKED,
    METHODS,
    QUICK,
    Condition,
    Design,
    Training,
)

DOCS = Path(__file__).parents[2] / "docs"
NAN = float("nan")
TINY = Design(percents=(0, 50), seeds=2, window=8, units=2, steps=4, validate_every=2)
BLOCKS = Condition("in blocks", 50)
RANDOM = Condition("at random", 50)


# Removal

SHARES = [0.0, 0.1, 0.3, 0.5, 0.7, 1.0]
PART = slice(20, 900)


def remove_seeded(labels, share, block, seed=0):
    return remove(labels, PART, share, block, np.random.default_rng(seed))


@pytest.fixture
def labels(rng):
    """1,000 labels, a fifth of them missing from the start."""
    return np.where(rng.random(1000) < 0.2, NAN, np.arange(1000.0))


@pytest.mark.parametrize("block", [1, 7, 72, 2000])
@pytest.mark.parametrize("share", SHARES)
def test_exactly_the_share_of_the_observed_labels_is_removed(labels, share, block):
    before = labels.copy()
    left = remove_seeded(labels, share, block)
    np.testing.assert_array_equal(labels, before)
    observed, kept = ~np.isnan(labels), ~np.isnan(left)
    assert kept[PART].sum() == observed[PART].sum() - round(share * observed[PART].sum())
    np.testing.assert_array_equal(left[kept], labels[kept])
    kept[PART] = observed[PART]
    np.testing.assert_array_equal(kept, observed)  # nothing changes outside of the part


@pytest.mark.parametrize("block", [1, 7, 72])
def test_a_larger_share_removes_what_a_smaller_one_does(labels, block):
    missing = [np.isnan(remove_seeded(labels, share, block)) for share in SHARES]
    for smaller, larger in itertools.pairwise(missing):
        assert (larger >= smaller).all()


@pytest.mark.parametrize("seed", range(5))
def test_blocks_are_whole_but_for_the_first_rows_of_the_last_one(seed):
    block, rows = 7, np.arange(1000)
    missing = np.isnan(remove_seeded(rows.astype(float), 0.3, block, seed))[PART]

    def partly_removed(offset):
        of_block = np.split(missing, np.arange(offset, len(missing), block))
        return [part for part in of_block if part.any() and not part.all()]

    (partial,) = min((partly_removed(offset) for offset in range(block)), key=len) or [[False]]
    assert np.sort(partial)[::-1].tolist() == list(partial)
    assert {len(gap) for gap in find_gaps(np.where(missing, NAN, 0.0))} & {block, 2 * block}


def test_blocks_of_one_are_scattered_and_each_seed_removes_others():
    first, second = (remove_seeded(np.arange(1000.0), 0.5, 1, seed) for seed in (0, 1))
    assert len(find_gaps(first)) > 150  # 220 are to be expected, 1 if they were in one piece
    assert (np.isnan(first) != np.isnan(second)).sum() > 300  # 440 are


# What the methods make of it

GAPPED = np.array([NAN, 2.0, NAN, NAN, 8.0, 5.0, NAN])


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        ("masked", GAPPED),
        ("mean", [5, 2, 5, 5, 8, 5, 5]),
        ("last value", [5, 2, 2, 2, 8, 5, 5]),
        ("linear", [2, 2, 4, 6, 8, 5, 5]),
        ("dropped", GAPPED),
    ],
)
def test_labels_to_train_on(method, expected):
    np.testing.assert_allclose(methods.labels_to_train_on(method, GAPPED), expected)


def test_every_method_has_its_literal_above():
    parameters = test_labels_to_train_on.pytestmark[0].args[1]
    assert [method for method, _ in parameters] == list(METHODS)


def test_dropping_keeps_the_windows_without_a_gap_and_no_others(labels):
    starts = methods.windows_to_train_on(DROPPED, labels, 5)
    assert 0 < len(starts) < 996
    whole = [start for start in range(996) if not np.isnan(labels[start : start + 5]).any()]
    assert starts.tolist() == whole


@pytest.mark.parametrize("method", [method for method in METHODS if method != DROPPED])
def test_other_methods_keep_all_windows(method, labels):
    windows = methods.windows_to_train_on(
        method, methods.labels_to_train_on(method, labels), window=5
    )
    assert windows.tolist() == list(range(996))


# What is run


@pytest.mark.parametrize("design", [FULL, QUICK])
def test_every_condition_is_run_with_every_method_and_seed_once(design):
    jobs = list(design.trainings())
    patterns = 2
    conditions = 1 + patterns * (len(design.percents) - 1)
    assert len(jobs) == len(set(jobs)) == conditions * len(METHODS) * design.seeds


def test_the_full_study_is_the_one_that_was_planned():
    assert FULL.percents == (0, 10, 30, 50, 70)
    assert FULL.seeds >= 5


# One training


@pytest.mark.parametrize("condition", [RANDOM, BLOCKS], ids=str)
def test_labels_are_removed_from_training_and_validation_alone(condition):
    whole = training.load_series(TINY)
    left = training.remove_labels(whole, Training(condition, 0, MASKED), TINY)
    assert left.inputs is whole.inputs
    parts = whole.split.parts
    np.testing.assert_array_equal(left.target[parts["test"]], whole.target[parts["test"]])
    for rows in (training.label_rows(whole, TINY), parts["validation"]):
        observed = (~np.isnan(whole.target[rows])).sum()
        assert (~np.isnan(left.target[rows])).sum() == observed - round(observed / 2)


def test_all_methods_of_a_seed_lose_the_same_labels():
    whole = training.load_series(TINY)
    targets = [
        training.remove_labels(whole, Training(BLOCKS, 1, method), TINY).target
        for method in METHODS
    ]
    for target in targets[1:]:
        np.testing.assert_array_equal(target, targets[0])


def test_windows_come_in_whole_passes_and_in_the_order_of_the_seed():
    starts = np.array([2, 3, 5, 7])
    order = training.windows_in_order(starts, number=10, seed=3)
    assert [sorted(order[:4]), sorted(order[4:8])] == [[2, 3, 5, 7]] * 2
    assert len(order) == 10
    np.testing.assert_array_equal(order, training.windows_in_order(starts, 10, 3))
    first, second = (training.windows_in_order(np.arange(100), 100, seed) for seed in (0, 1))
    assert (first != second).any()


def figures(found):
    """What a training gave, but for its time and what does not apply to its method."""
    return {
        name: value
        for name, value in found.items()
        if value is not None and name not in ("seconds", "commit")
    }


def test_a_training_depends_on_its_seed_and_not_on_those_before_it():
    first = training.train(Training(BLOCKS, 0, MASKED), TINY)
    other = training.train(Training(BLOCKS, 1, MASKED), TINY)
    again = training.train(Training(BLOCKS, 0, MASKED), TINY)
    assert figures(again) == pytest.approx(figures(first), rel=1e-5)
    assert other["rmse"] != pytest.approx(first["rmse"], rel=1e-5)


def test_without_a_gap_masking_is_keras_own_loss():
    """So that whatever differs comes from the labels."""
    whole = training.load_series(TINY)
    rows = training.label_rows(whole, TINY)
    filled = methods.impute_linear(whole.target[rows])
    starts = np.arange(100)
    trained = [
        training.load_learner(masked, TINY).train(whole, filled, starts, seed=0)
        for masked in (True, False)
    ]
    assert trained[0]["validation_rmse"] == pytest.approx(trained[1]["validation_rmse"], rel=1e-5)


def test_nothing_to_train_on_is_a_result():
    found = training.train(
        Training(Condition("at random", 70), 0, DROPPED), dataclasses.replace(TINY, window=24)
    )
    assert found == {"windows": 0, "label_rmse": None, "rmse": None, "mae": None}


def test_imputed_labels_are_compared_with_what_was_removed():
    """Errors of 3 and 4 where labels were removed; the own gap of the data says nothing."""
    observed = np.array([1.0, 5.0, NAN, 6.0, 2.0])
    left = np.array([1.0, NAN, NAN, NAN, 2.0])
    imputed = np.array([1.0, 8.0, 99.0, 2.0, 2.0])
    found = training.imputation_error(observed, left, imputed)
    assert found == pytest.approx(math.sqrt(12.5))
    assert training.imputation_error(observed, left, labels=left) is None
    assert training.imputation_error(observed, observed, imputed) is None


# Intervals


def test_the_interval_of_a_few_numbers():
    """Mean 2, standard deviation 1, three values: 4.303 / sqrt(3) by hand."""
    found = interval([1.0, 2.0, 3.0])
    assert found.mean == 2.0
    assert found.half_width == pytest.approx(2.4843, abs=1e-4)
    assert not found.above_zero
    assert interval([9.0, 10.0, 11.0]).above_zero
    assert interval([-9.0, -10.0, -11.0]).below_zero


def test_one_number_has_no_interval():
    found = interval([7.0])
    assert found.mean == 7.0
    assert math.isnan(found.half_width)
    assert not found.above_zero
    assert not found.below_zero


@pytest.mark.parametrize("values", range(2, 22))
def test_the_interval_holds_95_percent(values):
    """Student's density over the interval, in units of the standard error."""
    degrees = values - 1
    sample = [0.0] * (values - 1) + [1.0]
    error = np.std(sample, ddof=1) / math.sqrt(values)
    limit = interval(sample).half_width / error
    t = np.linspace(-limit, limit, 200_001)
    density = (1 + t**2 / degrees) ** (-(degrees + 1) / 2)
    density *= math.gamma((degrees + 1) / 2) / math.gamma(degrees / 2)
    density /= math.sqrt(degrees * math.pi)
    assert np.mean(density) * 2 * limit == pytest.approx(0.95, abs=1e-4)


# Verdicts and the page


def made_up(effects, seeds=3):
    """Results in which a method's error is 80 plus its effect, give or take what depends on the
    seed; an effect of None leaves no window.
    """
    design = dataclasses.replace(TINY, seeds=seeds)
    found = {}
    for job in design.trainings():
        effect = effects.get((job.condition, job.method), 0.0)
        noise = 0.01 * ((7 * job.seed + 3 * METHODS.index(job.method)) % 5 - 2)
        error = None if effect is None else 80 + effect + noise
        found[job] = {
            "windows": 0 if effect is None else 1000,
            "label_rmse": 12.0 + job.condition.percent if job.method in IMPUTED else None,
            "rmse": error,
            "mae": None if error is None else error - 20,
            "best_step": 2,
            "seconds": 1.5 if job.method == MASKED else 3.0,
            "commit": "abc1234",
        }
    machine = dict.fromkeys(
        ("processor", "cores", "instruction_set", "tensorflow", "keras", "numpy", "python", "date"),
        "some",
    )
    persistence = {"rmse": 99.0, "mae": 67.0}
    run = {"design": dataclasses.asdict(design), "machine": machine, "persistence": persistence}
    return results.Results(json.loads(json.dumps(run)), found)


def rows_of(page, heading):
    """The cells of the first table after a heading, by the first cell of their row."""
    table = page.partition(heading)[2].split("\n\n|", maxsplit=1)[1].split("\n\n")[0]
    rows = [[cell.strip() for cell in row.split("|")[1:-1]] for row in f"|{table}".splitlines()]
    return {row[0]: dict(zip(rows[0], row, strict=True)) for row in rows[2:]}


@pytest.mark.parametrize(
    ("effects", "expected"),
    [
        ({}, "No difference can be seen."),
        ({(BLOCKS, "mean"): 3.0}, "Where there is a difference, yes."),
        ({(BLOCKS, "linear"): -3.0}, "No."),
        ({(BLOCKS, "mean"): 3.0, (RANDOM, "linear"): -3.0}, "It depends on"),
        ({(BLOCKS, DROPPED): 3.0}, "No difference can be seen."),  # dropping is no imputation
    ],
)
def test_the_answer_follows_from_the_numbers(effects, expected):
    assert conclusions.answer(made_up(effects)).startswith(f"**{expected}")


def test_comparisons_are_counted_by_pattern_and_error():
    effects = {(BLOCKS, "mean"): 3.0, (BLOCKS, "linear"): 3.0, (RANDOM, "linear"): -3.0}
    found = made_up(effects)
    for of_job in found.trainings.values():
        of_job["mae"] = None if of_job["mae"] is None else 1.0
    counted = rows_of(f"#\n\n{conclusions.counts(found)}", "#")
    columns = ("masking is better", "imputing is better", "even")
    by_row = {name: [int(row[column]) for column in columns] for name, row in counted.items()}
    assert by_row == {
        "labels removed at random, RMSE": [0, 1, 2],
        "labels removed at random, MAE": [0, 0, 3],
        "labels removed in blocks, RMSE": [2, 0, 1],
        "labels removed in blocks, MAE": [0, 0, 3],
        "nothing removed, RMSE": [0, 0, 3],
        "nothing removed, MAE": [0, 0, 3],
    }


def test_each_method_is_judged_by_its_own_numbers():
    lines = conclusions.by_method(
        made_up(
            {
                (BLOCKS, "mean"): 3.0,
                (RANDOM, "linear"): -2.0,
                (RANDOM, DROPPED): None,
                (Condition("", 0), "last value"): -0.2,
            }
        )
    ).splitlines()
    assert lines == [
        "- Mean, labels removed at random: even with 50%.",
        "- Last value, labels removed at random: even with 50%.",
        "- Linear interpolation, labels removed at random: better than masking with 50% removed, "
        "by 2.0",
        "  µg/m³.",
        "- Windows dropped, labels removed at random: no window is left.",
        "- Mean, labels removed in blocks: worse than masking with 50% removed, by 3.0 µg/m³.",
        "- Last value, labels removed in blocks: even with 50%.",
        "- Linear interpolation, labels removed in blocks: even with 50%.",
        "- Windows dropped, labels removed in blocks: even with 50%.",
        "- No label removed, the data's own gaps only: last value better by 0.2 µg/m³; even: mean, "
        "linear",
        "  interpolation, windows dropped.",
    ]


def test_differences_are_paired_by_seed():
    """Large differences between seeds do not hide a small one within each."""
    found = made_up({(BLOCKS, "mean"): 0.5})
    for job, of_job in found.trainings.items():
        of_job["rmse"] += 100 * job.seed
    by_name = {(one.condition, one.method): one for one in compare_with_masking(found)}
    assert by_name[BLOCKS, "mean"].worse
    assert by_name[BLOCKS, "mean"].difference.mean == pytest.approx(0.5, abs=0.05)
    assert not by_name[BLOCKS, "linear"].worse


def test_the_page_shows_what_the_results_hold():
    found = made_up({(BLOCKS, "mean"): 3.0, (RANDOM, DROPPED): None})
    page = report.page(found)
    rmse = rows_of(page, "## Test error")
    assert set(rmse["0%"]) == {"labels removed", *METHODS}
    assert list(rmse) == ["0%", "50% at random", "50% in blocks"]
    assert rmse["50% in blocks"]["mean"].startswith("83.0 ± ")
    assert rmse["50% at random"][DROPPED] == "no window left"
    differences = rows_of(page, "RMSE minus that of masking")
    assert differences["50% in blocks"]["mean"].startswith("**+3.0")
    assert not differences["50% in blocks"]["linear"].startswith("**")
    assert rows_of(page, "How far imputed labels are off")["50% at random"]["linear"] == "62"
    times = rows_of(page, "## Training time")
    assert times["linear"]["times as long as masking"] == "2.00 [2.00, 2.00]"
    assert "commit abc1234 for the seeds 0 to 2." in " ".join(page.split())


def test_the_page_says_which_seeds_were_added_later():
    found = made_up({})
    assert "could be seen" not in report.page(found)
    for job, of_job in found.trainings.items():
        if job.seed == 2:
            of_job["commit"] = "def5678"
    page = " ".join(report.page(found).split())
    assert "commit abc1234 for the seeds 0 to 1, commit def5678 for the seeds 2 to 2. The" in page
    assert "could be seen" in page


def test_where_some_seeds_have_no_window_the_page_says_how_many_have():
    found = made_up({})
    found.trainings[Training(BLOCKS, 0, DROPPED)]["rmse"] = None
    cell = rows_of(report.page(found), "## Test error")["50% in blocks"][DROPPED]
    assert cell.endswith("(2 of 3 seeds)")


def test_a_picture_is_drawn_even_where_dropping_is_off_the_scale(tmp_path):
    plot.save(made_up({(BLOCKS, DROPPED): 500.0, (RANDOM, DROPPED): None}), tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG\r\n\x1a\n")


# The file


def write(file, found, number):
    results.begin(file, found.run)
    for job, of_job in list(found.trainings.items())[:number]:
        results.append(file, job, of_job)


def test_what_is_written_is_read(tmp_path):
    found = made_up({(RANDOM, DROPPED): None})
    write(tmp_path / "a.jsonl", found, number=None)
    assert results.read(tmp_path / "a.jsonl") == found
    assert found.missing == []
    assert found.design == dataclasses.replace(TINY, seeds=3)


def test_a_line_that_was_cut_off_is_done_again(tmp_path):
    file = tmp_path / "a.jsonl"
    found = made_up({})
    write(file, found, number=5)
    file.write_text(file.read_text()[:-9])
    resumed = results.resume(file, found.design)
    assert resumed.missing == list(found.trainings)[4:]
    results.append(file, *list(found.trainings.items())[4])
    assert len(results.read(file).trainings) == 5


def test_more_seeds_can_be_added(tmp_path):
    file = tmp_path / "a.jsonl"
    found = made_up({}, seeds=2)
    write(file, found, number=None)
    resumed = results.resume(file, dataclasses.replace(TINY, seeds=3))
    assert resumed.trainings == found.trainings
    assert {training.seed for training in resumed.missing} == {2}
    assert results.read(file) == resumed


@pytest.mark.parametrize("other", [{"seeds": 2}, {"units": 3}])
def test_a_run_with_fewer_seeds_or_other_settings_is_not_gone_on_with(tmp_path, other):
    file = tmp_path / "a.jsonl"
    found = made_up({}, seeds=3)
    write(file, found, number=2)
    before = file.read_text()
    design = dataclasses.replace(found.design, **other)
    expected = f"Expected .*{re.escape(str(design))}.* Received: .*{re.escape(str(found.design))}"
    with pytest.raises(results.OtherSettingsError, match=expected):
        results.resume(file, design)
    assert file.read_text() == before


# The command


def test_help_names_the_options(capsys):
    with pytest.raises(SystemExit) as end:
        study.main(["--help"])
    assert end.value.code == 0
    assert "--quick" in capsys.readouterr().out


def test_no_process_is_too_few(capsys):
    with pytest.raises(SystemExit):
        study.main(["--processes", "0"])
    assert "--processes: expected at least 1. Received: 0" in capsys.readouterr().err


def test_there_is_no_page_without_all_of_the_results(tmp_path, capsys):
    options = ["--report", "--out", str(tmp_path)]
    with pytest.raises(SystemExit):
        study.main(options)
    assert "Received: no file" in capsys.readouterr().err
    found = made_up({})
    write(tmp_path / "study.jsonl", found, number=1)
    with pytest.raises(SystemExit):
        study.main(options)
    assert f"Received: {len(found.trainings) - 1} trainings to do" in capsys.readouterr().err
    assert not (tmp_path / "study.md").exists()


def test_results_of_other_settings_are_kept_unless_told_otherwise(tmp_path, capsys):
    write(tmp_path / "study.jsonl", made_up({}), number=1)
    before = (tmp_path / "study.jsonl").read_text()
    with pytest.raises(SystemExit):
        study.main(["--quick", "--out", str(tmp_path)])
    assert "--fresh begins anew" in capsys.readouterr().err
    assert (tmp_path / "study.jsonl").read_text() == before


def test_a_run_that_was_cut_off_goes_on_and_ends_with_a_page(tmp_path, capsys):
    file = tmp_path / "new" / "study.jsonl"
    before = made_up({}, seeds=2)
    jobs = list(before.trainings)
    write(file, before, number=len(jobs) - 2)
    with file.open("a") as lines:
        lines.write('{"condition": {"patt')
    study.run(TINY, file, processes=1)
    study.write_report(file)

    printed = capsys.readouterr().out
    assert f"{len(jobs) - 2} trainings are done, 2 are to do" in printed
    assert "2/2  50% in blocks, seed 1, dropped" in printed
    found = results.read(file)
    assert list(found.trainings) == jobs
    for job in jobs[:-2]:
        assert found.trainings[job] == before.trainings[job]
    for job in jobs[-2:]:  # by another process
        expected = figures(training.train(job, TINY))
        assert figures(found.trainings[job]) == pytest.approx(expected, rel=1e-4)
    assert file.with_suffix(".md").read_text() == report.page(found)
    assert file.with_suffix(".png").exists()


# What is committed


def test_the_page_is_what_its_results_give():
    found = results.read(DOCS / "study.jsonl")
    assert dataclasses.replace(found.design, keras_layer=False) == FULL
    assert found.missing == []
    assert (DOCS / "study.md").read_text() == report.page(found), (
        "run `python examples/study.py --out docs --report`"
    )
    assert (DOCS / "study.png").exists()


def test_the_results_come_from_a_committed_state():
    found = results.read(DOCS / "study.jsonl")
    commits = {of_job["commit"] for of_job in found.trainings.values()}
    assert not any(commit.endswith("dirty") or commit == "unknown" for commit in commits)


def test_the_forecasts_are_worth_something():
    """As `masklstm demo` finds them: an LSTM well below persistence."""
    found = results.read(DOCS / "study.jsonl")
    assert found.run["persistence"]["rmse"] == pytest.approx(99.48, abs=0.01)
    for condition in FULL.conditions:
        for of_seed in found.of(condition, MASKED).values():
            assert of_seed["rmse"] < 0.95 * found.run["persistence"]["rmse"]


def test_layers_are_compared_by_seed():
    from study_parts import layers

    jobs = layers.jobs()
    assert len(jobs) == 2 * FULL.seeds
    assert {design.keras_layer for _, design in jobs} == {False, True}
    errors = {True: {0: 80.0, 1: 82.0}, False: {1: 82.5, 0: 80.5}}
    *_, difference = layers.comparison(errors)
    assert difference == "difference, paired by seed: +0.500 ± 0.000 in 2 seeds"


def test_the_layer_is_that_of_the_design():
    for keras_layer in (False, True):
        design = dataclasses.replace(TINY, keras_layer=keras_layer)
        learner = training.load_learner(True, design)
        (module,) = {type(layer).__module__.split(".")[0] for layer in learner.model.layers[:1]}
        assert module == ("keras" if keras_layer else "masklstm")
