"""The oracle against numbers computed by hand from the definitions."""

import math
from typing import NamedTuple

import numpy as np
import pytest
import tensorflow as tf
from conftest import labels_and_predictions, loss_and_gradients

from masklstm import ops, reference

NAN = float("nan")

Y_TRUE = np.array([[1.0, NAN], [0.0, 5.0], [NAN, NAN]])
Y_PRED = np.array([[2.0, 9.0], [2.0, 2.0], [7.0, NAN]])
WEIGHT = np.array([2.0, 0.5, NAN])  # by row; that of an invalid row does not count

LN2, LN4, EPSILON = math.log(2), math.log(4), 1e-7


class Points(NamedTuple):
    literals: list  # three: label, prediction, value, derivative
    extremes: list  # label, prediction; for test_extremes.py


POINTS = {
    "squared_error": Points(
        literals=[(1, 2, 1, 2), (0, 2, 4, 4), (5, 2, 9, -6)],
        extremes=[(0.0, 1e15), (-1e15, 0.0)],
    ),
    "absolute_error": Points(
        literals=[(1, 2, 1, 1), (0, 2, 2, 1), (5, 2, 3, -1)],
        extremes=[(0.0, 1e38), (-1e38, 1e38)],
    ),
    "huber": Points(
        literals=[(1, 2, 0.5, 1), (0, 2, 1.5, 1), (5, 2, 2.5, -1)],
        extremes=[(0.0, 1e30), (1e30, 0.0), (0.0, 1e-30)],
    ),
    "log_cosh": Points(
        literals=[
            (1, 2, 0.4337808304830271, 0.7615941559557649),
            (0, 2, 1.3250027473578645, 0.9640275800758169),
            (5, 2, 2.309328504577785, -0.9950547536867305),
        ],
        extremes=[(0.0, 1e4), (0.0, -1e4), (0.0, 1e30), (0.0, 1e-6), (1e4, 0.0)],
    ),
    "absolute_percentage_error": Points(
        literals=[(1, 2, 100, 100), (2, 1, 50, -50), (-4, -2, 50, 25)],
        extremes=[(0.0, 1e20), (1e-20, 1.0), (1e30, -1e30)],
    ),
    "squared_logarithmic_error": Points(
        literals=[
            (1, 3, LN2**2, LN2 / 2),
            (3, 1, LN2**2, -LN2),
            (7, 1, LN4**2, -LN4),
        ],
        extremes=[(0.0, 1e30), (1e30, 0.0), (-5.0, 3.0), (3.0, -5.0)],
    ),
    "poisson": Points(
        literals=[
            (0, 2, 2, 1),
            (4, 1, 1 - 4 * math.log1p(EPSILON), 1 - 4 / (1 + EPSILON)),
            (2, 1, 1 - 2 * math.log1p(EPSILON), 1 - 2 / (1 + EPSILON)),
        ],
        extremes=[(0.0, 1e30), (1e30, 2.0), (5.0, 0.0)],
    ),
    "pinball": Points(
        literals=[(1, 2, 0.5, 0.5), (0, 2, 1, 0.5), (5, 2, 1.5, -0.5)],
        extremes=[(0.0, 1e38), (1e38, 0.0)],
    ),
    "binary_crossentropy": Points(
        literals=[(1, 0.5, LN2, -2), (0, 0.5, LN2, 2), (1, 0.25, LN4, -4)],
        extremes=[(1.0, 0.0), (0.0, 0.0), (1.0, 1.0), (0.0, 1.0), (1.0, -3.0)],
    ),
    "binary_crossentropy_from_logits": Points(
        literals=[
            (1, 0, LN2, -0.5),
            (0, 0, LN2, 0.5),
            (1, math.log(3), math.log(4 / 3), -0.25),
        ],
        extremes=[(t, p) for t in (0.0, 1.0) for p in (1e4, -1e4, 1e30, 0.0)],
    ),
    "binary_focal_crossentropy": Points(
        literals=[
            (1, 0.5, 0.25 * LN2, -LN2 - 0.5),
            (0, 0.5, 0.25 * LN2, LN2 + 0.5),
            (1, 0.25, 0.5625 * LN4, -1.5 * LN4 - 2.25),
        ],
        extremes=[(1.0, 0.0), (0.0, 0.0), (1.0, 1.0), (0.0, 1.0)],
    ),
    "binary_focal_crossentropy_from_logits": Points(
        literals=[
            (1, 0, 0.25 * LN2, -0.25 * LN2 - 0.125),
            (0, 0, 0.25 * LN2, 0.25 * LN2 + 0.125),
            (1, math.log(3), math.log(4 / 3) / 16, -(1.5 * math.log(4 / 3) + 0.25) / 16),
        ],
        extremes=[(t, p) for t in (0.0, 1.0) for p in (1e4, -1e4, 1e30, 0.0)],
    ),
}
BACKENDS = [reference, ops]


@pytest.mark.parametrize("backend", BACKENDS, ids=["reference", "native"])
@pytest.mark.parametrize("loss", POINTS)
@pytest.mark.parametrize("weighted", [False, True])
def test_literals(backend, loss, weighted):
    (t1, p1, a, da), (t2, p2, b, db), (t3, p3, c, dc) = POINTS[loss].literals
    y_true = np.array([[t1, NAN], [t2, t3], [NAN, NAN]], "float64")
    y_pred = np.array([[p1, 9.0], [p2, p3], [7.0, NAN]], "float64")
    v, w = (2.0, 0.5) if weighted else (1.0, 1.0)
    total, by_element = v * a + w * (b + c), np.array([[v * da, 0], [w * db, w * dc], [0, 0]])
    row_means = [v * a, w * (b + c) / 2, 0.0]
    by_row = np.array([[v * da, 0], [w * db / 2, w * dc / 2], [0, 0]])
    expected = {
        "mean": (total / 3, by_element / 3),
        "sum_over_batch_size": (total / 3, by_element / 3),
        "mean_with_sample_weight": (total / (v + 2 * w), by_element / (v + 2 * w)),
        "sum": (sum(row_means), by_row),
        "none": (row_means, by_row),
        None: (row_means, by_row),
    }
    for reduction, (value, gradient) in expected.items():
        results = loss_and_gradients(
            backend.masked_loss,
            y_true,
            y_pred,
            loss=loss,
            sample_weight=WEIGHT if weighted else None,
            reduction=reduction,
        )
        np.testing.assert_allclose(results[0], value, rtol=1e-14)
        np.testing.assert_allclose(results[1], gradient, rtol=1e-13)


@pytest.mark.parametrize("backend", BACKENDS, ids=["reference", "native"])
def test_gradient_by_sample_weight(backend):
    """mean: l summed over the row / 3; with weights: (l summed - loss * count) / sum(w)."""
    arguments = {"y_true": Y_TRUE, "y_pred": Y_PRED, "sample_weight": WEIGHT}
    _, _, by_weight = loss_and_gradients(backend.masked_loss, **arguments)
    np.testing.assert_allclose(by_weight, [1 / 3, 13 / 3, 0.0], rtol=1e-15)

    loss = (2 * 1 + 0.5 * 13) / 3
    _, _, by_weight = loss_and_gradients(
        backend.masked_loss, reduction="mean_with_sample_weight", **arguments
    )
    expected = [(1 - loss) / 3, (13 - 2 * loss) / 3, 0.0]
    np.testing.assert_allclose(by_weight, expected, rtol=1e-14)


@pytest.mark.parametrize("backend", BACKENDS, ids=["reference", "native"])
def test_huber_changes_at_delta(backend):
    def huber(error):
        return float(backend.masked_loss([0.0], [error], loss="huber", delta=2.0))

    assert huber(2.0) == 2.0  # 2^2 / 2
    assert huber(-2.0) == 2.0
    assert huber(3.0) == 4.0  # 2 (3 - 1)
    assert huber(1.0) == 0.5


@pytest.mark.parametrize("backend", BACKENDS, ids=["reference", "native"])
def test_absolute_error_has_slope_zero_at_zero(backend):
    _, gradient = loss_and_gradients(
        backend.masked_loss, np.array([1.0]), np.array([1.0]), loss="absolute_error"
    )
    assert float(gradient[0]) == 0.0


@pytest.mark.parametrize("backend", BACKENDS, ids=["reference", "native"])
def test_masked_sums(backend):
    sums = backend.masked_sums(Y_TRUE, Y_PRED, sample_weight=WEIGHT)
    assert [x.dtype for x in sums] == [tf.float64, tf.float64, tf.int64]
    assert [float(x) for x in sums] == [2 * 1 + 0.5 * 13, 3.0, 3.0]


@pytest.mark.parametrize("backend", BACKENDS, ids=["reference", "native"])
def test_missing_sentinel_and_nonfinite(backend):
    y_true, y_pred = [1.0, -999.0, NAN, np.inf], [2.0, 0.0, 0.0, 0.0]

    def count(missing):
        return int(backend.masked_sums(y_true, y_pred, missing=missing).valid_count)

    assert [count(m) for m in (NAN, "nan", -999, -999.0, "nonfinite", 7)] == [3, 3, 2, 2, 2, 3]


@pytest.mark.parametrize("backend", BACKENDS, ids=["reference", "native"])
@pytest.mark.parametrize(
    ("label", "other", "dtype", "missing"),
    [
        (-999.9, 1.0, "float32", -999.9),  # not a float32: the nearest one is the sentinel
        (-99.9, 1.0, "float16", -99.9),
        (2**31 - 1, 2**31 - 2, "int32", 2**31 - 1),  # equal as float32
        (2**24 + 1, 2**24, "int64", 2**24 + 1),
        (255, 254, "uint8", 255),
        (True, False, "bool", 1),
    ],
)
@pytest.mark.parametrize("pred_dtype", ["float32", "float64"])
def test_sentinel_is_found_in_the_labels_own_type(
    backend, label, other, dtype, missing, pred_dtype
):
    y_true = np.array([label, other]).astype(dtype)
    for mask in (None, [True, True]):
        sums = backend.masked_sums(y_true, np.zeros(2, pred_dtype), missing=missing, mask=mask)
        assert int(sums.valid_count) == 1


@pytest.mark.parametrize("backend", BACKENDS, ids=["reference", "native"])
@pytest.mark.parametrize(
    ("dtype", "missing"), [("float32", 1e300), ("int8", -999), ("int32", 0.5), ("uint8", -1)]
)
def test_a_number_that_no_label_can_be_marks_none(backend, dtype, missing):
    y_true = np.array([1, 0]).astype(dtype)
    if dtype == "float32":
        y_true[0] = np.inf  # which 1e300 must not turn into
    assert int(backend.masked_sums(y_true, np.zeros(2), missing=missing).valid_count) == 2


def test_a_nan_prediction_shows_in_value_and_slope(loss_case, dtype, rng):
    """Comparisons, as in a maximum, would give it the slope of one side."""
    loss, parameters = loss_case
    y_true, y_pred = labels_and_predictions(rng, (40, 3), dtype, loss, parameters)
    y_true[17, 1], y_pred[17, 1] = 1.0, np.nan
    value, gradient = loss_and_gradients(
        reference.masked_loss, y_true, y_pred, loss=loss, **parameters
    )
    assert np.isnan(value)
    assert np.argwhere(np.isnan(gradient.numpy())).tolist() == [[17, 1]]
