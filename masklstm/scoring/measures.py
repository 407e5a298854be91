"""The scores that go by a short name, of labels and predictions without gaps, at least one."""

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from masklstm.scoring.flow_duration import FlowDurationBias

Floats = NDArray[np.float64]
Measure = Callable[[Floats, Floats], float]


def nse(t: Floats, p: Floats) -> float:
    return _ratio(-np.sum((p - t) ** 2), _deviations(t)) + 1.0


def kge(t: Floats, p: Floats) -> float:
    return _kling_gupta(t, p, is_modified=False)


def kge_modified(t: Floats, p: Floats) -> float:
    return _kling_gupta(t, p, is_modified=True)


def pearson(t: Floats, p: Floats) -> float:
    return _ratio(_co_deviations(t, p), math.sqrt(_deviations(t)) * math.sqrt(_deviations(p)))


def concordance(t: Floats, p: Floats) -> float:
    between = t.size * (t.mean() - p.mean()) ** 2
    return _ratio(2 * _co_deviations(t, p), _deviations(t) + _deviations(p) + between)


def mse(t: Floats, p: Floats) -> float:
    return float(np.mean((p - t) ** 2))


def rmse(t: Floats, p: Floats) -> float:
    return math.sqrt(mse(t, p))


def mae(t: Floats, p: Floats) -> float:
    return float(np.mean(np.abs(p - t)))


def bias(t: Floats, p: Floats) -> float:
    return float(np.mean(p - t))


def percent_bias(t: Floats, p: Floats) -> float:
    return _ratio(100 * np.sum(p - t), np.sum(t))


def wape(t: Floats, p: Floats) -> float:
    return _ratio(np.sum(np.abs(p - t)), np.sum(np.abs(t)))


MEASURES: dict[str, Measure] = {
    "nse": nse,
    "kge": kge,
    "kge_modified": kge_modified,
    "pearson": pearson,
    "concordance": concordance,
    "rmse": rmse,
    "mse": mse,
    "mae": mae,
    "bias": bias,
    "percent_bias": percent_bias,
    "pbias": percent_bias,
    "wape": wape,
    "fhv": FlowDurationBias(share=0.02, part="high"),
    "flv": FlowDurationBias(share=0.3, part="low"),
}


def _kling_gupta(t: Floats, p: Floats, is_modified: bool) -> float:
    spread = _ratio(_deviations(p), _deviations(t)) ** 0.5
    level = _ratio(p.mean(), t.mean())
    # Predictions that do not vary are correlated with nothing.
    r = pearson(t, p) if _deviations(p) else 0.0
    if is_modified and spread:
        spread = spread / level if level else math.inf
    return 1.0 - math.sqrt((r - 1) ** 2 + (spread - 1) ** 2 + (level - 1) ** 2)


def _deviations(x: Floats) -> float:
    return _co_deviations(x, x)


def _co_deviations(x: Floats, y: Floats) -> float:
    return float(np.sum(_centred(x) * _centred(y)))


def _centred(x: Floats) -> Floats:
    """Deviations from the mean: none for numbers that are all the same, though it is rounded."""
    return np.zeros_like(x) if np.all(x == x[0]) else x - x.mean()


def _ratio(value: float, divisor: float) -> float:
    """NaN where there is nothing to divide by."""
    return float(value / divisor) if divisor else math.nan
