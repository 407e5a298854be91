"""The only file that touches Keras's or TensorFlow's internals."""

import importlib
import inspect
from contextlib import nullcontext, suppress
from functools import cache
from types import SimpleNamespace
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf
from tensorflow.python.framework import op_def_registry
from tensorflow.python.ops import control_flow_util

__all__ = [
    "CompiledMetric",
    "averages_along_an_axis",
    "averages_first_batch",
    "begin_with_epoch",
    "cast_keeping_mask",
    "compiled_metrics",
    "complete_config",
    "copy_direction",
    "find_logits",
    "first_epoch",
    "get_attribute",
    "get_keras_mask",
    "given_metrics",
    "is_compiled_by_xla",
    "is_needed",
    "is_traced_for_export",
    "layers_within",
    "metric_function",
    "op_def_registry",
    "row_axis",
    "serves_workers",
    "set_direction",
    "specs_of_replica",
    "stand_in",
    "text_attribute",
    "those_of",
    "with_keras_mask",
]

if keras.backend.backend() != "tensorflow":
    raise ImportError(
        "masklstm needs Keras's TensorFlow backend (environment variable "
        f"KERAS_BACKEND=tensorflow). Found: {keras.backend.backend()}"
    )


def those_of(module: Any, *names: str) -> tuple[Any, ...]:
    """What this version of Keras has of losses, metrics and functions that newer ones have."""
    return tuple(getattr(module, name) for name in names if hasattr(module, name))


def get_keras_mask(tensor: Any) -> tf.Tensor | None:
    """The mask that Keras's layers hand on, on the tensor itself."""
    return getattr(tensor, "_keras_mask", None)


def find_logits(y_pred: Any) -> tuple[str, tf.Tensor] | None:
    """The activation ("Sigmoid" or "Softmax", along the last axis) that made these predictions, and
    the logits that it made them of; None where that cannot be seen.

    Keras's cross-entropies look there too, and compute from the logits: where a probability is so
    near to 0 or 1 that it is rounded or clipped, it has no gradient any more, and they have.
    """
    if not tf.is_tensor(y_pred):
        return None
    if not isinstance(y_pred, tf.__internal__.EagerTensor):
        name = y_pred.op.type
        return (name, y_pred.op.inputs[0]) if name in _ACTIVATIONS else None
    logits = getattr(y_pred, "_keras_logits", None)
    if logits is None or logits.shape != y_pred.shape or not y_pred.shape.rank:
        return None
    # Eager tensors know their logits, but not the function: a few rows tell.
    entries = y_pred.shape[-1]
    few_logits, few = (tf.reshape(x, [-1, entries])[:8] for x in (logits, y_pred))
    for name, activation in _ACTIVATIONS.items():
        if np.allclose(tf.cast(activation(few_logits) - few, tf.float32), 0, atol=1e-3):
            return name, logits
    return None


_ACTIVATIONS = {"Sigmoid": tf.math.sigmoid, "Softmax": tf.nn.softmax}


def cast_keeping_mask(tensor: Any, dtype: tf.DType) -> tf.Tensor:
    """The tensor in another type, with the mask that Keras's layers put on it."""
    return with_keras_mask(tf.cast(tensor, dtype), get_keras_mask(tensor))


def with_keras_mask(tensor: Any, mask: Any) -> Any:
    """The tensor itself, with the mask on it if there is one."""
    if mask is not None:
        tensor._keras_mask = mask
    return tensor


def get_attribute(op: Any, name: str) -> Any:
    """An attribute of an op. An eager tape has a stand-in for the op, whose own `get_attr` takes
    as long as a small op for each text.
    """
    attributes = getattr(op, "attrs", None)
    if not isinstance(attributes, tuple):
        return op.get_attr(name)
    return dict(zip(attributes[::2], attributes[1::2], strict=True))[name]


def text_attribute(op: Any, name: str) -> str:
    value = get_attribute(op, name)
    return str(value.decode() if isinstance(value, bytes) else value)


def is_needed(op: Any, index: int) -> bool:
    """False if an eager tape says that nobody asked for the gradient of this input of an op."""
    return index not in (getattr(op, "skip_input_indices", None) or ())


def is_compiled_by_xla() -> bool:
    """Whether a function is traced here that XLA will compile (`jit_compile=True`)."""
    graph = tf.compat.v1.get_default_graph()
    return bool(control_flow_util.GraphOrParentsInXlaContext(graph))


# Modules whose functions trace a model to write it down, for other processes to run.
_EXPORTERS = (
    "keras.src.export.",
    "tensorflow.lite.",
    "tensorflow.python.saved_model.",
    "tf2onnx.",
)


def is_traced_for_export() -> bool:
    """Whether a function is traced here whose graph is to be saved or converted."""
    if tf.executing_eagerly():
        return False
    frame = inspect.currentframe()
    while frame is not None:
        if frame.f_globals.get("__name__", "").startswith(_EXPORTERS):
            return True
        frame = frame.f_back
    return False


def metric_function(metric: Any) -> Any:
    """The function whose mean a Keras metric is; None if it is no mean of a function."""
    return getattr(metric, "_fn", None)


def set_direction(metric: Any, direction: str) -> None:
    """Tells Keras's callbacks which way is better, "up" or "down"."""
    metric._direction = direction


def copy_direction(metric: Any, other: Any) -> None:
    """Better is for one metric what it is for the other."""
    if hasattr(other, "_direction"):
        set_direction(metric, other._direction)


def stand_in(layer: Any, **attributes: Any) -> Any:
    """The layer with other attributes, for one call: it shares weights, cell and everything else.

    A call that changed the layer itself would be seen by calls in other threads.
    """
    other = object.__new__(type(layer))  # past Keras's __new__, which prepares a layer to be built
    vars(other).update({**vars(layer), **attributes})
    return other


def row_axis(loss_or_metric: Any) -> Any:
    """The axis (or axes, or None for all) that a Keras loss or metric reduces to one number."""
    arguments = getattr(loss_or_metric, "_fn_kwargs", {})
    return arguments.get("axis", getattr(loss_or_metric, "axis", -1))


def complete_config(loss_or_metric: Any) -> Any:
    """A loss or metric serialized with all of its arguments. Keras 3.15 forgets some, as the axis
    of CosineSimilarity and Huber's delta, and the dtype of every loss.
    """
    serialized = keras.saving.serialize_keras_object(loss_or_metric)
    if isinstance(loss_or_metric, (keras.losses.Loss, keras.metrics.Metric)):
        accepted = inspect.signature(type(loss_or_metric).__init__).parameters
        arguments = getattr(loss_or_metric, "_fn_kwargs", {})
        given = {**arguments, "dtype": loss_or_metric.dtype}
        for name in accepted.keys() & given.keys() - serialized["config"].keys():
            serialized["config"][name] = keras.saving.serialize_keras_object(given[name])
    return serialized


def layers_within(model: Any) -> list[Any]:
    """All layers of a model, those of its layers too."""
    layers: list[Any] = model._flatten_layers(include_self=False)
    return layers


def given_metrics(model: Any) -> list[Any]:
    """What `compile()` was given as metrics: names, functions, objects."""
    compiled = model._compile_metrics
    if compiled is None:
        return []
    given = [compiled._user_metrics, compiled._user_weighted_metrics]
    return [each for each in keras.tree.flatten(given) if each is not None]


class CompiledMetric(NamedTuple):
    """A metric that Keras has made of what `compile()` was given."""

    name: str
    """Its name in the logs."""
    metric: Any
    output: int
    is_weighted: bool


def compiled_metrics(model: Any) -> list[CompiledMetric]:
    """Those of a model that has seen its first batch."""
    compiled = model._compile_metrics
    if compiled is None or not compiled.built:
        return []
    found = [
        (metric, output, is_weighted)
        for is_weighted, of_outputs in enumerate(
            (compiled._flat_metrics, compiled._flat_weighted_metrics)
        )
        for output, metrics in enumerate(of_outputs)
        for metric in (metrics.metrics if metrics else ())
    ]
    # The results have an entry for each, in this order, under names that differ.
    return [
        CompiledMetric(name, metric, output, bool(is_weighted))
        for name, (metric, output, is_weighted) in zip(compiled.result(), found, strict=False)
    ]


def first_epoch(model: Any) -> int:
    """The epoch with which `fit` begins since a callback has restored what was before; else 0."""
    return model._initial_epoch or 0


def begin_with_epoch(model: Any, epoch: int) -> None:
    """Lets the `fit` that runs begin with an epoch, counted from 0."""
    model._initial_epoch = epoch


def specs_of_replica(epoch_iterator: Any) -> Any:
    """The structure of one replica's batches, without a look at the data."""
    spec = epoch_iterator._distributed_dataset.element_spec
    return keras.tree.map_structure(lambda leaf: getattr(leaf, "_value_specs", [leaf])[0], spec)


def serves_workers() -> bool:
    """Whether `fit` takes batches that each worker makes by itself, and its losses are those of all
    workers: since Keras 3.10.
    """
    return tuple(map(int, keras.__version__.split(".")[:2])) >= (3, 10)


@cache
def averages_along_an_axis() -> bool:
    """Whether this Keras averages the workers' logs along an axis, which scalars do not have.

    It is tried on a stand-in for several workers. A Keras that is built otherwise is left alone.
    """
    axes: list[Any] = []

    class Workers(tf.distribute.MultiWorkerMirroredStrategy):  # type: ignore[misc]  # no types
        extended = SimpleNamespace(_in_multi_worker_mode=lambda: True)

        def __init__(self) -> None: ...

        def reduce(self, reduce_op: Any, value: Any, axis: Any = None) -> Any:
            axes.append(axis)
            return value

    with suppress(Exception):
        trainer = importlib.import_module("keras.src.backend.tensorflow.trainer")
        trainer.reduce_per_replica(tf.constant(1.0), Workers(), "auto")
    return any(axis is not None for axis in axes)


@cache
def averages_first_batch() -> bool:
    """Whether this Keras averages the first batch over the replicas before it builds a model."""

    class Batch(tf.distribute.DistributedValues):  # type: ignore[misc]  # no types
        def __init__(self) -> None: ...

    class Replicas:
        averages = False

        def reduce(self, *_: Any, **__: Any) -> Any:
            self.averages = True

        def scope(self) -> Any:
            return nullcontext()

    replicas = Replicas()
    model = SimpleNamespace(
        _distribute_strategy=replicas,
        distribute_strategy=replicas,
        _symbolic_build=lambda **_: None,
    )

    class Epoch:
        """An epoch's only step, with its first and last number or, in Keras 3.10, one."""

        def __init__(self, *numbers: int) -> None:
            self.step = (*numbers, iter([(Batch(),)]))

        def __iter__(self) -> Any:
            return iter([self.step])

        def enumerate_epoch(self) -> Any:
            return iter([self.step])

    for numbers in ((0, 0), (0,)):
        with suppress(Exception):
            keras.Model._maybe_symbolic_build(model, iterator=Epoch(*numbers))
    return replicas.averages
