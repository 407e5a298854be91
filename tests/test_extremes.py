"""Large errors, saturated probabilities: no intermediate overflows where the result is finite."""

import numpy as np
import pytest
import tensorflow as tf
from conftest import LOSSES, case_id, loss_and_gradients

from masklstm import kernels, ops, reference

LN2 = 0.6931471805599453
NEAR_EPSILON = -np.log(1e-7)

# Pairs of a label and a prediction, and what is known of the loss without computing it.
EXTREMES = {
    "squared_error": [(0.0, 1e15), (-1e15, 0.0)],
    "absolute_error": [(0.0, 1e38), (-1e38, 1e38)],
    "huber": [(0.0, 1e30), (1e30, 0.0), (0.0, 1e-30)],
    "log_cosh": [(0.0, 1e4), (0.0, -1e4), (0.0, 1e30), (0.0, 1e-6), (1e4, 0.0)],
    "absolute_percentage_error": [(0.0, 1e20), (1e-20, 1.0), (1e30, -1e30)],
    "squared_logarithmic_error": [(0.0, 1e30), (1e30, 0.0), (-5.0, 3.0), (3.0, -5.0)],
    "poisson": [(0.0, 1e30), (1e30, 2.0), (5.0, 0.0)],
    "pinball": [(0.0, 1e38), (1e38, 0.0)],
    "binary_crossentropy": [(1.0, 0.0), (0.0, 0.0), (1.0, 1.0), (0.0, 1.0), (1.0, -3.0)],
    "binary_crossentropy_from_logits": [(t, p) for t in (0.0, 1.0) for p in (1e4, -1e4, 1e30, 0.0)],
    "binary_focal_crossentropy": [(1.0, 0.0), (0.0, 0.0), (1.0, 1.0), (0.0, 1.0)],
    "binary_focal_crossentropy_from_logits": [
        (t, p) for t in (0.0, 1.0) for p in (1e4, -1e4, 1e30, 0.0)
    ],
}


def test_every_loss_is_here():
    assert set(EXTREMES) == set(kernels.losses())


@pytest.mark.parametrize("case", LOSSES, ids=case_id)
def test_finite_and_right(case, dtype, run):
    loss, parameters = case
    pairs = EXTREMES[loss]
    if parameters.get("from_logits"):
        pairs = [(t, p) for t in (0.0, 1.0) for p in (1e4, -1e4, 30.0)]
    y_true, y_pred = (np.array(x, dtype)[:, None] for x in zip(*pairs, strict=True))
    arguments = {"loss": loss, "reduction": "none", **parameters}
    actual = run(
        lambda t, p: loss_and_gradients(ops.masked_loss, t, p, **arguments),
        tf.constant(y_true),
        tf.constant(y_pred),
    )
    exact = (x.astype("float64") for x in (y_true, y_pred))
    expected = loss_and_gradients(reference.masked_loss, *exact, **arguments)
    tolerance = 3e-5 if dtype == "float32" else 1e-11
    for a, b in zip(actual, expected, strict=True):
        assert np.all(np.isfinite(a))
        # A probability of 1 - 1e-7 is no float32: its neighbour is 20% off the distance to 1.
        clipped = loss in ("binary_crossentropy", "binary_focal_crossentropy")
        relative = 0.25 if clipped and dtype == "float32" else tolerance
        np.testing.assert_allclose(a, b, rtol=relative, atol=1e-6)


@pytest.mark.parametrize(
    ("loss", "label", "prediction", "value", "slope"),
    [
        ("log_cosh", 0, 1e4, 1e4 - LN2, 1),
        ("log_cosh", 0, -1e4, 1e4 - LN2, -1),
        ("binary_crossentropy_from_logits", 0, 1e4, 1e4, 1),
        ("binary_crossentropy_from_logits", 1, 1e4, 0, 0),
        ("binary_crossentropy_from_logits", 1, -1e4, 1e4, -1),
        ("binary_crossentropy", 1, 0, NEAR_EPSILON, 0),
        ("binary_focal_crossentropy", 1, 0, NEAR_EPSILON * (1 - 1e-7) ** 2, 0),
        ("binary_focal_crossentropy", 1, 1, 0, 0),
        ("huber", 0, 1e30, 1e30, 1),
    ],
)
def test_literals(loss, label, prediction, value, slope, dtype, run):
    y_true, y_pred = tf.constant([label], dtype), tf.constant([prediction], dtype)
    actual = run(lambda t, p: loss_and_gradients(ops.masked_loss, t, p, loss=loss), y_true, y_pred)
    np.testing.assert_allclose(actual[0], value, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(actual[1], [slope], rtol=1e-6, atol=1e-6)
