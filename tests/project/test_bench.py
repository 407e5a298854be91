"""The benchmarks' own promises: wrong results are not timed, and figures come from the rounds."""

import io
import json
import multiprocessing
import re
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("bench", reason="the tests run away from the source tree")

from rich.console import Console
from support import fake_providers
from support.native import kernels

from bench import bars, measure, providers, report, tables, worker
from bench.case import Case
from bench.cases import FULL, LOSSES, QUICK, Entry, Experiment, shares_and_patterns

ROOT = Path(__file__).parents[2]
CASE = Case(2**10)


def run(*names, rounds=3):
    with measure.Workers(fake_providers.serve) as workers:
        experiment = Experiment("size: fake", tuple(Entry(name, CASE) for name in names))
        return measure.run(experiment, workers, rounds), workers.absent


def test_a_wrong_result_voids_its_row():
    expected = {
        "wrong count": "WrongResultError: expected the loss",
        "wrong gradient": "WrongResultError: the gradient",
        "wrong later": "WrongResultError: the loss was",
        "nan": "WrongResultError: expected the loss",
        "dies": "ended (exit code 3)",
    }
    result, absent = run("right", *expected, "as right")
    assert not absent
    last = len(expected) + 1
    assert result["columns"] == [0, last, "A/A"]
    assert np.shape(result["seconds"]) == (3, 3)
    errors = [entry["error"] for entry in result["entries"]]
    assert errors[0] is None
    assert errors[last] is None
    for error, text in zip(errors[1:last], expected.values(), strict=True):
        assert text in error

    console = Console(record=True, width=240, file=io.StringIO())
    tables.show({"experiments": [result], "absent": {}}, console)
    text = console.export_text()
    for wrong in expected:
        assert re.search(r"void: " + wrong, text)
    assert text.count(" void ") == len(expected)


def test_nothing_is_compared_with_a_wrong_first_one():
    result, _ = run("wrong count", "right")
    assert result["seconds"] == []
    assert measure.ratios(result) == {}


def test_what_is_not_installed_is_absent():
    result, absent = run("right", "absent")
    assert absent == {"absent": "no such library"}
    assert [entry["provider"] for entry in result["entries"]] == ["right"]


def test_every_provider_that_is_installed_is_right():
    entries = tuple(Entry(name, CASE) for name in providers.FILES)
    # Forks of a process that has imported TensorFlow, which takes seconds: nothing is timed here.
    multiprocessing.set_forkserver_preload(["tensorflow", "keras", "bench.worker"])
    with measure.Workers(method="forkserver") as workers:
        result = measure.run(Experiment("all", entries), workers, 1)
        absent = workers.absent
    assert not [entry["error"] for entry in result["entries"] if entry["error"]]
    optional = {"Numba", "JAX", "PyTorch", "torch.compile", "STREAM read", "STREAM triad"}
    assert absent.keys() <= optional


@pytest.mark.parametrize("case", shares_and_patterns(Case(2**20)), ids=str)
def test_cases_have_the_gaps_that_they_name(case):
    missing = np.isnan(case.arrays().y_true)
    if case.missing_share in (0.0, 1.0):
        assert missing.mean() == case.missing_share
    elif case.pattern == "columns":
        assert (missing == missing[:1, :1]).all()
    else:
        assert missing.mean() == pytest.approx(case.missing_share, abs=0.05)
    if case.pattern == "tail":
        assert (np.diff(missing.astype(int), axis=1) >= 0).all()


def test_the_lists_are_whole():
    descriptions = kernels.descriptions().items()
    assert tuple(name for name, loss in descriptions if not loss["channels"]) == LOSSES
    for experiments in (QUICK, FULL):
        names = [experiment.name for experiment in experiments]
        assert len(set(names)) == len(names)
        entries = [entry for experiment in experiments for entry in experiment.entries]
        assert {entry.provider for entry in entries} <= providers.FILES.keys()
    assert {entry.provider for e in FULL for entry in e.entries} == providers.FILES.keys()


def rounds_of(times, case=CASE, kind="size"):
    """A result in which each provider took the same time in every round."""
    names = list(times)
    facts = asdict(worker.Prepared())
    return {
        "name": f"{kind}: {case}",
        "entries": [{"provider": name, "case": asdict(case), **facts} for name in names],
        "columns": [*range(len(names)), "A/A"],
        "seconds": [[scale * t for t in [*times.values(), times[names[0]]]] for scale in (1, 2, 9)],
    }


def test_ratios_are_those_within_a_round():
    result = rounds_of({"masklstm": 1.0, "tf.where": 4.0})
    assert measure.ratios(result)[1] == measure.Ratio(4.0, 4.0, 4.0)
    assert measure.ratio(result, 0, 1, factor=8).median == 2.0
    same = measure.Ratio(1.02, 1, 1)
    assert not measure.differs(measure.Ratio(1.04, 1, 1), same)
    assert measure.differs(measure.Ratio(1.05, 1, 1), same)


def test_bars():
    case = Case(2**24)
    times = {"masklstm": 1.0, "tf.where": 4.9, "tf.where, XLA": 2.0, "STREAM triad": 0.5}
    result = {"experiments": [rounds_of(times, case)]}
    memory = {"extra_bytes": {"masklstm": {"forward": 0.5, "forward and gradient": None}}}
    found = {(bar.name, bar.where): bar for bar in bars.bars(result, memory)}
    graph = found["tf.where over masklstm, with gradient", "2^24"]
    assert graph.found.median == 4.9
    assert not graph.is_met
    assert found["tf.where, XLA over masklstm, with gradient", "2^24"].is_met
    triad = found["share of STREAM triad, with gradient", "2^24, one call of a function"]
    assert triad.found.median == pytest.approx(0.5 * 20 / 12)
    assert triad.is_met
    assert found["JAX over masklstm, with gradient", "2^24"].found is None
    extra = [bar for bar in found.values() if bar.name.startswith("extra bytes")]
    assert [(bar.limit, bar.is_met, bar.found is None) for bar in extra] == [
        (0.0, False, False),
        (4.0, False, True),
    ]


def test_the_page_is_that_of_the_committed_results():
    expected = report.page(*report.load())
    assert (ROOT / "docs" / "performance.md").read_text() == expected, "run python -m bench.report"
    expected = report.gpu_page.page(report.of_gpu())
    assert (ROOT / "docs" / "gpu.md").read_text() == expected, "run python -m bench.report"
    table = report.readme_table(report.load()[0])
    assert table in (ROOT / "README.md").read_text(), "run python -m bench.report"


def test_committed_results_say_where_they_come_from():
    for file in (ROOT / "bench" / "results").glob("*.json"):
        result = json.loads(file.read_text())
        machine = result["machine"]
        assert {"commit", "processor", "tensorflow", "load"} <= machine.keys(), file
        experiments = result.get("experiments", [])
        for commit in {machine["commit"], *(one["commit"] for one in experiments)}:
            assert "dirty" not in commit, file
