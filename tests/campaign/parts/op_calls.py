"""Each op of the library with attributes, types and shapes of all kinds, past Python's checks.

An op may refuse what it gets, by an error of TensorFlow's; it must not crash, nor write where it
should not.
"""

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import types_pb2

from campaign.parts import _hostile
from masklstm._core.keras_compat import op_def_registry

CASES = 12_000
MAY_CRASH = True
OPS = [
    "MaskedLoss",
    "MaskedGroupSums",
    "MaskedLossGrad",
    "MaskedLossElements",
    "Recurrent",
    "RecurrentGrad",
]
REFUSALS = (tf.errors.OpError, ValueError, TypeError, OverflowError, NotImplementedError)


def draw(rng: Any) -> dict[str, Any]:
    """An op, its attributes as (kind, value), and its inputs."""
    name = f"Masklstm>{rng.choice(OPS)}"
    definition = op_def_registry.get(name)
    attributes: dict[str, Any] = {}
    for attribute in definition.attr:
        if attribute.type == "type":
            kinds = list(attribute.allowed_values.list.type) or [types_pb2.DT_FLOAT]
            plain = types_pb2.DT_FLOAT if types_pb2.DT_FLOAT in kinds else kinds[0]
            chosen = plain if rng.random() < 0.7 else int(rng.choice([*kinds, 1, 2, 3, 8]))
            attributes[attribute.name] = ("type", int(chosen))
        elif attribute.type == "list(type)":
            count = int(rng.choice([0, 1, 1, 2, 3]))
            attributes[attribute.name] = ("types", rng.choice([1, 2], size=count).tolist())
        elif attribute.type == "int":
            small = int(rng.integers(0, 3))
            value = small if rng.random() < 0.9 else int(rng.choice(_hostile.NUMBERS_OF_INPUTS))
            attributes[attribute.name] = ("int", value)
        elif attribute.type == "bool":
            attributes[attribute.name] = ("bool", bool(rng.integers(2)))
        elif attribute.type == "string":
            allowed = [each.decode() for each in attribute.allowed_values.list.s]
            default = attribute.default_value.s.decode()
            usual = str(rng.choice(allowed)) if allowed else default
            odd = str(rng.choice(np.array(_hostile.TEXTS, object)))
            attributes[attribute.name] = ("text", usual if rng.random() < 0.8 else odd)
    like = _hostile.shape(rng)
    inputs = []
    for argument in definition.input_arg:
        kinds = [argument.type]
        if argument.type_attr:
            kinds = [attributes.get(argument.type_attr, ("type", 1))[1]]
        if argument.type_list_attr:
            kinds = attributes[argument.type_list_attr][1]
        if argument.number_attr:
            number = attributes.get(argument.number_attr, ("int", 0))[1]
            kinds = kinds * max(0, min(number, 3))
        for kind in kinds:
            dtype = (
                tf.as_dtype(int(kind)).name if int(kind) in (1, 2, 3, 6, 9, 10, 14, 19) else None
            )
            inputs.append(_hostile.array(rng, dtype, like))
    return {"op": name, "attributes": attributes, "inputs": inputs}


def graph_of(case: dict[str, Any]) -> tuple[Any, int]:
    graph = tf.compat.v1.GraphDef()
    graph.versions.producer = tf.version.GRAPH_DEF_VERSION
    node = tf.compat.v1.NodeDef(name="op", op=case["op"])
    for name, (kind, value) in case["attributes"].items():
        attribute = node.attr[name]
        if kind == "type":
            attribute.type = value
        elif kind == "types":
            attribute.list.type.extend(value)
        elif kind == "int":
            attribute.i = value
        elif kind == "bool":
            attribute.b = value
        else:
            attribute.s = value.encode()
    for index, value in enumerate(case["inputs"]):
        constant = graph.node.add(name=f"x{index}", op="Const")
        tensor = tf.make_tensor_proto(value)
        constant.attr["dtype"].type = tensor.dtype
        constant.attr["value"].tensor.CopyFrom(tensor)
        node.input.append(f"x{index}")
    graph.node.append(node)
    outputs = len(op_def_registry.get(case["op"]).output_arg)
    return graph, outputs


def check(case: dict[str, Any]) -> None:
    definition, outputs = graph_of(case)
    run(definition, [f"op:{index}" for index in range(outputs)])


def run(definition: Any, outputs: list[str]) -> None:
    """To its end, or to a refusal."""
    with suppress(*REFUSALS), tf.Graph().as_default() as graph:
        tf.import_graph_def(definition, name="")
        with tf.compat.v1.Session(graph=graph) as session:
            session.run(outputs)


def smaller(case: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for index, value in enumerate(case["inputs"]):
        plain = np.zeros(value.shape, value.dtype)
        if not np.array_equal(plain, value):
            inputs = [*case["inputs"][:index], plain, *case["inputs"][index + 1 :]]
            yield {**case, "inputs": inputs}


def program(case: dict[str, Any]) -> str:
    inputs = [
        f"({value.tolist()!r}, {value.dtype.name!r}, {value.shape})" for value in case["inputs"]
    ]
    return f"""# in tests/
import numpy as np
from campaign.parts import op_calls

case = {{
    "op": {case["op"]!r},
    "attributes": {case["attributes"]!r},
    "inputs": [
        np.array(value, dtype).reshape(shape) for value, dtype, shape in [{", ".join(inputs)}]
    ],
}}
op_calls.check(case)
"""
