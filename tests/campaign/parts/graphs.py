"""Graphs of losses, gradients and recurrent layers that somebody has edited: attributes, types,
inputs, constants. They are refused, or they run; they do not crash.
"""

import functools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from campaign.parts import _hostile
from campaign.parts.op_calls import run
from masklstm import layers, ops

CASES = 10_000
MAY_CRASH = True
NAN = float("nan")


def _loss_and_gradient(**options: Any) -> Callable[[], Any]:
    def results() -> Any:
        y_true = tf.constant([[1.0, NAN, 0.0], [0.0, 1.0, 1.0]])
        y_pred = tf.constant([[0.5, 0.2, 0.3], [0.1, 0.9, 0.6]])
        weight, mask = tf.constant([[1.0], [2.0]]), tf.constant([[True], [True]])
        with tf.GradientTape() as tape:
            tape.watch([y_pred, weight])
            loss = ops.masked_loss(y_true, y_pred, sample_weight=weight, mask=mask, **options)
        return loss, tape.gradient(loss, [y_pred, weight])

    return results


def _recurrent(layer: Any) -> Callable[[], Any]:
    def results() -> Any:
        x = tf.reshape(tf.range(24.0), [2, 4, 3]) / 24
        with tf.GradientTape() as tape:
            tape.watch(x)
            output = layer(x, mask=tf.constant([[True, True, False, True]] * 2))
        return output, tape.gradient(output, x)

    return results


def _bases() -> dict[str, Callable[[], Any]]:
    return {
        "mean": _loss_and_gradient(loss="huber", delta=0.7),
        "rows": _loss_and_gradient(loss="binary_crossentropy", reduction="none"),
        "weighted": _loss_and_gradient(reduction="mean_with_sample_weight", missing=-999.0),
        "balance": _loss_and_gradient(loss="log_cosh", balance="feature"),
        "lstm": _recurrent(layers.LSTM(2, return_sequences=True)),
        "gru": _recurrent(layers.GRU(2)),
    }


NAMES = ("mean", "rows", "weighted", "balance", "lstm", "gru")


@functools.cache
def _traced(name: str) -> Any:
    """A graph, and the names of its results."""
    function = tf.function(_bases()[name]).get_concrete_function()
    frozen = convert_variables_to_constants_v2(function)
    return frozen.graph.as_graph_def(), [output.name for output in frozen.outputs]


def draw(rng: Any) -> dict[str, Any]:
    seed = [int(each) for each in rng.integers(0, 2**31, int(rng.integers(1, 4)))]
    return {"base": str(rng.choice(NAMES)), "edits": seed}


def edited(case: dict[str, Any]) -> tuple[Any, list[str]]:
    original, outputs = _traced(case["base"])
    graph = tf.compat.v1.GraphDef()
    graph.CopyFrom(original)
    own = [node for node in graph.node if node.op.startswith("Masklstm>")]
    for seed in case["edits"]:
        rng = np.random.default_rng(seed)
        node = own[int(rng.integers(len(own)))]
        kind = int(rng.integers(5))
        if kind == 0:
            _edit_attribute(rng, node)
        elif kind == 1 and node.input:  # another input
            other = graph.node[int(rng.integers(len(graph.node)))]
            node.input[int(rng.integers(len(node.input)))] = other.name
        elif kind == 2 and node.input:
            del node.input[int(rng.integers(len(node.input)))]
        elif kind == 3:
            constants = [each for each in graph.node if each.op == "Const"]
            constant = constants[int(rng.integers(len(constants)))]
            tensor = tf.make_tensor_proto(_hostile.array(rng))
            constant.attr["value"].tensor.CopyFrom(tensor)
            constant.attr["dtype"].type = tensor.dtype
        else:
            names = [name for name in node.attr if not name.startswith("_")]
            if names:
                del node.attr[names[int(rng.integers(len(names)))]]
    return graph, outputs


def _edit_attribute(rng: Any, node: Any) -> None:
    names = sorted(node.attr)
    if not names:
        return
    attribute = node.attr[names[int(rng.integers(len(names)))]]
    kind = attribute.WhichOneof("value")
    if kind == "s":
        attribute.s = str(rng.choice(np.array(_hostile.TEXTS, object))).encode()
    elif kind == "i":
        attribute.i = int(rng.choice(_hostile.NUMBERS_OF_INPUTS))
    elif kind == "type":
        attribute.type = int(rng.integers(0, 25))
    elif kind == "b":
        attribute.b = not attribute.b
    elif kind == "list" and attribute.list.type:
        attribute.list.type[0] = int(rng.integers(0, 25))


def check(case: dict[str, Any]) -> None:
    run(*edited(case))


def smaller(case: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for index in range(len(case["edits"])):
        if len(case["edits"]) > 1:
            yield {**case, "edits": case["edits"][:index] + case["edits"][index + 1 :]}


def program(case: dict[str, Any]) -> str:
    return f"""# in tests/
from campaign.parts import graphs

case = {case!r}
print(graphs.edited(case))
graphs.check(case)
"""
