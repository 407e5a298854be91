"""docs/masked.md says what counts for each of Keras's losses and metrics; NumPy says so too.

Each value on the page is that of a formula in NumPy (keras_in_numpy.py) over what the page says
that counts, taken from the example's labels and predictions by NumPy alone.
"""

import importlib.util
import re
from pathlib import Path

import keras
import numpy as np
import pytest
from support import keras_in_numpy

DOCS = Path(__file__).parents[2] / "docs"
SCRIPT = DOCS / "scripts" / "masked.py"

if not SCRIPT.exists():
    pytest.skip("the tests run away from the source tree", allow_module_level=True)

spec = importlib.util.spec_from_file_location("masked_page", SCRIPT)
page = importlib.util.module_from_spec(spec)
spec.loader.exec_module(page)

TEXT = (DOCS / "masked.md").read_text()
LOSSES, METRICS = list(page.losses()), list(page.metrics())


def printed(title):
    section = TEXT.split(f"## {title}\n")[1].split("\n## ")[0]
    return re.findall(r"^\| `.*$", section, re.MULTILINE)


def case_id(case):
    return f"{case[0]}-{case[1]}" if case[1] else case[0]


def taken(name, counts, arguments):
    """What counts by the page's word, and how many there are."""
    y_true, y_pred = page.example(name)
    there = ~np.isnan(y_true)
    if counts == "class label":
        valid = there & (y_true != -1)
        return y_true[valid], y_pred[valid], valid.sum()
    if counts == "sequence":
        # As long as it has labels; not where one before its end is missing.
        valid = there[:, 0] & ~(there[:, 1:] & ~there[:, :-1]).any(axis=-1)
        labels = [row[row > 0].astype(int) for row in np.nan_to_num(y_true[valid])]
        return labels, y_pred[valid], valid.sum()
    if counts == "row":
        valid = there.all(axis=-1)
        return y_true[valid], y_pred[valid], valid.sum()
    if "class_id" in arguments:
        column = arguments["class_id"]
        y_true, y_pred, there = y_true[:, column], y_pred[:, column], there[:, column]
    return y_true[there], y_pred[there], there.sum()


@pytest.mark.parametrize("case", LOSSES, ids=case_id)
def test_losses(case):
    name, arguments, loss = case
    counts, counted, value = page.loss_row(name, loss)
    y_true, y_pred, number = taken(name, counts, arguments)
    expected = keras_in_numpy.LOSSES[name](y_true, y_pred)
    np.testing.assert_allclose(value, expected, rtol=1e-5)
    assert counted == number
    assert page.line(name, arguments, (counts, counted, value)) in printed("Losses"), "make docs"


@pytest.mark.parametrize("case", METRICS, ids=case_id)
def test_metrics(case):
    name, arguments, metric = case
    counts, counted, value = page.metric_row(name, metric)
    if counts in ("task", "pair"):
        expected, number = of_each(name, counts, arguments)
    else:
        y_true, y_pred, number = taken(name, counts, arguments)
        formulas = keras_in_numpy.TOP_K if "top_k" in arguments else keras_in_numpy.METRICS
        expected = formulas[name](y_true, y_pred.astype("float32"))
        if name in ("F1Score", "FBetaScore"):  # of one class against the others
            decisions = keras_in_numpy.highest(y_pred)
            expected = [
                formulas[name](y_true[:, c], decisions[:, c]) for c in range(y_true.shape[1])
            ]
    np.testing.assert_allclose(value, expected, rtol=1e-5, atol=1e-6)
    assert counted == number
    assert page.line(name, arguments, (counts, counted, value)) in printed("Metrics"), "make docs"


def of_each(name, counts, arguments):
    """Each task's score over its own labels, or each series' coefficient over its own pairs."""
    y_true, y_pred = page.example(name)
    if counts == "task":
        y_true, y_pred = y_true.T, y_pred.T
    if "threshold" in arguments:
        y_pred = (y_pred > arguments["threshold"]).astype(float)
    values, number = [], 0
    for labels, predictions in zip(y_true, y_pred, strict=True):
        there = ~np.isnan(labels)
        if counts == "pair" and there.sum() < 2:
            continue
        number += there.sum()
        values.append(keras_in_numpy.METRICS[name](labels[there], predictions[there]))
    one_each = name in ("F1Score", "FBetaScore") and "average" not in arguments
    return values if one_each else np.mean(values), number


def test_every_loss_and_metric_is_on_the_page():
    assert len(printed("Losses")) == len(LOSSES)
    assert len(printed("Metrics")) == len(METRICS)
    classes = {
        name
        for name, cls in vars(keras.losses).items()
        if isinstance(cls, type) and cls is not keras.losses.Loss
    }
    assert {name for name, _, _ in LOSSES} == classes
