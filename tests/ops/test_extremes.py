"""Large errors, saturated probabilities: no intermediate overflows where the result is finite."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import LOSSES, case_id, loss_and_gradients
from support.markers import needs_native
from support.native import kernels

from masklstm import losses, ops, reference
from ops.test_reference import POINTS

LN2 = 0.6931471805599453
NEAR_EPSILON = -np.log(1e-7)


@pytest.mark.parametrize("case", LOSSES, ids=case_id)
def test_finite_and_right(case, dtype, run):
    loss, parameters = case
    pairs = POINTS[loss].extremes
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


# Labels and predictions in units of the largest number M of the type: value and slope are finite
# although a difference or a product on the way to them is not. Values as multiples of M.
LARGEST = [
    ("absolute_error", {}, -0.5, 0.5, 1, 1),
    ("squared_error", {}, 0.4, 0.4, 0, 0),
    ("absolute_percentage_error", {}, -1, 1, "200 / M", "100 / M"),
    ("absolute_percentage_error", {}, 1, -1, "200 / M", "-100 / M"),
    ("absolute_percentage_error", {}, -1, 0.25, "125 / M", "100 / M"),
    ("pinball", {}, -1, 1, 1, 0.5),
    ("pinball", {}, 1, -1, 1, -0.5),
    ("pinball", {"quantile": 0.75}, -1, 1, 0.5, 0.25),
    ("pinball", {"quantile": 0.25}, 1, -1, 0.5, -0.25),
    ("pinball", {"quantile": 0.75}, -1, 0.25, 0.3125, 0.25),
    ("huber", {"delta": 0.25}, -1, 1, 0.5, 0.25),
    ("huber", {"delta": 0.25}, 1, -1, 0.5, -0.25),
    ("huber", {"delta": 0.25}, -1, 0.25, 0.3125, 0.25),
    ("huber", {}, 0, -1, 1, -1),
    ("huber", {"delta": 1e30}, 0, 0, 0, 0),
    ("log_cosh", {}, -0.5, 0.5, 1, 1),
    ("log_cosh", {}, 1, 0, 1, -1),
    ("squared_logarithmic_error", {}, 1, 1, 0, 0),
    ("squared_logarithmic_error", {}, 0, 1, "log(M / ONE)**2 / M", "2 * log(M / ONE) / M"),
    ("squared_logarithmic_error", {}, -1, 1, "log(M / ONE)**2 / M", "2 * log(M / ONE) / M"),
    ("squared_logarithmic_error", {}, 1, 0, "log(M / ONE)**2 / M", 0),
    ("poisson", {}, 0, 1, 1, 1),
    ("poisson", {}, "1.5 / log(M)", 1, -0.5, "1 - 1.5 / log(M)"),
    ("binary_crossentropy_from_logits", {}, "1 / M", -1, 1, -1),
    ("binary_crossentropy_from_logits", {}, 0, 1, 1, 1),
    ("binary_focal_crossentropy_from_logits", {}, "1 / M", -0.25, 0.25, -1),
    ("binary_focal_crossentropy_from_logits", {"gamma": 0.5}, 0, 1, 1, 1),
]


@pytest.mark.parametrize(
    "backend",
    [pytest.param(ops, id="native", marks=needs_native), pytest.param(reference, id="reference")],
)
def test_the_largest_numbers(backend, dtype, run):
    real, largest = np.longdouble, np.longdouble(np.finfo(dtype).max)

    def number(x):
        known = {"M": largest, "ONE": 1 + real(1e-7), "log": np.log}
        return real(eval(x, known) if isinstance(x, str) else x)

    def results(t, p, loss, parameters):
        with tf.GradientTape() as outer:
            outer.watch(p)
            found = loss_and_gradients(backend.masked_loss, t, p, loss=loss, **parameters)
        return [*found, outer.gradient(found[1], p)]

    def of_every_case(labels, predictions):
        return [
            results(t, p, loss, parameters)
            for t, p, (loss, parameters, *_) in zip(labels, predictions, LARGEST, strict=True)
        ]

    labels, predictions = (
        [tf.constant(np.array([number(case[i]) * largest], dtype)) for case in LARGEST]
        for i in (2, 3)
    )
    of_cases = run(of_every_case, labels, predictions)
    for found, (loss, parameters, label, prediction, value, slope) in zip(
        of_cases, LARGEST, strict=True
    ):
        case = f"{loss} {parameters} {label} {prediction}"
        tolerance = 1e-5 if dtype == "float32" else 1e-13
        least = {"rtol": tolerance, "atol": 4 * np.finfo(dtype).tiny, "err_msg": case}
        np.testing.assert_allclose(found[0], float(number(value) * largest), **least)
        # 1 / p, a factor of TensorFlow's gradients of logarithms, is 0 for the largest p.
        if not (backend is reference and loss in ("squared_logarithmic_error", "poisson")):
            np.testing.assert_allclose(found[1], [float(number(slope))], **least)
        assert np.all(np.isfinite(found[2])), case
        if loss == "huber":
            assert float(found[2][0]) == (1.0 if found[1] == 0 else 0.0), case


@pytest.mark.parametrize("backend", [ops, reference], ids=["native", "reference"])
@pytest.mark.parametrize("gamma", [None, 0.0, 0.5, 2.0])
def test_an_epsilon_that_is_lost_beside_1(backend, gamma, dtype, run):
    """1 - epsilon rounds to 1; what is left to it is epsilon all the same."""
    epsilon = float(np.dtype(dtype).type(1e-9 if dtype == "float32" else 1e-18))
    arguments = {"loss": "binary_crossentropy", "epsilon": epsilon, "reduction": "none"}
    if gamma is not None:
        arguments |= {"loss": "binary_focal_crossentropy", "gamma": gamma}
    little, much = epsilon, -np.log(epsilon)  # -log(1 - epsilon), -log(epsilon)
    points = [
        *((1, 1, little), (0, 1, much), (0.25, 1, 0.25 * little + 0.75 * much)),
        *((1, 0, much), (0, 0, little), (1, 1.5, little), (0, -2, little)),
    ]
    t, p = (tf.constant([[x[i]] for x in points], dtype) for i in (0, 1))

    def results(t, p):
        with tf.GradientTape() as outer:
            outer.watch(p)
            found = loss_and_gradients(backend.masked_loss, t, p, **arguments)
        return [*found, outer.gradient(found[1], p)]

    value, slope, curvature = run(results, t, p)
    for found, (label, prediction, loss) in zip(value, points, strict=True):
        right = min(max(prediction, 0), 1)
        wrong = label * (1 - right) + (1 - label) * right or epsilon
        power = 1 if gamma is None else wrong**gamma
        np.testing.assert_allclose(found, power * loss, rtol=1e-5)
    # Not all bits: a graph may add up the terms of the reference in another order.
    np.testing.assert_allclose(slope, np.zeros_like(slope), atol=1e-40)
    np.testing.assert_allclose(curvature, np.zeros_like(curvature), atol=1e-30)


@pytest.mark.parametrize("half", ["float16", "bfloat16", "float32"])
def test_an_epsilon_of_keras_s_that_is_lost_beside_1(half, run):
    before = keras.config.epsilon()
    keras.config.set_epsilon(1e-8)
    try:
        t, p = tf.constant([[1.0], [0.0]]), tf.cast([[1.0], [1.0]], half)
        for cls in (losses.BinaryCrossentropy, losses.BinaryFocalCrossentropy):
            value = run(cls(reduction="none"), t, p)
            assert float(value[0]) < 2e-8
            np.testing.assert_allclose(value[1], -np.log(1e-8), rtol=1e-6)
    finally:
        keras.config.set_epsilon(before)


@pytest.mark.parametrize(
    ("loss", "name"),
    [("binary_crossentropy", "epsilon"), ("huber", "delta"), ("pinball", "quantile")],
)
def test_a_parameter_that_is_0_in_the_computing_type_is_refused(loss, name):
    for value, dtype, fits in (
        *((1e-39, "float32", False), (1e-39, "float16", False), (1e-39, "float64", True)),
        *((1e-309, "float64", False), (2e-38, "float32", True)),
    ):
        t = np.zeros((2, 1), dtype)
        for function in (
            *(ops.masked_loss, ops.masked_sums, reference.masked_loss, reference.masked_sums),
            *(kernels.masked_loss, kernels.masked_loss_gradient),
        ):
            if fits:
                function(t, t, loss=loss, **{name: value})
                continue
            with pytest.raises(
                ValueError, match=rf"'{name}'.*for float\d\d of at least .*Received"
            ):
                function(t, t, loss=loss, **{name: value})
