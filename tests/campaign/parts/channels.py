"""Losses of several predictions for each label: values by SciPy, slopes by their differences."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from gpu import channels as drawn
from gpu import formulas
from support.native import kernels

from campaign import oracle, shrinking
from campaign.parts import Disagreement, _elements

CASES = 120_000
REDUCTIONS = ["mean", "mean_with_sample_weight", "sum", "none", "sum_of_elements"]
LOSSES = [name for name, about in _elements.ABOUT.items() if about["channels"]]


def draw(rng: Any) -> dict[str, Any]:
    loss = str(rng.choice(LOSSES))
    parameters: dict[str, Any] = {}
    names = [about["name"] for about in _elements.ABOUT[loss]["parameters"]]
    if "components" in names:
        parameters["components"] = int(rng.integers(1, 5))
    if "power" in names:
        parameters["power"] = float(rng.uniform(1.05, 1.95))
    if "quantile" in names:
        count = int(rng.integers(1, 5))
        parameters["quantile"] = sorted(float(q) for q in rng.uniform(0.02, 0.98, count))
    shape = _elements.shape_of(rng)
    dtype = str(rng.choice(["float32", "float64"]))
    t, p = drawn.numbers(kernels, loss, parameters, shape, rng)
    if "whole" in _elements.ABOUT[loss]["labels"] and _elements.ABOUT[loss]["labels"]["whole"]:
        t = np.floor(t)
    y_true = np.where(_elements.gaps_of(rng, shape), np.nan, t).astype(dtype)
    case = {
        "y_true": _elements.laid_out(rng, y_true),
        "y_pred": _elements.laid_out(rng, p.astype(dtype)),
        "loss": loss,
        "reduction": str(rng.choice(REDUCTIONS)),
        **parameters,
    }
    if rng.random() < 0.5:
        weight = rng.uniform(0.1, 2.0, shape[: int(rng.integers(1, len(shape) + 1))])
        case["sample_weight"] = weight.astype(dtype)
    return case


def _losses(case: dict[str, Any], y_pred: Any, valid: Any) -> Any:
    about = {parameter["name"] for parameter in _elements.ABOUT[case["loss"]]["parameters"]}
    parameters = {name: case[name] for name in about if name in case}
    t = np.where(valid, case["y_true"].astype(np.float64), 0.5)
    p = np.where(valid[..., None], y_pred, 0.5)
    with np.errstate(all="ignore"):
        channels = np.moveaxis(p, -1, 0)
        values = getattr(oracle, case["loss"])(t, *channels, **parameters)
    return np.where(valid, values, 0.0)


def check(case: dict[str, Any]) -> None:
    valid = oracle.valid_labels(case["y_true"], float("nan"), None)
    p = case["y_pred"].astype(np.float64)
    losses = _losses(case, p, valid)
    weight = case.get("sample_weight")
    shape = case["y_true"].shape
    weights = np.ones(shape) if weight is None else formulas.spread(weight, shape).astype(float)
    dtype, reduction = _elements.computing(case), case["reduction"]
    expected, factors = formulas.reduce(losses, valid, weights, reduction)
    size, _ = formulas.reduce(np.maximum(np.abs(losses), 1.0), valid, weights, reduction)
    value, _, count = kernels.masked_loss(**case)
    # SciPy's own digits are fewer than the kernels'.
    _elements.compare("the loss", value, expected, 50 * size, dtype)
    if count != valid.sum():
        raise Disagreement(f"the count: {count} instead of {valid.sum()}")
    gradient = kernels.masked_loss_gradient(**case)
    if gradient.shape != p.shape:
        raise Disagreement(f"the gradient has shape {gradient.shape} instead of {p.shape}")
    if np.any(gradient[~valid]):
        raise Disagreement("the gradient of an invalid element is not 0")
    _check_slopes(case, gradient, valid, factors)


def _check_slopes(case: dict[str, Any], gradient: Any, valid: Any, factors: Any) -> None:
    """Of one channel: between the differences to both sides, which are two at a corner."""
    p = case["y_pred"].astype(np.float64)
    channel = int(np.sum(valid)) % p.shape[-1]
    step = 1e-4 * np.maximum(np.abs(p[..., channel]), 1e-2)
    here = _losses(case, p, valid)
    sides = []
    for sign in (1, -1):
        moved = p.copy()
        moved[..., channel] += sign * step
        sides.append(factors * (_losses(case, moved, valid) - here) / (sign * step))
    size = np.abs(factors) * np.maximum(1.0, np.abs(here))
    bound = 1e-4 * np.maximum(np.max(np.abs(sides), axis=0), size)
    found = gradient[..., channel].astype(np.float64)
    low, high = np.min(sides, axis=0) - bound, np.max(sides, axis=0) + bound
    wrong = valid & ~((low <= found) & (found <= high))
    if np.any(wrong):
        at = np.unravel_index(np.argmax(wrong), wrong.shape)
        raise Disagreement(
            f"the slope by channel {channel} at {[int(i) for i in at]}: {found[at]!s}, not from "
            f"{low[at]!s} to {high[at]!s}"
        )


def smaller(case: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield from shrinking.smaller_options(case, {"sample_weight": None})
    length = case["y_pred"].shape[-1]
    for small in shrinking.smaller_arrays(case, ["y_true", "y_pred", "sample_weight"]):
        if small["y_pred"].shape[-1] == length:
            yield small


def program(case: dict[str, Any]) -> str:
    return shrinking.checked_again("channels", case)
