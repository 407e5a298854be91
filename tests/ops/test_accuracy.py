"""How many units in the last place (ulp) element losses and derivatives are off.

The oracle is NumPy's 80-bit arithmetic, in forms in which nothing cancels. Parameters count as
exact after they are rounded to the computing type. The bounds are those that docs/losses.md states.
"""

import numpy as np
import pytest
import tensorflow as tf
from support.markers import needs_native
from support.native import kernels

from masklstm._core import library

# XLA has its own exponentials and logarithms, and joins products with sums. Its float64 log(1 + x)
# is off by so much near x = -0.41.
ULP_UNDER_XLA = {
    ("log_cosh", "float32"): (5, 7),
    ("log_cosh", "float64"): (5, 7),
    ("binary_crossentropy", "float64"): (150, 4),
    ("binary_focal_crossentropy", "float64"): (200, 200),
}

pytestmark = [
    needs_native,
    pytest.mark.skipif(np.finfo(np.longdouble).nmant < 63, reason="needs long doubles of 80 bits"),
]


def points(loss, dtype):
    """Pairs of labels and predictions over the whole range, and close together."""
    rng = np.random.default_rng(9)
    count = 200_000
    # Squares and quotients of these stay in the range of the type.
    largest = 18 if dtype == "float32" else 150
    magnitude = 10.0 ** rng.uniform(-largest / 2, largest, (2, count))
    t, p = magnitude * rng.choice([-1, 1], (2, count))
    labels, predictions = (kernels.descriptions()[loss][x] for x in ("labels", "predictions"))
    if labels["lower"] == 0:
        t = np.abs(t)
    if predictions["lower"] == 0:
        p = np.abs(p)
    if loss == "log_cosh":  # everything that it does happens at small errors
        t, p = np.zeros(count), 10.0 ** rng.uniform(-9, 4, count) * np.sign(p)
    if labels["upper"] == 1:
        t = rng.choice([0.0, 1.0, 0.25, 0.5, 0.9], count)
        # Near 0 and near 1, beyond the clipping too.
        p = 10.0 ** rng.uniform(-9, 0, count)
        p = np.where(rng.random(count) < 0.5, p, 1 - p)
        if np.isinf(predictions["upper"]):
            p = 10.0 ** rng.uniform(-6, 1.9, count) * rng.choice([-1, 1], count)
    elif loss != "log_cosh":
        # A third of the pairs: neighbours of a few units in the last place, or a few percent.
        close = t * (1 + rng.choice([1e-6, 1e-4, 0.03], count) * rng.normal(size=count))
        p = np.where(rng.random(count) < 0.33, close, p)
    return t.astype(dtype), p.astype(dtype)


ULP = {}  # of value and derivative
EXACT = {}


def exact_form(value, derivative):
    """Enters a loss: its exact form, and how many ulp value and derivative may be off.

    Exact forms take long doubles (label, prediction, epsilon, 1 - epsilon), and return value,
    derivative and the sizes that their errors are measured against; none if those are their own.
    Where terms of both signs are added up, the size is that of the largest term.
    """

    def enter(function):
        ULP[function.__name__] = (value, derivative)
        EXACT[function.__name__] = function
        return function

    return enter


def exact(loss, t, p, dtype):
    """Value, derivative and the sizes that their errors are measured against, as long doubles."""
    real = np.longdouble
    epsilon, one_less = (real(np.dtype(dtype).type(x)) for x in (1e-7, 1 - 1e-7))
    value, slope, *sizes = EXACT[loss](real(t), real(p), epsilon, one_less)
    return (value, slope, *(sizes or (np.abs(value), np.abs(slope))))


@exact_form(2, 1)
def squared_error(t, p, epsilon, one_less):
    return (p - t) ** 2, 2 * (p - t)


@exact_form(1, 0.5)
def absolute_error(t, p, epsilon, one_less):
    return np.abs(p - t), np.sign(p - t)


@exact_form(2.5, 1)
def huber(t, p, epsilon, one_less):
    e = p - t
    value = np.where(np.abs(e) <= 1, e * e / 2, np.abs(e) - np.longdouble(0.5))
    return value, np.clip(e, -1, 1)


@exact_form(5, 4)
def log_cosh(t, p, epsilon, one_less):
    e = p - t
    a = np.abs(e)
    small = np.log1p(2 * np.sinh(np.minimum(a, 1) / 2) ** 2)
    large = a + np.log1p(np.exp(-2 * a)) - np.log(np.longdouble(2))
    return np.where(a < 1, small, large), np.tanh(e)


@exact_form(2.5, 1.5)
def absolute_percentage_error(t, p, epsilon, one_less):
    scale = np.maximum(np.abs(t), epsilon)
    return 100 * np.abs(p - t) / scale, 100 * np.sign(p - t) / scale


@exact_form(10, 8)
def squared_logarithmic_error(t, p, epsilon, one_less):
    a, b = np.maximum(t, epsilon), np.maximum(p, epsilon)
    distance = np.log1p((b - a) / (1 + a))
    distance = np.where(b < a, -np.log1p((a - b) / (1 + b)), distance)
    slope = np.where(p < epsilon, 0, 2 * np.where(p < t, -1, 1) * np.abs(distance) / (1 + p))
    return distance**2, slope


@exact_form(3, 3)
def poisson(t, p, epsilon, one_less):
    value, slope = p - t * np.log(p + epsilon), 1 - t / (p + epsilon)
    terms = np.maximum(np.abs(p), np.abs(t * np.log(p + epsilon)))
    return value, slope, terms, np.maximum(1, t / (p + epsilon))


@exact_form(2, 0.5)
def pinball(t, p, epsilon, one_less):
    return np.abs(p - t) / 2, np.sign(p - t) / 2


@exact_form(4, 4)
def binary_crossentropy(t, p, epsilon, one_less):
    c = np.clip(p, epsilon, one_less)
    value = -t * np.log(c) - (1 - t) * np.log1p(-c)
    return value, np.where(clipped(p, epsilon, one_less), 0, (c - t) / (c * (1 - c)))


def clipped(p, epsilon, one_less):
    return (p < epsilon) | (p > one_less)


@exact_form(5, 4)
def binary_crossentropy_from_logits(t, p, epsilon, one_less):
    tail = np.exp(-np.abs(p))
    value = np.where(p > 0, p * (1 - t), -p * t) + np.log1p(tail)
    tail = tail / (1 + tail)
    label = np.where(p > 0, 1 - t, t)
    slope = np.where(p > 0, label - tail, tail - label)
    return value, slope, value, np.maximum(label, tail)


@exact_form(8, 10)
def binary_focal_crossentropy(t, p, epsilon, one_less):
    c = np.clip(p, epsilon, one_less)
    value = -t * np.log(c) - (1 - t) * np.log1p(-c)
    q = t * (1 - c) + (1 - t) * c
    terms = 2 * q * (1 - 2 * t) * value, q**2 * ((c - t) / (c * (1 - c)))
    value, slope = q**2 * value, terms[0] + terms[1]
    size = np.abs(terms[0]) + np.abs(terms[1])
    return value, np.where(clipped(p, epsilon, one_less), 0, slope), value, size


@exact_form(8, 10)
def binary_focal_crossentropy_from_logits(t, p, epsilon, one_less):
    value, slope, _, size = binary_crossentropy_from_logits(t, p, epsilon, one_less)
    tail = np.exp(-np.abs(p))
    major, tail = 1 / (1 + tail), tail / (1 + tail)
    label = np.where(p > 0, 1 - t, t)
    q = label * major + (1 - label) * tail
    turn = 2 * q * (1 - 2 * t) * major * tail * value
    value, slope = q**2 * value, turn + q**2 * slope
    return value, slope, value, np.abs(turn) + q**2 * size


@pytest.mark.parametrize("mode", ["native", "xla"])
@pytest.mark.parametrize("loss", ULP)
def test_errors_in_units_of_the_last_place(loss, dtype, mode):
    if mode == "xla" and not library.build["xla"]:
        pytest.skip("built without XLA")
    bounds = ULP[loss] if mode == "native" else ULP_UNDER_XLA.get((loss, dtype), ULP[loss])
    t, p = points(loss, dtype)
    parameters = ",".join(repr(x["default"]) for x in kernels.losses()[loss])
    with np.errstate(all="ignore"):  # in the arm that np.where does not take
        value, slope, value_size, slope_size = exact(loss, t, p, dtype)
    for kind, expected, size, bound in (
        ("value", value, value_size, bounds[0]),
        ("derivative", slope, slope_size, bounds[1]),
    ):

        def elements(t, p, kind=kind):
            return library.ops.masklstm_masked_loss_elements(
                t, p, [], [], Tcompute=dtype, kind=kind, loss=loss, parameters=parameters
            )

        if mode == "xla":
            elements = tf.function(elements, jit_compile=True)
        actual = elements(tf.constant(t), tf.constant(p)).numpy()
        # Below the normal numbers TensorFlow's threads give 0.
        tiny = np.finfo(dtype).tiny
        counts = (np.abs(expected) >= 2 * tiny) & (np.abs(expected) < np.finfo(dtype).max)
        assert np.mean(counts) > 0.3
        unit = np.spacing(size.astype(dtype)).astype(np.longdouble)
        error = np.abs(actual.astype(np.longdouble) - expected)[counts] / unit[counts]
        worst = np.argmax(error)
        print(f"{loss} {kind} {dtype} {mode}: {error[worst]:.2f} ulp")
        at = (t[counts][worst], p[counts][worst])
        assert error[worst] <= bound, f"{error[worst]:.2f} ulp at {at}"
