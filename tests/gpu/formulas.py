"""Every loss and its derivative by y_pred in NumPy, float64, with default parameters."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

EPSILON = 1e-7


class Formula(NamedTuple):
    value: Callable[..., Any]
    derivative: Callable[..., Any]
    others: Sequence[
        dict[str, float]
    ] = ()  # parameters other than the defaults; each of the loss has one


def clipped(p):
    return np.clip(p, EPSILON, 1 - EPSILON)


def inside(p):
    return (p >= EPSILON) & (p <= 1 - EPSILON)


def sigmoid(p):
    return 1 / (1 + np.exp(-p))


def crossentropy(t, p):
    return -t * np.log(p) - (1 - t) * np.log1p(-p)


def crossentropy_slope(t, p):
    return (p - t) / (p * (1 - p))


def wrong(t, p):
    return t * (1 - p) + (1 - t) * p


def logarithms(t, p):
    return np.log1p(np.maximum(p, EPSILON)) - np.log1p(np.maximum(t, EPSILON))


def percent(t):
    return 100 / np.maximum(np.abs(t), EPSILON)


LOSSES = {
    "squared_error": Formula(
        lambda t, p: (p - t) ** 2,
        lambda t, p: 2 * (p - t),
    ),
    "absolute_error": Formula(
        lambda t, p: np.abs(p - t),
        lambda t, p: np.sign(p - t),
    ),
    "huber": Formula(
        lambda t, p: np.where(np.abs(p - t) <= 1, (p - t) ** 2 / 2, np.abs(p - t) - 0.5),
        lambda t, p: np.clip(p - t, -1, 1),
        others=[{"delta": 0.3}],
    ),
    "log_cosh": Formula(
        lambda t, p: np.logaddexp(p - t, t - p) - np.log(2),
        lambda t, p: np.tanh(p - t),
    ),
    "absolute_percentage_error": Formula(
        lambda t, p: percent(t) * np.abs(p - t),
        lambda t, p: percent(t) * np.sign(p - t),
        others=[{"epsilon": 0.4}],
    ),
    "squared_logarithmic_error": Formula(
        lambda t, p: logarithms(t, p) ** 2,
        lambda t, p: np.where(p < EPSILON, 0, 2 * logarithms(t, p) / (1 + p)),
        others=[{"epsilon": 0.4}],
    ),
    "poisson": Formula(
        lambda t, p: p - t * np.log(p + EPSILON),
        lambda t, p: 1 - t / (p + EPSILON),
        others=[{"epsilon": 0.01}],
    ),
    "pinball": Formula(
        lambda t, p: np.abs(p - t) / 2,
        lambda t, p: np.sign(p - t) / 2,
        others=[{"quantile": 0.9}],
    ),
    "binary_crossentropy": Formula(
        lambda t, p: crossentropy(t, clipped(p)),
        lambda t, p: np.where(inside(p), crossentropy_slope(t, clipped(p)), 0),
        others=[{"label_smoothing": 0.2, "epsilon": 0.1}],
    ),
    "binary_crossentropy_from_logits": Formula(
        lambda t, p: np.maximum(p, 0) - p * t + np.log1p(np.exp(-np.abs(p))),
        lambda t, p: sigmoid(p) - t,
        others=[{"label_smoothing": 0.2}],
    ),
    "binary_focal_crossentropy": Formula(
        lambda t, p: wrong(t, clipped(p)) ** 2 * crossentropy(t, clipped(p)),
        lambda t, p: np.where(
            inside(p),
            2 * wrong(t, clipped(p)) * (1 - 2 * t) * crossentropy(t, clipped(p))
            + wrong(t, clipped(p)) ** 2 * crossentropy_slope(t, clipped(p)),
            0,
        ),
        others=[
            {"gamma": 1.7, "alpha": 0.4, "apply_class_balancing": True, "label_smoothing": 0.1},
            {"from_logits": True, "gamma": 3.0},
        ],
    ),
    "binary_focal_crossentropy_from_logits": Formula(
        lambda t, p: wrong(t, sigmoid(p)) ** 2 * crossentropy(t, sigmoid(p)),
        lambda t, p: (
            sigmoid(p)
            * sigmoid(-p)
            * (
                2 * wrong(t, sigmoid(p)) * (1 - 2 * t) * crossentropy(t, sigmoid(p))
                + wrong(t, sigmoid(p)) ** 2 * crossentropy_slope(t, sigmoid(p))
            )
        ),
        others=[
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


def reduced(losses, valid, weight, reduction):
    """By the definition of each reduction; sums of nothing are 0."""
    weight = np.broadcast_to(1.0 if weight is None else weight, losses.shape).astype(np.float64)
    weighted = np.where(valid, losses * np.where(valid, weight, 0), 0)
    weight = np.where(valid, weight, 0)
    if reduction == "sum_of_elements":
        return weighted.sum()
    if reduction == "mean":
        return weighted.sum() / max(1, valid.sum())
    if reduction == "mean_with_sample_weight":
        return weighted.sum() / weight.sum() if weight.sum() else 0.0
    rows = weighted.sum(axis=-1) / np.maximum(1, valid.sum(axis=-1))
    return rows if reduction == "none" else rows.sum()


def gradient(derivatives, valid, weight, reduction):
    """Of the reduced loss, or of the sum of the rows, by y_pred."""
    weight = np.broadcast_to(1.0 if weight is None else weight, derivatives.shape)
    weight = np.where(valid, weight, 0).astype(np.float64)
    divisor = {
        "sum_of_elements": 1.0,
        "mean": max(1, valid.sum()),
        "mean_with_sample_weight": weight.sum() or 1.0,
    }.get(reduction)
    if divisor is None:
        divisor = np.maximum(1, valid.sum(axis=-1, keepdims=True))
    return np.where(valid, np.where(valid, derivatives, 0) * weight / divisor, 0)
