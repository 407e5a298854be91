"""The focal loss from logits against its definition in 400 digits, where sigmoid(p) rounds to 1."""

from decimal import Decimal, localcontext

import keras
import numpy as np
import pytest
import tensorflow as tf
from support.markers import needs_native
from support.native import kernels

from masklstm import losses, ops, reference
from masklstm._core import library

LOSS = "binary_focal_crossentropy_from_logits"
LOGITS = (0.0, 1e-3, 0.5, 3.0, 17.0, 40.0, 86.0, 100.0, 300.0, 1e4)
POINTS = [(t, s * p) for t in (0.0, 1.0, 0.3, 0.999) for p in LOGITS for s in (1, -1)]
CASES = [
    *({"gamma": gamma} for gamma in (0.0, 0.5, 1.0, 2.0, 2.5, 3.0)),
    {"gamma": 0.5, "alpha": 0.3, "apply_class_balancing": True},
    {"gamma": 2.5, "label_smoothing": 0.1, "alpha": 0.3, "apply_class_balancing": True},
]


def exact(label, logit, gamma, alpha=0.25, apply_class_balancing=False, label_smoothing=0.0):
    """Value, first and second derivative, each with the sum of its terms' sizes."""
    with localcontext() as context:
        context.prec = 400
        t, x, g, alpha = (Decimal(float(n)) for n in (label, logit, gamma, alpha))
        smoothing = Decimal(float(label_smoothing))
        t = t * (1 - smoothing) + smoothing / 2
        right, left = 1 / (1 + (-x).exp()), 1 / (1 + x.exp())  # sigmoid(x), sigmoid(-x)
        a = t * alpha + (1 - t) * (1 - alpha) if apply_class_balancing else Decimal(1)
        q = t * left + (1 - t) * right
        loss = -(t * right.ln() + (1 - t) * left.ln())
        rate = right * left  # sigmoid's derivative
        q1, q2 = (1 - 2 * t) * rate, (1 - 2 * t) * rate * (left - right)
        loss1 = (1 - t) * right - t * left
        terms = (
            [q**g * loss],
            [g * q ** (g - 1) * q1 * loss, q**g * loss1],
            [
                g * (g - 1) * q ** (g - 2) * q1 * q1 * loss,
                g * q ** (g - 1) * q2 * loss,
                2 * g * q ** (g - 1) * q1 * loss1,
                q**g * rate,
            ],
        )
        values = [float(a * sum(of_one)) for of_one in terms]
        return values, [float(a * sum(abs(term) for term in of_one)) for of_one in terms]


def results(function, y_true, y_pred, **arguments):
    with tf.GradientTape() as outer:
        outer.watch(y_pred)
        with tf.GradientTape() as inner:
            inner.watch(y_pred)
            value = function(y_true, y_pred, reduction="none", **arguments)
        slope = inner.gradient(value, y_pred)
    return value, slope, outer.gradient(slope, y_pred)


def assert_exact(actual, parameters, dtype, slack=0.0):
    """Errors are measured against the terms that are added up, and by `slack` against 1 + |p|."""
    kind = np.dtype(dtype).type
    rounded = {name: kind(value) for name, value in parameters.items()}
    rows = [exact(kind(label), kind(logit), **rounded) for label, logit in POINTS]
    expected, sizes = (np.array(x) for x in zip(*rows, strict=True))
    tolerance = {"float32": 3e-5, "float64": 2e-13}[dtype]
    least = 100 * np.finfo(dtype).tiny + slack * (1 + np.abs([logit for _, logit in POINTS]))
    for found, want, size in zip(actual, expected.T, sizes.T, strict=True):
        found = np.ravel(found).astype("float64")
        wrong = np.flatnonzero(~(np.abs(found - want) <= tolerance * size + least))
        assert not wrong.size, [(POINTS[i], found[i], want[i]) for i in wrong]


def points(dtype):
    return [tf.constant(np.array(x, dtype)[:, None]) for x in zip(*POINTS, strict=True)]


@needs_native
@pytest.mark.parametrize("parameters", CASES, ids=str)
def test_equals_the_definition_over_the_whole_range(parameters, dtype, run):
    arguments = {"loss": LOSS, **parameters}
    actual = run(lambda t, p: results(ops.masked_loss, t, p, **arguments), *points(dtype))
    assert_exact(actual, parameters, dtype)


@pytest.mark.parametrize("parameters", CASES, ids=str)
def test_the_reference_equals_the_definition(parameters, dtype):
    actual = results(reference.masked_loss, *points(dtype), loss=LOSS, **parameters)
    # TensorFlow's second derivative of softplus is exact up to that.
    assert_exact(actual, parameters, dtype, slack=4 * np.finfo(dtype).eps)


@pytest.fixture(params=[ops, reference], ids=["native", "reference"])
def backend(request):
    return request.param.masked_loss


@pytest.mark.parametrize("label_smoothing", [0.0, 0.2])
def test_gamma_0_is_the_cross_entropy(label_smoothing, backend, dtype, run):
    def both(t, p):
        smoothed = {"label_smoothing": label_smoothing}
        focal = results(backend, t, p, loss=LOSS, gamma=0.0, **smoothed)
        plain = results(backend, t, p, loss="binary_crossentropy_from_logits", **smoothed)
        return focal, plain

    for found, want in zip(*run(both, *points(dtype)), strict=True):
        np.testing.assert_allclose(found, want, rtol=4 * np.finfo(dtype).eps, atol=1e-30)


def test_the_older_name_gives_the_same_bits(backend, dtype, run):
    """`from_logits` of binary_focal_crossentropy."""
    parameters = {"gamma": 1.5, "alpha": 0.4, "apply_class_balancing": True}

    def both(t, p):
        older = {"loss": "binary_focal_crossentropy", "from_logits": True}
        new = results(backend, t, p, loss=LOSS, **parameters)
        return new, results(backend, t, p, **older, **parameters)

    for new, old in zip(*run(both, *points(dtype)), strict=True):
        np.testing.assert_array_equal(new, old)


@needs_native
def test_the_parameters_of_version_0_1_0_are_read():
    """Six numbers, as the attributes of graphs that were saved have them."""
    t, p = tf.constant([[1.0], [0.0]]), tf.constant([[-100.0], [100.0]])
    elements = library.ops.masklstm_masked_loss_elements(
        *(t, p, [], []),
        Tcompute=tf.float32,
        kind="value",
        loss="binary_focal_crossentropy",
        parameters="2.0,0.25,0.0,1.0,0.0,1e-07",
    )
    np.testing.assert_array_equal(elements, [[100.0], [100.0]])


def test_keras_s_class_loses_nothing_and_keeps_its_config(run):
    loss = losses.BinaryFocalCrossentropy(from_logits=True, gamma=3.0)
    loss = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(loss))
    assert loss.get_config()["from_logits"] is True
    assert loss.get_config()["gamma"] == 3.0

    def value_and_slope(t, p):
        with tf.GradientTape() as tape:
            tape.watch(p)
            value = loss(t, p)
        return value, tape.gradient(value, p)

    for label, logit, slope in ((1.0, -100.0, -1.0), (0.0, 100.0, 1.0)):
        found = run(value_and_slope, tf.constant([[label]]), tf.constant([[logit]]))
        np.testing.assert_allclose([np.ravel(x)[0] for x in found], [100.0, slope], rtol=1e-6)


def test_a_saturated_bias_comes_back():
    """Wrong with certainty: the gradient is there, and training goes on."""
    bias = tf.Variable([30.0])
    loss = losses.BinaryFocalCrossentropy(from_logits=True)
    for _ in range(40):
        with tf.GradientTape() as tape:
            value = loss(tf.zeros([1, 1]), bias[None])
        bias.assign_sub(tape.gradient(value, bias))
    assert float(bias[0]) < 1


def test_half_predictions_and_numpy():
    t, p = np.float32([1, 0]), np.float16([-1e4, 1e4])
    assert kernels.masked_loss(t, p, loss=LOSS)[0] == float(np.float16(1e4))
    np.testing.assert_array_equal(kernels.masked_loss_gradient(t, p, loss=LOSS), [-0.5, 0.5])
