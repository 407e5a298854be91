"""`masklstm.ops.masked_loss` in TensorFlow, eager and in graphs: with balance and gradients."""

from typing import Any

import numpy as np
import tensorflow as tf
from gpu import formulas

from campaign import oracle, shrinking
from campaign.parts import _elements
from campaign.parts._elements import smaller as smaller
from masklstm import ops

CASES = 120_000
REDUCTIONS = ["mean", "mean_with_sample_weight", "sum", "none"]
AXES = {"sample": 0, "timestep": 1, "feature": -1}


def draw(rng: Any) -> dict[str, Any]:
    case = _elements.draw(rng)
    case["reduction"] = str(rng.choice(REDUCTIONS))
    rank = case["y_true"].ndim
    if case["reduction"] != "none" and rng.random() < 0.3:
        names = ["sample"] if rank == 1 else list(AXES)
        case["balance"] = str(rng.choice(names))
    return case


def check(case: dict[str, Any]) -> None:
    value, gradient = value_and_gradient(case)
    compare_with_oracle(case, value.numpy(), gradient.numpy())


def compare_with_oracle(case: dict[str, Any], value: Any, gradient: Any) -> None:
    losses, slopes, valid, weights = _elements.exact(case)
    dtype, reduction = _elements.computing(case), case["reduction"]
    if "balance" in case:
        axis = AXES[case["balance"]]
        expected = oracle.balanced(losses, valid, weights, reduction, axis)
        sizes = _elements.sizes(case, losses)
        size = oracle.balanced(sizes, valid, weights, reduction, axis)
        _elements.compare("the loss", value, expected, size, dtype)
        return
    expected, factors = formulas.reduce(losses, valid, weights, reduction)
    size, _ = formulas.reduce(_elements.sizes(case, losses), valid, weights, reduction)
    _elements.compare("the loss", value, expected, size, dtype)
    slopes = np.where(valid, slopes, 0.0)
    _elements.compare("the gradient", gradient, factors * slopes, np.abs(factors), dtype)


def value_and_gradient(case: dict[str, Any]) -> tuple[Any, Any]:
    y_pred = tf.convert_to_tensor(case["y_pred"])
    rest = {name: value for name, value in case.items() if name != "y_pred"}
    with tf.GradientTape() as tape:
        tape.watch(y_pred)
        value = ops.masked_loss(y_pred=y_pred, **rest)
    return value, tape.gradient(value, y_pred)


def program(case: dict[str, Any]) -> str:
    return f"""import ml_dtypes
import numpy as np
import tensorflow as tf
from gpu import formulas

from masklstm import ops

case = dict(
    {shrinking.arguments(case)}
)
y_pred = tf.constant(case.pop("y_pred"))
with tf.GradientTape() as tape:
    tape.watch(y_pred)
    loss = ops.masked_loss(y_pred=y_pred, **case)
print(loss, tape.gradient(loss, y_pred))
"""
