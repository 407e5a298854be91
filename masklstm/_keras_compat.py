"""The only file that touches Keras's or TensorFlow's internals."""

from typing import Any

import keras
import tensorflow as tf

if keras.backend.backend() != "tensorflow":
    raise ImportError(
        "masklstm's losses need Keras's TensorFlow backend (environment variable "
        f"KERAS_BACKEND=tensorflow). Found: {keras.backend.backend()}"
    )


def get_keras_mask(tensor: Any) -> tf.Tensor | None:
    """The mask that Keras's layers hand on, on the tensor itself."""
    return getattr(tensor, "_keras_mask", None)


def row_axis(loss: Any) -> Any:
    """The axis (or axes, or None for all) that a Keras loss reduces to one number."""
    return getattr(loss, "_fn_kwargs", {}).get("axis", getattr(loss, "axis", -1))
