"""The oracle against numbers computed by hand from the definitions."""

import numpy as np
import pytest
import tensorflow as tf
from conftest import loss_and_gradients

from masklstm import ops, reference

NAN = float("nan")

# Errors e = y_pred - y_true of the valid elements: 1 | 2, -3 | none valid. One row each.
Y_TRUE = np.array([[1.0, NAN], [0.0, 5.0], [NAN, NAN]])
Y_PRED = np.array([[2.0, 9.0], [2.0, 2.0], [7.0, NAN]])
WEIGHT = np.array([2.0, 0.5, NAN])  # by row; that of an invalid row does not count

# For each loss: its elements, its derivatives.
LITERALS = {
    "squared_error": ([1.0, 4.0, 9.0], [2.0, 4.0, -6.0]),
    "absolute_error": ([1.0, 2.0, 3.0], [1.0, 1.0, -1.0]),
    "huber": ([0.5, 1.5, 2.5], [1.0, 1.0, -1.0]),
}
BACKENDS = [reference, ops]


@pytest.mark.parametrize("backend", BACKENDS, ids=["reference", "native"])
@pytest.mark.parametrize("loss", LITERALS)
@pytest.mark.parametrize("weighted", [False, True])
def test_literals(backend, loss, weighted):
    (a, b, c), (da, db, dc) = LITERALS[loss]
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
            Y_TRUE,
            Y_PRED,
            loss=loss,
            sample_weight=WEIGHT if weighted else None,
            reduction=reduction,
        )
        np.testing.assert_allclose(results[0], value, rtol=1e-15)
        np.testing.assert_allclose(results[1], gradient, rtol=1e-15)


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
def test_sentinel_is_compared_in_the_labels_type(backend):
    """-999.9 is not a float32; the label nearest to it is still the sentinel."""
    y_true = np.array([-999.9, 1.0], "float32")
    sums = backend.masked_sums(y_true, np.zeros(2, "float32"), missing=-999.9)
    assert int(sums.valid_count) == 1
