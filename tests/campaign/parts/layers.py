"""Layers against loops in NumPy: what fills, scales, masks and averages; gradients without NaN."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import tensorflow as tf
from layers.gru_d_in_numpy import gru_d

from campaign import shrinking
from campaign.parts import Disagreement
from masklstm import layers

CASES = 20_000
STRATEGIES = ("zero", "mean", "last", "decay", "learned")
PADDING = -9.0


def draw(rng: Any) -> dict[str, Any]:
    name = str(rng.choice(sorted(DEFINITIONS)))
    between = [int(rng.integers(1, 4))] if name == "Impute" and rng.random() < 0.2 else []
    rows, time, features = (int(rng.integers(1, most)) for most in (5, 10, 5))
    x = rng.choice([1.0, 1.0, 1e4]) * rng.normal(size=(rows, time, *between, features))
    missing = PADDING if name in ("Impute", "Masking") and rng.random() < 0.2 else np.nan
    x[rng.random(x.shape) < rng.choice([0.0, 0.3, 0.8, 1.0])] = missing
    case = {"name": name, "x": x, "seed": int(rng.integers(2**32)), "mask_value": float(missing)}
    if name in ("Impute", "GRUD") and rng.random() < 0.5:
        case["times"] = np.cumsum(rng.uniform(0.1, 3.0, (rows, time)), axis=1)
    if name in ("Impute", "GRUD", "Masking") and rng.random() < 0.4:
        case["mask"] = rng.random((rows, time)) < 0.7
    return case | DRAWN.get(name, lambda rng: {})(rng)


DRAWN: dict[str, Callable[[Any], dict[str, Any]]] = {
    "Impute": lambda rng: {
        "strategy": str(rng.choice(STRATEGIES)),
        "indicator": bool(rng.random() < 0.5),
        "elapsed": bool(rng.random() < 0.5),
    },
    "Normalization": lambda rng: {"axis": [-1, None, (1, -1)][int(rng.integers(3))]},
    "MaskedMean": lambda rng: {"products": int(rng.integers(2, 5)), "masked": rng.random() < 0.5},
    "MissingDropout": lambda rng: {"step": float(rng.choice([0.0, 0.2, 1.0]))},
    "GRUD": lambda rng: {"units": int(rng.integers(1, 6))},
}


# Each calls the layer, and gives pairs of a result and what it has to be by name.


def _impute(case: dict[str, Any], x: Any, rng: Any) -> dict[str, Any]:
    strategy, shape = case["strategy"], case["x"].shape
    options: dict[str, Any] = {}
    fill = np.zeros(shape[-1])
    if strategy in ("mean", "decay"):
        fill = options["mean"] = rng.normal(size=shape[-1])
    layer = layers.Impute(
        strategy,
        case["indicator"],
        case["elapsed"],
        case["mask_value"],
        dtype="float64",
        **options,
    )
    layer.build(shape)
    if strategy == "learned":
        fill = rng.normal(size=shape[-1])
        layer.fill.assign(fill)
    decay = rng.normal(size=(2, shape[-1])) if strategy == "decay" else None
    if decay is not None:
        layer.decay.assign(decay[0])
        layer.decay_bias.assign(decay[1])
    outputs = layer(x, times=case.get("times"), mask=case.get("mask"))
    is_gap = _is_gap(case)
    if "mask" in case:
        is_gap |= ~case["mask"].reshape(case["mask"].shape + (1,) * (len(shape) - 2))
    times = case.get("times", np.broadcast_to(np.arange(1.0, 1 + shape[1]), shape[:2]))
    before = times[:, 0] if "times" in case else np.zeros(shape[0])
    filled, elapsed = np.where(is_gap, 0.0, case["x"]), np.zeros(shape)
    for place in np.ndindex(shape[0], *shape[2:]):
        row, feature, last, seen = place[0], place[-1], None, before[place[0]]
        for t in range(shape[1]):
            at = (row, t, *place[1:])
            if not is_gap[at]:
                last, seen = case["x"][at], times[row, t]
            elapsed[at] = times[row, t] - seen
            if not is_gap[at] or strategy == "zero":
                continue
            filled[at] = fill[feature]
            if strategy == "last":
                filled[at] = 0.0 if last is None else last
            if decay is not None and last is not None:
                share = np.exp(-max(0.0, decay[0][feature] * elapsed[at] + decay[1][feature]))
                filled[at] += share * (last - fill[feature])
    parts = [filled] + [is_gap] * case["indicator"] + [elapsed] * case["elapsed"]
    return {"outputs": (outputs, np.concatenate(parts, axis=-1))}


def _is_gap(case: dict[str, Any]) -> Any:
    value = case["mask_value"]
    return np.isnan(case["x"]) if np.isnan(value) else case["x"] == value


def _normalization(case: dict[str, Any], x: Any, rng: Any) -> dict[str, Any]:
    axis, own = case["axis"], case["x"]
    layer = layers.Normalization(axis, dtype="float64")
    layer.adapt(own)
    kept = () if axis is None else tuple(np.atleast_1d(axis) % own.ndim)
    scaled = np.full(own.shape, np.nan)
    for place in np.ndindex(*(own.shape[each] if each in kept else 1 for each in range(own.ndim))):
        at = tuple(place[each] if each in kept else slice(None) for each in range(own.ndim))
        values = own[at][~np.isnan(own[at])]
        if len(values):
            scale = np.sqrt(np.mean((values - values.mean()) ** 2)) or 1.0
            scaled[at] = (own[at] - values.mean()) / scale
    outputs = layer(x)
    return {"outputs": (outputs, scaled), "back": (layer.inverse()(outputs), own)}


def _masking(case: dict[str, Any], x: Any, rng: Any) -> dict[str, Any]:
    layer, is_gap = layers.Masking(case["mask_value"], dtype="float64"), _is_gap(case)
    known = (~is_gap).any(axis=-1)
    return {
        "outputs": (layer(x), np.where(is_gap, 0.0, case["x"])),
        "mask": (
            layer.compute_mask(x, case.get("mask")),
            known & case["mask"] if "mask" in case else known,
        ),
    }


def _masked_mean(case: dict[str, Any], x: Any, rng: Any) -> dict[str, Any]:
    there = rng.random((case["products"], *case["x"].shape[:2])) < 0.6
    values = rng.normal(size=(case["products"], *case["x"].shape))
    values[~there] = np.nan
    values[0] = case["x"]
    there[0] = ~np.isnan(case["x"]).any(axis=-1)
    if case["masked"]:  # a step is missing where all of it is
        there[0] = ~np.isnan(case["x"]).all(axis=-1)
        values[0] = np.where(np.isnan(case["x"]), 0.0, case["x"])
    given = [x, *map(tf.constant, values[1:])]
    if case["masked"]:
        given = [layers.Masking(dtype="float64")(each) for each in given]
    layer = layers.MaskedMean(dtype="float64")
    kept = there[..., None]
    total = np.where(kept, values, 0.0).sum(axis=0)
    found = {"outputs": (layer(given), total / np.maximum(kept.sum(axis=0), 1))}
    if case["masked"]:
        masks = [each._keras_mask for each in given]
        found["mask"] = (layer.compute_mask(given, masks), there.any(axis=0))
    return found


def _missing_dropout(case: dict[str, Any], x: Any, rng: Any) -> dict[str, Any]:
    products = [[each] for each in range(case["x"].shape[-1])]
    if len(products) > 2:
        products = [[0, 2], *products[3:]]  # the second feature never fails
    layer = layers.MissingDropout(case["step"], 0.1, products, seed=case["seed"], dtype="float64")
    outputs = np.asarray(layer(x, training=True))
    is_out = np.isnan(outputs) & ~np.isnan(case["x"])
    found = {
        "in use": (layer(x, training=False), case["x"]),
        "what is left": (np.where(is_out, case["x"], outputs), case["x"]),
    }
    if len(products) and case["x"].shape[-1] > 2:
        both = ~np.isnan(case["x"][..., [0, 2]]).any(axis=-1)
        found["of one product"] = (is_out[..., 0][both], is_out[..., 2][both])
        found["of no product"] = (is_out[..., 1], np.zeros(both.shape))
    if case["step"] == 1.0:
        found["all of it"] = (np.isnan(outputs[..., 0]), np.ones(outputs.shape[:-1]))
    return found


def _grud(case: dict[str, Any], x: Any, rng: Any) -> dict[str, Any]:
    mean = rng.normal(size=case["x"].shape[-1])
    layer = layers.GRUD(case["units"], True, mean=mean, dtype="float64")
    layer.build(case["x"].shape)
    for weight in layer.trainable_weights:
        weight.assign(rng.normal(size=weight.shape))
    weights = {weight.name: np.asarray(weight) for weight in layer.trainable_weights}
    shape = case["x"].shape[:2]
    times = case.get("times", np.broadcast_to(np.arange(shape[1]), shape))
    kept = case.get("mask", np.ones(shape, bool))
    states = layer(x, times=case.get("times"), mask=case.get("mask"))
    return {"states": (states, gru_d(case["x"], times, kept, weights, mean))}


DEFINITIONS = {
    "Impute": _impute,
    "Normalization": _normalization,
    "Masking": _masking,
    "MaskedMean": _masked_mean,
    "MissingDropout": _missing_dropout,
    "GRUD": _grud,
}
# NaN stays in what these give, and so in the gradients where it is.
NAN_STAYS = ("Normalization", "MissingDropout")


def check(case: dict[str, Any]) -> None:
    x = tf.constant(case["x"])
    with tf.GradientTape() as tape:
        tape.watch(x)
        found = DEFINITIONS[case["name"]](case, x, np.random.default_rng(case["seed"]))
        first = next(iter(found.values()))[0]
    for name, (actual, expected) in found.items():
        actual, expected = np.asarray(actual), np.asarray(expected)
        if actual.shape != expected.shape:
            raise Disagreement(f"{name}: shape {actual.shape} instead of {expected.shape}")
        largest = np.nanmax(np.abs(expected.astype(float)), initial=1.0)
        if not np.allclose(actual, expected, rtol=1e-9, atol=1e-9 * largest, equal_nan=True):
            raise Disagreement(f"{name} of {case['name']}: {actual} instead of {expected}")
    if case["name"] not in NAN_STAYS:
        slopes = np.asarray(tape.gradient(first, x, unconnected_gradients="zero"))
        if not np.isfinite(slopes).all():
            raise Disagreement(f"the gradient of {case['name']} has {slopes[~np.isfinite(slopes)]}")


def smaller(case: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield from shrinking.smaller_options(case, {"times": None, "mask": None, "elapsed": False})
    yield from shrinking.smaller_arrays(case, ["x", "times", "mask"])


def program(case: dict[str, Any]) -> str:
    return shrinking.checked_again("layers", case)
