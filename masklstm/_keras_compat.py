"""The only file that touches Keras's or TensorFlow's internals."""

import inspect
from typing import Any

import keras
import tensorflow as tf
from tensorflow.python.framework import op_def_registry

__all__ = ["complete_config", "get_attribute", "get_keras_mask", "op_def_registry", "row_axis"]

if keras.backend.backend() != "tensorflow":
    raise ImportError(
        "masklstm's losses need Keras's TensorFlow backend (environment variable "
        f"KERAS_BACKEND=tensorflow). Found: {keras.backend.backend()}"
    )


def get_keras_mask(tensor: Any) -> tf.Tensor | None:
    """The mask that Keras's layers hand on, on the tensor itself."""
    return getattr(tensor, "_keras_mask", None)


def get_attribute(op: Any, name: str) -> Any:
    """An attribute of an op. An eager tape has a stand-in for the op, whose own `get_attr` takes
    as long as a small op for each text.
    """
    attributes = getattr(op, "attrs", None)
    if not isinstance(attributes, tuple):
        return op.get_attr(name)
    return dict(zip(attributes[::2], attributes[1::2], strict=True))[name]


def row_axis(loss: Any) -> Any:
    """The axis (or axes, or None for all) that a Keras loss reduces to one number."""
    return getattr(loss, "_fn_kwargs", {}).get("axis", getattr(loss, "axis", -1))


def complete_config(loss: Any) -> Any:
    """A loss serialized with all of its arguments. Keras 3.15 forgets some, as CosineSimilarity's
    axis and Huber's delta, and every dtype.
    """
    serialized = keras.saving.serialize_keras_object(loss)
    if isinstance(loss, keras.losses.Loss):
        accepted = inspect.signature(type(loss).__init__).parameters
        given = {**getattr(loss, "_fn_kwargs", {}), "dtype": loss.dtype}
        for name in accepted.keys() & given.keys() - serialized["config"].keys():
            serialized["config"][name] = keras.saving.serialize_keras_object(given[name])
    return serialized
