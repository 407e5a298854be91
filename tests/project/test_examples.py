"""The examples: the plain Keras answers fail, masklstm's train; the pages say what they did."""

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("sklearn")

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted(path.stem for path in (ROOT / "examples").glob("*.py"))
ELSEWHERE = ("probabilistic_forecast", "river_losses", "shared", "study")  # have tests of their own
EXAMPLES = [name for name in EXAMPLES if name not in ELSEWHERE]

pytestmark = pytest.mark.skipif(not EXAMPLES, reason="the tests run away from the source tree")


@pytest.fixture(scope="module", params=EXAMPLES)
def example(request):
    """A pair: the module, and what its `run` returned."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / "examples")
        patch.syspath_prepend(ROOT / "docs" / "scripts")
        module = importlib.import_module(request.param)
        yield module, module.run()
        for name in (*EXAMPLES, "shared", "classic"):
            sys.modules.pop(name, None)


def test_masklstm_trains_and_plain_keras_does_not(example):
    module, outcomes = example
    assert {outcome.data for outcome in outcomes} == {"small array", "Beijing"}
    assert {outcome.answer for outcome in outcomes} == set(module.ANSWERS)
    for outcome in outcomes:
        if outcome.answer == "masklstm":
            assert outcome.loss == "falls"
            assert outcome.losses[-1] < 0.5 * outcome.losses[0]
            assert outcome.weights == "finite"
        elif module.__name__ != "imputed_labels":
            assert np.isnan(outcome.losses).all()
            assert outcome.loss == outcome.weights == "nan"
    if module.__name__ == "imputed_labels":
        assert_that_imputing_is_wrong(module.compare(outcomes))


def assert_that_imputing_is_wrong(compared):
    right, zeros, spread, error = compared.values()
    assert right == {"plain Keras": 6, "plain Keras with weights": 0, "masklstm": 0}
    assert zeros["masklstm"] == pytest.approx(461 / 9)
    assert zeros["plain Keras with weights"] == pytest.approx(461 / 12)
    assert spread["plain Keras"] < 0.7 * spread["masklstm"]
    assert error["plain Keras"] > 1.3 * error["masklstm"]


def test_the_page_is_the_printed_one(example):
    module, outcomes = example
    name = module.__name__
    page = ROOT / "docs" / f"classic-{name.replace('_', '-')}.md"
    classic = importlib.import_module("classic")
    assert page.read_text() == classic.page(name, outcomes), "run `make docs`"


def test_the_command(example, capsys):
    module, outcomes = example
    compare = getattr(module, "compare", None)
    with pytest.raises(SystemExit) as exit_:
        module.main(module.__doc__, module.run, compare, ["--help"])
    assert exit_.value.code == 0
    assert module.__doc__.splitlines()[0] in capsys.readouterr().out
    module.main(module.__doc__, lambda: outcomes, compare, [])
    printed = capsys.readouterr().out
    assert printed.count("weights finite") == sum(o.weights == "finite" for o in outcomes)
    assert printed.count("loss nan to nan, weights nan") == sum(o.loss == "nan" for o in outcomes)
