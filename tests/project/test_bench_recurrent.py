"""`bench.recurrent`: providers that are right, and a page of nothing but what was measured."""

import numpy as np
import pytest

pytest.importorskip("bench", reason="the tests run away from the source tree")

from bench.recurrent import cases, page, providers, tables, worker
from bench.recurrent.cases import Case


def case_of(cell, **options):
    return Case(cell, 3, 4, 2, 5, **options)


@pytest.mark.parametrize("gradient", [False, True])
@pytest.mark.parametrize("cell", ["lstm", "gru"])
@pytest.mark.parametrize("name", [cases.OURS, cases.KERNELS, cases.KERAS, cases.BLOCK])
def test_a_provider_is_right(name, cell, gradient):
    case = case_of(cell, gradient=gradient)
    try:
        _, repeats, prepared = worker.prepare(name, case)
    except providers.Unsupported:
        assert (name, cell) == (cases.BLOCK, "gru")
    else:
        assert repeats >= 1
        assert 0 < prepared.error < 1e-5
        assert prepared.first_call_seconds > 0


def test_a_wrong_result_is_refused(monkeypatch):
    right = providers.PROVIDERS[cases.KERNELS]

    def wrong(case, arrays):
        return right(case, arrays._replace(bias=arrays.bias + 0.01))

    monkeypatch.setitem(providers.PROVIDERS, cases.KERNELS, wrong)
    with pytest.raises(worker.worker.WrongResultError):
        worker.prepare(cases.KERNELS, case_of("lstm"))


def test_a_mask_leaves_steps_out():
    case = case_of("lstm", masked=0.5)
    arrays = case.arrays()
    assert 0 < np.count_nonzero(arrays.mask) < arrays.mask.size
    worker.prepare(cases.OURS, case)


def result_of(case, **seconds):
    names = {"ours": cases.OURS, "keras": cases.KERAS, "torch": cases.TORCH}
    columns = [names[name] for name in seconds] + ["A/A"]
    row = [*seconds.values(), seconds["ours"]]
    problems = {"JAX scan": "does not have it", "BlockLSTM": "ValueError: no"}
    return {
        "case": vars(case),
        "product_size": 256,
        "problems": problems,
        "columns": columns,
        "errors": {cases.OURS: 2.0**-22, cases.KERAS: 3 * 2.0**-23},
        "seconds": [row] * 3,
    }


def test_the_best_of_all_and_the_bars_that_are_missed():
    bar = cases.BARS[0]
    found = result_of(bar.case, ours=1.0, keras=bar.keras - 1, torch=bar.best)
    assert tables.best(found) == bar.best
    result = {"cases": [found]}
    (missed,) = page.missed(result)
    assert missed == f"{bar.case.name}: {bar.keras - 1:.2f} of {bar.keras:g} to Keras"
    assert page.problems(result) == {"BlockLSTM (ValueError: no)"}
    header, row = tables.table(result)
    assert len(header) == len(row)
    header, row = tables.errors(result)
    assert row[:3] == [bar.case.name, "2.0", "3.0"]
    assert len(header) == len(row)


def test_the_page_is_of_the_committed_run():
    section = page.section()
    assert "LSTM 32, 48, 11, 32" in section
    assert "{" not in section
