"""Random labels and predictions of element losses: every type, shape, gap, weight and layout."""

import inspect
from collections.abc import Iterator
from typing import Any

import ml_dtypes
import numpy as np
from gpu import formulas
from support.native import kernels

from campaign import oracle, shrinking
from campaign.parts import Disagreement

ABOUT = kernels.descriptions()
LOSSES = [name for name, about in ABOUT.items() if not about["channels"]]
PREDICTIONS = {
    "float32": np.float32,
    "float64": np.float64,
    "float16": np.float16,
    "bfloat16": ml_dtypes.bfloat16,
}
INTEGERS = ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "bool"]
LABELS = [*PREDICTIONS, *INTEGERS]
# Losses whose definition subtracts two logarithms: near an exact fit their digits are those of the
# logarithms.
CANCELLING = {"squared_logarithmic_error": {"float32": 2e-3, "float64": 1e-6}}
# The rounding of a smoothed label, or of 1 - epsilon, in the computing type: what is near 0 then is
# known to fewer digits, and its power to fewer still.
OF_POWERS = {"float32": 20.0, "float64": 20.0}
TOLERANCE = {"float32": 2e-5, "float64": 2e-11}
ARRAYS = ["y_true", "y_pred", "sample_weight", "mask"]
SIZES = [1, 1, 1, 2, 3, 4, 5, 7, 8, 15, 16, 17, 31, 33, 64, 65, 100, 130]


def shape_of(rng: Any, least_rank: int = 1) -> tuple[int, ...]:
    rank = int(rng.integers(least_rank, 5))
    shape = [int(rng.choice(SIZES[:8])) for _ in range(rank)]
    if rank and rng.random() < 0.5:
        shape[rng.integers(rank)] = int(rng.choice([0, *SIZES]))
    return tuple(shape)


def parameters_of(rng: Any, loss: str) -> dict[str, Any]:
    """Some of the loss's parameters, anywhere in their domains."""
    chosen: dict[str, Any] = {}
    for about in ABOUT[loss]["parameters"]:
        name = about["name"]
        if name == "from_logits" or rng.random() < 0.5:
            continue
        if name == "apply_class_balancing":
            chosen[name] = True
        elif name == "epsilon":
            chosen[name] = float(10 ** rng.uniform(-7, -1))
        elif name in ("gamma", "delta"):
            chosen[name] = float(rng.choice([0.5, 1.0, 1.7, 2.0, 3.0, rng.uniform(1, 4)]))
        else:
            chosen[name] = float(rng.choice([0.1, 0.5, 0.9, rng.uniform(0.01, 0.99)]))
    return chosen


def numbers(rng: Any, interval: dict[str, Any], shape: tuple[int, ...]) -> Any:
    lower, upper = interval["lower"], interval["upper"]
    size = float(rng.choice([1.0, 1.0, 1e-2, 30.0]))
    if np.isfinite(lower) and np.isfinite(upper):
        inner = lower + (upper - lower) * rng.random(shape)
        return np.where(rng.random(shape) < 0.3, np.round(inner), inner)
    x = size * rng.standard_normal(shape)
    return lower + np.abs(x) if np.isfinite(lower) else x


def gaps_of(rng: Any, shape: tuple[int, ...]) -> Any:
    share = rng.choice([0.0, 0.1, 0.4, 0.95, 1.0])
    kind = rng.integers(3)
    if kind == 0 and shape:  # whole rows
        return np.broadcast_to(rng.random((*shape[:-1], 1)) < share, shape)
    return rng.random(shape) < share


def laid_out(rng: Any, array: Any) -> Any:
    """The same numbers, at times aligned to their own size and no more."""
    if rng.random() < 0.7:
        return array
    buffer = np.zeros(array.nbytes + array.itemsize, np.uint8)
    view = buffer[array.itemsize :].view(array.dtype).reshape(array.shape)
    view[...] = array
    return view


def draw(rng: Any) -> dict[str, Any]:
    """Arguments of `masked_loss`, but for its reduction."""
    loss = str(rng.choice(LOSSES))
    shape = shape_of(rng)
    prediction_type = str(rng.choice(list(PREDICTIONS), p=[0.4, 0.3, 0.15, 0.15]))
    label_type = prediction_type if rng.random() < 0.5 else str(rng.choice(LABELS))
    t = numbers(rng, ABOUT[loss]["labels"], shape)
    p = numbers(rng, ABOUT[loss]["predictions"], shape)
    exact_fits = rng.random(shape) < (0.2 if rng.random() < 0.3 else 0)
    p = np.where(exact_fits, t, p)
    if loss == "poisson":  # the slope at 0 is 1 - t / epsilon, beyond half types
        p = np.maximum(p, 1e-2)
    gaps = gaps_of(rng, shape)
    missing: Any = float("nan")
    if label_type in INTEGERS:
        low = 0 if label_type[0] in "ub" else -100
        t = np.clip(np.round(t), low, 1 if label_type == "bool" else 100)
        y_true = t.astype(label_type)
        if label_type != "bool" and rng.random() < 0.7:
            missing = 117
            y_true = np.where(gaps, np.array(117, y_true.dtype), y_true)
    else:
        y_true = t.astype(PREDICTIONS[label_type])
        hole: Any = np.nan
        if rng.random() < 0.3:
            missing, hole = rng.choice([(-99.0, -99.0), (-99.0, np.nan)])
            missing = float(missing)
        y_true = np.where(gaps, np.array(hole, y_true.dtype), y_true)
    y_pred = p.astype(PREDICTIONS[prediction_type])
    if rng.random() < 0.2:  # what lies under a gap is of no interest
        below = gaps & (rng.random(shape) < 0.5)
        bad = np.array(rng.choice([np.nan, np.inf, -np.inf]), y_pred.dtype)
        found = ~oracle.valid_labels(y_true, missing, None)
        y_pred = np.where(below & found, bad, y_pred)
    case = {
        "y_true": laid_out(rng, y_true),
        "y_pred": laid_out(rng, y_pred),
        "loss": loss,
        "missing": missing,
        **parameters_of(rng, loss),
    }
    if rng.random() < 0.5:
        weight = numbers(rng, {"lower": 0.0, "upper": np.inf}, _smaller_shape(rng, shape))
        weight = np.where(rng.random(weight.shape) < 0.1, 0.0, 0.05 + weight)
        case["sample_weight"] = laid_out(rng, weight.astype(computing(case)))
    if rng.random() < 0.4:
        case["mask"] = laid_out(rng, rng.random(_smaller_shape(rng, shape)) < 0.7)
    return case


def _smaller_shape(rng: Any, shape: tuple[int, ...]) -> tuple[int, ...]:
    rank = int(rng.integers(1, len(shape) + 1))
    return tuple(length if rng.random() < 0.7 else 1 for length in shape[:rank])


def computing(case: dict[str, Any]) -> str:
    return "float64" if case["y_pred"].dtype == np.float64 else "float32"


def exact(case: dict[str, Any]) -> tuple[Any, Any, Any, Any]:
    """Losses, slopes, validity and weights of the elements."""
    about = {parameter["name"] for parameter in ABOUT[case["loss"]]["parameters"]}
    parameters = {name: case[name] for name in about if name in case}
    dtype = computing(case)
    t, p = (case[name].astype(dtype).astype(np.float64) for name in ("y_true", "y_pred"))
    valid = oracle.valid_labels(case["y_true"], case["missing"], case.get("mask"))
    t, p = np.where(valid, t, 0.5), np.where(valid, p, 0.5)
    function = formulas.LOSSES[case["loss"]].of
    if "dtype" in inspect.signature(function).parameters:
        parameters["dtype"] = dtype
    losses, slopes = function(t, p, **parameters)
    weight = case.get("sample_weight")
    weights = np.ones(t.shape) if weight is None else formulas.spread(weight, t.shape)
    return losses, slopes, valid, weights.astype(np.float64)


def sizes(case: dict[str, Any], losses: Any) -> Any:
    """What the errors of the elements are small beside. What the computing type takes for 0, as the
    contract says, may be one.
    """
    dtype = computing(case)
    least = float(np.finfo(dtype).tiny) / TOLERANCE[dtype]
    size = np.maximum(np.abs(losses), CANCELLING.get(case["loss"], {}).get(dtype, least))
    if "focal" in case["loss"]:
        size = size * OF_POWERS[dtype]
    if case["loss"] == "poisson":  # the larger of its two terms
        size = np.maximum(size, np.abs(np.nan_to_num(case["y_pred"].astype(np.float64))))
    return size


def compare(what: str, actual: Any, expected: Any, size: Any, dtype: Any) -> None:
    """Within the tolerance of the computing type, and of the type that a result is stored in."""
    actual, expected = np.asarray(actual), np.asarray(expected, np.float64)
    if actual.shape != expected.shape:
        raise Disagreement(f"{what}: shape {actual.shape} instead of {expected.shape}")
    own = ml_dtypes.finfo(actual.dtype)
    with np.errstate(all="ignore"):
        rounded = expected.astype(actual.dtype).astype(np.float64)
        bound = TOLERANCE[dtype] * np.maximum(np.abs(expected), size)
        bound = bound + float(own.eps) * np.abs(expected) + float(own.smallest_subnormal)
        near = np.abs(actual.astype(np.float64) - expected) <= bound
    same = near | (actual.astype(np.float64) == rounded)
    if not np.all(same):
        at = np.unravel_index(np.argmin(same), same.shape)
        raise Disagreement(
            f"{what}{[int(i) for i in at] or ''}: {actual[at]!s} instead of {expected[at]!r}, "
            f"at most {np.broadcast_to(bound, same.shape)[at]:.3g} apart"
        )


def smaller(case: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if case.get("threads", 1) > 1:
        yield {**case, "threads": 1}
    defaults = {name: None for name in case if name not in ("y_true", "y_pred", "loss", "missing")}
    defaults.pop("reduction", None)
    yield from shrinking.smaller_options(case, defaults)
    yield from shrinking.smaller_arrays(case, ARRAYS)
