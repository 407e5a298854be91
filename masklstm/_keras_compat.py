"""The only file that touches Keras's or TensorFlow's internals."""

import inspect
from typing import Any

import keras
import tensorflow as tf
from tensorflow.python.framework import op_def_registry

__all__ = [
    "cast_keeping_mask",
    "complete_config",
    "copy_direction",
    "get_attribute",
    "get_keras_mask",
    "metric_function",
    "op_def_registry",
    "row_axis",
    "set_direction",
    "stand_in",
    "with_keras_mask",
]

if keras.backend.backend() != "tensorflow":
    raise ImportError(
        "masklstm needs Keras's TensorFlow backend (environment variable "
        f"KERAS_BACKEND=tensorflow). Found: {keras.backend.backend()}"
    )


def get_keras_mask(tensor: Any) -> tf.Tensor | None:
    """The mask that Keras's layers hand on, on the tensor itself."""
    return getattr(tensor, "_keras_mask", None)


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
