"""Metrics over batches of any size: as of all labels at once, and as the definition says."""

import inspect
import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np

from campaign import shrinking
from campaign.parts import Disagreement
from masklstm import losses, metrics

CASES = 15_000
OF_CHANNELS = ("CRPS", "Coverage")
NAMES = [name for name in metrics.__all__ if name not in OF_CHANNELS]
WRAPPED = {
    "Loss": lambda: metrics.Loss(losses.Huber()),
    "Masked": lambda: metrics.Masked("mean_absolute_error"),
    "MeanAbsoluteScaledError": lambda: metrics.MeanAbsoluteScaledError(2.5),
}
PROBABILITIES = ("BinaryAccuracy", "BinaryCrossentropy")
POSITIVE = ("Poisson", "MeanSquaredLogarithmicError")


def _mean(values: Any, weights: Any) -> Any:
    return np.average(values, weights=weights)


# Of the labels t and predictions p that are there, and their weights w; of one feature.
DEFINITIONS = {
    "MeanAbsoluteError": lambda t, p, w: _mean(np.abs(t - p), w),
    "MeanSquaredError": lambda t, p, w: _mean((t - p) ** 2, w),
    "RootMeanSquaredError": lambda t, p, w: np.sqrt(_mean((t - p) ** 2, w)),
    "LogCoshError": lambda t, p, w: _mean(np.log(np.cosh(t - p)), w),
    "Bias": lambda t, p, w: _mean(p - t, w),
    "PercentBias": lambda t, p, w: 100 * np.sum(w * (p - t)) / np.sum(w * t),
    "NashSutcliffeEfficiency": lambda t, p, w: (
        1 - np.sum(w * (t - p) ** 2) / np.sum(w * (t - _mean(t, w)) ** 2)
    ),
    "R2Score": lambda t, p, w: 1 - np.sum(w * (t - p) ** 2) / np.sum(w * (t - _mean(t, w)) ** 2),
    "PearsonCorrelation": lambda t, p, w: (
        _covariance(t, p, w) / np.sqrt(_covariance(t, t, w) * _covariance(p, p, w))
    ),
    "ConcordanceCorrelation": lambda t, p, w: (
        2
        * _covariance(t, p, w)
        / (_covariance(t, t, w) + _covariance(p, p, w) + (_mean(t, w) - _mean(p, w)) ** 2)
    ),
    "BinaryAccuracy": lambda t, p, w: _mean((p > 0.5) == (t > 0.5), w),
}


def _covariance(a: Any, b: Any, w: Any) -> Any:
    return _mean((a - _mean(a, w)) * (b - _mean(b, w)), w)


def draw(rng: Any) -> dict[str, Any]:
    name = str(rng.choice(NAMES))
    rows = int(rng.integers(4, 40))
    features = 1 if rng.random() < 0.5 else int(rng.integers(1, 4))
    shape = (rows, features) if rng.random() < 0.5 else (rows, int(rng.integers(1, 5)), features)
    offset = float(rng.choice([0.0, 0.0, 3.0, 1e4]))
    t = offset + rng.normal(size=shape)
    p = t + 0.5 * rng.normal(size=shape)
    if name in PROBABILITIES:
        t, p = (rng.random(shape) > 0.5).astype(float), rng.uniform(0.01, 0.99, shape)
    if name in POSITIVE:
        t, p = np.abs(t), np.abs(p)
    t = np.where(rng.random(shape) < rng.choice([0.0, 0.3, 0.8]), np.nan, t)
    cuts = np.sort(rng.integers(0, rows + 1, int(rng.integers(0, 5))))
    case = {"name": name, "y_true": t, "y_pred": p, "cuts": [int(each) for each in cuts]}
    if rng.random() < 0.5:
        case["sample_weight"] = rng.uniform(0.1, 2.0, shape[: int(rng.integers(1, len(shape)))])
    return case


def _made(name: str) -> Any:
    return WRAPPED[name]() if name in WRAPPED else getattr(metrics, name)()


def _figure(case: dict[str, Any], cuts: list[int]) -> Any:
    metric = _made(case["name"])
    takes_weights = "sample_weight" in inspect.signature(metric.update_state).parameters
    borders = [0, *cuts, len(case["y_true"])]
    for first, end in itertools.pairwise(borders):
        arrays = [case["y_true"][first:end], case["y_pred"][first:end]]
        if takes_weights and "sample_weight" in case:
            arrays.append(case["sample_weight"][first:end])
        metric.update_state(*arrays)
    return np.asarray(metric.result(), np.float64)


def check(case: dict[str, Any]) -> None:
    whole, parts = _figure(case, []), _figure(case, case["cuts"])
    digits = 1e-6 if case["name"] == "Masked" else 1e-9  # of Keras's own metric, in float32
    _near(f"{case['name']} over {len(case['cuts']) + 1} batches", parts, whole, digits)
    t = case["y_true"]
    weights = np.broadcast_to(1.0, t.shape)
    if "sample_weight" in case:
        given = case["sample_weight"]
        given = given.reshape(given.shape + (1,) * (t.ndim - given.ndim))
        weights = np.broadcast_to(given, t.shape)
    there = ~np.isnan(t)
    if case["name"] in DEFINITIONS and t.shape[-1] == 1 and there.sum() > 3:
        definition = DEFINITIONS[case["name"]]
        _near(
            f"{case['name']} by its definition",
            whole.reshape(()),
            definition(t[there], case["y_pred"][there], weights[there]),
        )


def _near(what: str, actual: Any, expected: Any, digits: float = 1e-9) -> None:
    if not np.allclose(actual, expected, rtol=digits, atol=digits, equal_nan=True):
        raise Disagreement(f"{what}: {actual} instead of {expected}")


def smaller(case: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield from shrinking.smaller_options(case, {"sample_weight": None, "cuts": []})
    for small in shrinking.smaller_arrays(case, ["y_true", "y_pred", "sample_weight"]):
        rows = len(small["y_true"])
        yield {**small, "cuts": [min(each, rows) for each in case["cuts"]]}


def program(case: dict[str, Any]) -> str:
    return shrinking.checked_again("metrics", case)
