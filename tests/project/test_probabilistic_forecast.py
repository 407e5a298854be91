"""The example of probabilistic forecasts runs, and its page says what it printed."""

import re
from pathlib import Path

import numpy as np
import pytest

from masklstm import losses

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "probabilistic.md"

pytestmark = pytest.mark.skipif(not PAGE.exists(), reason="the tests run away from the source tree")


@pytest.fixture
def example(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "examples")
    import probabilistic_forecast

    return probabilistic_forecast


@pytest.mark.skipif("NegativeLogLikelihood" not in dir(losses), reason="there is no likelihood")
def test_a_short_training_and_its_picture(example, tmp_path):
    series = example.load()
    (outcome,) = example.run(series, [("gamma", 1)], epochs=2)
    assert np.isfinite(outcome.nll)
    assert 0.6 < outcome.test.coverage[-1] <= 1.0
    assert 20 < outcome.test.crps < 100
    example.draw(tmp_path / "fan.png", series, outcome)
    assert (tmp_path / "fan.png").stat().st_size > 10_000
    assert f"| {outcome.name} | {outcome.nll:.3f} |" in example.table([outcome])


def test_the_page_has_calibrated_forecasts(example):
    """Those that the validation part chose: their 90% intervals cover 85% to 95%."""
    rows = [line.split(" | ") for line in PAGE.read_text().splitlines() if " | ---:" not in line]
    rows = {row[0].strip("| "): row for row in rows if len(row) == 9}
    names = [f"{n} x {family}" if n > 1 else family for family, n in example.HEADS]
    assert set(names) <= set(rows)
    best = min(names, key=lambda name: float(rows[name][2]))
    covered = re.search(rf"part: {best}; its 90% intervals cover ([\d.]+)%", PAGE.read_text())
    assert covered, "the chosen head is another one"
    assert f"{covered[1]}%" == rows[best][7]
    assert 85 <= float(covered[1]) <= 95
