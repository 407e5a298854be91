"""Which inputs are missing."""

from typing import Any

import tensorflow as tf
from keras import ops

from masklstm._core.missing import sentinel


def standardize_mask_value(value: Any) -> float:
    """The number that marks what is missing."""
    try:
        number = float(value)
        if isinstance(value, int) and number != value:  # it would be another one
            raise OverflowError
    except (TypeError, ValueError, OverflowError):
        raise ValueError(
            "Invalid value for argument 'mask_value'. Expected a number or NaN (an integer "
            "beyond 2^53 only if it is a float64). "
            f"Received: mask_value={value!r}"
        ) from None
    return number


def is_missing(inputs: Any, mask_value: float) -> Any:
    """Where the inputs are the mask value, a Python float; NaN is equal to NaN.

    A number is compared in the inputs' type; one that this type cannot hold marks nothing.
    """
    if mask_value != mask_value:
        return ops.isnan(inputs)
    dtype = tf.as_dtype(inputs.dtype)
    number = float(sentinel(repr(mask_value), dtype))
    if number != number:
        return ops.zeros_like(inputs, dtype="bool")
    return ops.equal(inputs, ops.cast(number if dtype.is_floating else int(number), inputs.dtype))


def mask_value_config(mask_value: float) -> dict[str, float]:
    """Nothing for NaN, the default, which would not be equal to itself after loading."""
    return {} if mask_value != mask_value else {"mask_value": mask_value}


def check_series(input_shape: Any) -> int:
    """The number of features of inputs `(batch, time, features)`; refuses others."""
    if len(input_shape) != 3 or input_shape[-1] is None:
        raise ValueError(
            "Expected inputs of shape (batch, time, features), with a known number of features. "
            f"Received: inputs with shape {tuple(input_shape)}"
        )
    return int(input_shape[-1])
