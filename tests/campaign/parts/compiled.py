"""The cases of `losses` in graphs, with shapes that are known or not, and compiled by XLA."""

from typing import Any

import tensorflow as tf

from campaign.parts import losses
from campaign.parts.losses import program
from campaign.parts.losses import smaller as smaller
from masklstm._core import library

__all__ = ["program"]

CASES = 2_500
MODES = ["graph", "no shapes", *(["xla"] if library.build.get("xla") else [])]


def draw(rng: Any) -> dict[str, Any]:
    return {**losses.draw(rng), "mode": str(rng.choice(MODES))}


def check(case: dict[str, Any]) -> None:
    case = dict(case)
    mode = case.pop("mode")
    tensors = {
        name: tf.constant(case[name])
        for name in ("y_true", "y_pred", "sample_weight", "mask")
        if name in case
    }
    names = list(tensors)
    options = {name: value for name, value in case.items() if name not in tensors}

    def results(*given: Any) -> Any:
        return losses.value_and_gradient(dict(zip(names, given, strict=True)) | options)

    specs = []
    for tensor in tensors.values():
        shape = [None] * tensor.shape.rank if mode == "no shapes" else tensor.shape
        specs.append(tf.TensorSpec(shape, tensor.dtype))
    function = tf.function(
        results, input_signature=specs, autograph=False, jit_compile=mode == "xla"
    )
    found = [each.numpy() for each in function(*tensors.values())]
    losses.compare_with_oracle(case, *found)
