"""Masked losses in pure TensorFlow: the definition, and the oracle that the native op is tested by.

Written for clarity: every intermediate has the labels' full shape. It is derived from the
definitions and shares no formula with the native code.
"""

import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

import tensorflow as tf

from masklstm import _arguments
from masklstm._arguments import MaskedSums


def squared_error(y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
    return tf.square(y_pred - y_true)


def absolute_error(y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
    return tf.abs(y_pred - y_true)


def huber(y_true: tf.Tensor, y_pred: tf.Tensor, delta: float = 1.0) -> tf.Tensor:
    error = tf.abs(y_pred - y_true)
    quadratic = tf.minimum(error, tf.constant(delta, error.dtype))
    return 0.5 * tf.square(quadratic) + delta * (error - quadratic)


LOSSES: dict[str, Callable[..., tf.Tensor]] = {
    function.__name__: function for function in (squared_error, absolute_error, huber)
}


class _Elements(NamedTuple):
    """Tensors of the labels' full shape; the float64 ones are 0 where not valid."""

    valid: tf.Tensor
    weight: tf.Tensor
    weighted_loss: tf.Tensor


def masked_loss(
    y_true: Any,
    y_pred: Any,
    loss: str = "squared_error",
    sample_weight: Any = None,
    mask: Any = None,
    reduction: str | None = "mean",
    missing: Any = float("nan"),
    **parameters: float,
) -> tf.Tensor:
    """`masklstm.ops.masked_loss` in pure TensorFlow; see there for arguments and results.

    Example:

    >>> import masklstm
    >>> loss = masklstm.reference.masked_loss([1.0, float("nan"), 3.0], [2.0, 5.0, 5.0])
    >>> float(loss)
    2.5
    """
    reduction = _arguments.standardize_reduction(reduction)
    tensors = _arguments.standardize_tensors(y_true, y_pred, sample_weight, mask)
    elements = _elements(tensors, loss, missing, parameters)
    if reduction in ("none", "sum"):
        result = _row_means(elements)
        if reduction == "sum":
            result = tf.reduce_sum(result)
    else:
        sums = _sums(elements)
        divisor = sums.weight_sum
        if reduction == "mean":
            divisor = tf.cast(sums.valid_count, tf.float64)
        result = tf.math.divide_no_nan(sums.loss_sum, divisor)
    return tf.cast(result, tensors.y_pred.dtype)


def masked_sums(
    y_true: Any,
    y_pred: Any,
    loss: str = "squared_error",
    sample_weight: Any = None,
    mask: Any = None,
    missing: Any = float("nan"),
    **parameters: float,
) -> MaskedSums:
    """`masklstm.ops.masked_sums` in pure TensorFlow; see there for arguments and results.

    Example:

    >>> import masklstm
    >>> sums = masklstm.reference.masked_sums([1.0, float("nan"), 3.0], [2.0, 5.0, 5.0])
    >>> float(sums.loss_sum), float(sums.weight_sum), int(sums.valid_count)
    (5.0, 2.0, 2)
    """
    tensors = _arguments.standardize_tensors(y_true, y_pred, sample_weight, mask)
    return _sums(_elements(tensors, loss, missing, parameters))


def _elements(
    tensors: _arguments.Tensors, loss: str, missing: Any, parameters: dict[str, float]
) -> _Elements:
    y_true, y_pred, sample_weight, mask = tensors
    valid = _is_observed(y_true, missing)
    if mask is not None:
        valid &= _broadcast(mask, y_true)

    # NaN times 0 is NaN, and so is the gradient of a NaN that tf.where throws away afterwards:
    # what must not count is replaced before any arithmetic sees it.
    def where_valid(x: tf.Tensor) -> tf.Tensor:
        return tf.where(valid, x, tf.zeros_like(x))

    losses = _formula(loss, parameters)(where_valid(y_true), where_valid(y_pred))
    losses = tf.cast(where_valid(losses), tf.float64)
    weight = tf.ones_like(y_true) if sample_weight is None else _broadcast(sample_weight, y_true)
    weight = tf.cast(where_valid(weight), tf.float64)
    return _Elements(valid, weight, weight * losses)


def _is_observed(y_true: tf.Tensor, missing: Any) -> tf.Tensor:
    missing = _arguments.standardize_missing(missing)
    if missing == "nan":
        return ~tf.math.is_nan(y_true)
    if missing == "nonfinite":
        return tf.math.is_finite(y_true)
    return ~tf.math.is_nan(y_true) & (y_true != tf.constant(float(missing), y_true.dtype))


def _broadcast(tensor: tf.Tensor, y_true: tf.Tensor) -> tf.Tensor:
    """Aligns with the labels from the left and repeats along the axes that are missing or 1."""
    missing_axes = tf.ones(tf.rank(y_true) - tf.rank(tensor), tf.int32)
    aligned = tf.reshape(tensor, tf.concat([tf.shape(tensor), missing_axes], axis=0))
    return tf.broadcast_to(aligned, tf.shape(y_true))


def check_loss(loss: str, parameters: dict[str, float]) -> None:
    """Raises the error that `masked_loss` would raise for this loss and these parameters."""
    if loss not in LOSSES:
        raise _arguments.unknown_name("loss", loss, LOSSES)
    try:
        inspect.signature(LOSSES[loss]).bind(None, None, **parameters)
    except TypeError as error:
        raise TypeError(f"Loss '{loss}': {error}. Received: {parameters}") from None


def _formula(loss: str, parameters: dict[str, float]) -> Callable[..., tf.Tensor]:
    check_loss(loss, parameters)
    formula = LOSSES[loss]
    return lambda y_true, y_pred: formula(y_true, y_pred, **parameters)


def _sums(elements: _Elements) -> MaskedSums:
    return MaskedSums(
        tf.reduce_sum(elements.weighted_loss),
        tf.reduce_sum(elements.weight),
        tf.math.count_nonzero(elements.valid),
    )


def _row_means(elements: _Elements) -> tf.Tensor:
    if elements.valid.shape.rank == 0:
        return elements.weighted_loss
    count = tf.math.count_nonzero(elements.valid, axis=-1)
    total = tf.reduce_sum(elements.weighted_loss, axis=-1)
    return tf.math.divide_no_nan(total, tf.cast(count, tf.float64))
