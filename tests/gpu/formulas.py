"""Every loss and its derivative by y_pred in NumPy, float64, and how losses are reduced.

Written from the definitions, without a look at the kernels or at `masklstm.reference`: a mistake
has to be made twice to stay unseen. The tests of the CUDA kernels and the campaign take them.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np


class Formula(NamedTuple):
    of: Callable[..., tuple[Any, Any]]
    """Value and slope by p, of labels t, predictions p, and the loss's parameters."""

    others: Sequence[dict[str, float]] = ()
    """Parameters other than the defaults; each of the loss has one."""


def sigmoid(p):
    """Exact in both tails, without a warning."""
    small = np.exp(-np.abs(p))
    return np.where(p < 0, small, 1.0) / (1 + small)


def squared_error(t, p):
    return (t - p) ** 2, 2 * (p - t)


def absolute_error(t, p):
    return np.abs(t - p), np.sign(p - t)


def huber(t, p, delta=1.0):
    e = p - t
    far = np.abs(e) > delta
    value = np.where(far, delta * np.abs(e) - delta**2 / 2, e**2 / 2)
    return value, np.where(far, delta * np.sign(e), e)


def log_cosh(t, p):
    e = np.abs(p - t)
    near = np.log1p(2 * np.sinh(np.minimum(e, 1) / 2) ** 2)  # where the other form cancels
    return np.where(e < 1, near, e + np.log1p(np.exp(-2 * e)) - np.log(2.0)), np.tanh(p - t)


def absolute_percentage_error(t, p, epsilon=1e-7):
    size = np.maximum(np.abs(t), epsilon)
    return 100 * np.abs(t - p) / size, 100 * np.sign(p - t) / size


def squared_logarithmic_error(t, p, epsilon=1e-7):
    a, b = np.maximum(p, epsilon), np.maximum(t, epsilon)
    difference = np.log1p((a - b) / (1 + b))
    return difference**2, np.where(p > epsilon, 2 * difference / (1 + p), 0.0)


def poisson(t, p, epsilon=1e-7):
    return p - t * np.log(p + epsilon), 1 - t / (p + epsilon)


def pinball(t, p, quantile=0.5):
    e = t - p
    value = np.where(e > 0, quantile * e, (quantile - 1) * e)
    slope = np.where(e > 0, -quantile, np.where(e < 0, 1 - quantile, 0.0))
    return value, slope


def _smoothed(t, label_smoothing):
    return t * (1 - label_smoothing) + label_smoothing / 2


def _clipped(p, epsilon, dtype):
    """Probabilities c, 1 - c, and the slope of c by p, as the numbers of the computing type are:
    there 1 - epsilon is rounded. Where it is 1, epsilon itself is what is left.
    """
    number = np.dtype(dtype).type
    upper = float(number(1) - number(epsilon))
    c = np.clip(p, float(number(epsilon)), upper)
    rest = np.where(c == 1, epsilon, 1 - c)
    return c, rest, ((p >= float(number(epsilon))) & (p <= upper)).astype(float)


def _entropy(t, c, rest):
    """To its last digit where one of the two is near 1."""
    with np.errstate(divide="ignore"):
        log_c = np.where(c > 0.5, np.log1p(-rest), np.log(c))
        log_rest = np.where(c > 0.5, np.log(rest), np.log1p(-c))
    return -t * log_c - (1 - t) * log_rest


def binary_crossentropy(t, p, label_smoothing=0.0, epsilon=1e-7, dtype="float64"):
    t = _smoothed(t, label_smoothing)
    c, rest, slope = _clipped(p, epsilon, dtype)
    return _entropy(t, c, rest), slope * ((1 - t) / rest - t / c)


def binary_crossentropy_from_logits(t, p, label_smoothing=0.0):
    t = _smoothed(t, label_smoothing)
    value = np.where(p > 0, (1 - t) * p, -t * p) + np.log1p(np.exp(-np.abs(p)))
    return value, (1 - t) * sigmoid(p) - t * sigmoid(-p)


def _focal(t, c, rest, slope, gamma, alpha, balanced):
    """The focal loss of probabilities c, and its slope by what c has a slope by."""
    miss = t * rest + (1 - t) * c
    factor = t * alpha + (1 - t) * (1 - alpha) if balanced else 1.0
    entropy = _entropy(t, c, rest)
    with np.errstate(all="ignore"):
        of_miss = gamma * miss ** (gamma - 1) * (1 - 2 * t) * entropy if gamma else 0.0
        total = of_miss + miss**gamma * ((1 - t) / rest - t / c)
    return factor * miss**gamma * entropy, factor * total * slope


def binary_focal_crossentropy(
    t,
    p,
    gamma=2.0,
    alpha=0.25,
    apply_class_balancing=False,
    label_smoothing=0.0,
    epsilon=1e-7,
    dtype="float64",
):
    t = _smoothed(t, label_smoothing)
    c, rest, slope = _clipped(p, epsilon, dtype)
    return _focal(t, c, rest, slope, gamma, alpha, bool(apply_class_balancing))


def binary_focal_crossentropy_from_logits(
    t, p, gamma=2.0, alpha=0.25, apply_class_balancing=False, label_smoothing=0.0
):
    t = _smoothed(t, label_smoothing)
    c, rest = sigmoid(p), sigmoid(-p)
    return _focal(t, c, rest, c * rest, gamma, alpha, bool(apply_class_balancing))


LOSSES = {
    "squared_error": Formula(squared_error),
    "absolute_error": Formula(absolute_error),
    "huber": Formula(huber, [{"delta": 0.3}]),
    "log_cosh": Formula(log_cosh),
    "absolute_percentage_error": Formula(absolute_percentage_error, [{"epsilon": 0.4}]),
    "squared_logarithmic_error": Formula(squared_logarithmic_error, [{"epsilon": 0.4}]),
    "poisson": Formula(poisson, [{"epsilon": 0.01}]),
    "pinball": Formula(pinball, [{"quantile": 0.9}]),
    "binary_crossentropy": Formula(binary_crossentropy, [{"label_smoothing": 0.2, "epsilon": 0.1}]),
    "binary_crossentropy_from_logits": Formula(
        binary_crossentropy_from_logits, [{"label_smoothing": 0.2}]
    ),
    "binary_focal_crossentropy": Formula(
        binary_focal_crossentropy,
        [
            {"gamma": 1.7, "alpha": 0.4, "apply_class_balancing": True, "label_smoothing": 0.1},
            {"from_logits": True, "gamma": 3.0},
        ],
    ),
    "binary_focal_crossentropy_from_logits": Formula(
        binary_focal_crossentropy_from_logits,
        [
            {"gamma": 1.7, "alpha": 0.4, "apply_class_balancing": True, "label_smoothing": 0.1},
            {"gamma": 0.5},
        ],
    ),
}


def within(interval, x, probabilities):
    """Numbers of any size as numbers of the interval; `probabilities` are what [0, 1] gets."""
    lower, upper = interval["lower"], interval["upper"]
    if np.isinf(lower) and np.isinf(upper):
        return x
    if np.isinf(upper):
        return lower + np.exp(x)
    if np.isinf(lower):
        return upper - np.exp(x)
    return lower + (upper - lower) * probabilities(x)


def numbers(description, shape, rng):
    """Labels and predictions where the loss is defined; `description` is the kernels' own."""
    t, p = rng.standard_normal((2, *shape))
    return (
        within(description["labels"], t, lambda t: np.float64(t > 0)),
        within(description["predictions"], p, lambda p: 0.05 + 0.9 * sigmoid(p)),
    )


def spread(x: Any, shape: tuple[int, ...]) -> Any:
    """Weights or a mask of fewer axes, which belong to the first axes of the labels."""
    x = np.asarray(x)
    return np.broadcast_to(x.reshape(x.shape + (1,) * (len(shape) - x.ndim)), shape)


def reduce(losses: Any, valid: Any, weights: Any, reduction: str) -> Any:
    """The reduced loss, and the factor of each element's slope in its gradient."""
    losses = np.where(valid, losses, 0.0)
    weights = np.where(valid, weights, 0.0)
    number = valid.sum()
    if reduction == "sum_of_elements":
        return (weights * losses).sum(), weights
    if reduction in ("mean", "mean_with_sample_weight"):
        divisor = number if reduction == "mean" else weights.sum()
        if divisor == 0:
            return 0.0, np.zeros_like(weights)
        return (weights * losses).sum() / divisor, weights / divisor
    per_row = np.maximum(valid.sum(axis=-1, keepdims=True), 1)
    rows = (weights * losses / per_row).sum(axis=-1)
    return rows if reduction == "none" else rows.sum(), weights / per_row
