"""Masked losses in pure TensorFlow: the definition that the native op is tested against.

Written for clarity: every intermediate has the labels' full shape. It is derived from the
definitions and shares no formula with the native code.
"""

import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from masklstm._core.arguments import Tensors, broadcast_left, standardize_tensors
from masklstm._core.missing import is_observed
from masklstm._core.reductions import check_balance, group_axis
from masklstm._core.refusals import check_not_lost
from masklstm._core.totals import MaskedSums, Reduction, divided
from masklstm.reference import channels, elements
from masklstm.reference.registry import CHANNELS, DOMAINS, LOSSES, check_loss, num_channels

__all__ = ["CHANNELS", "DOMAINS", "LOSSES", "channels", "elements", "masked_loss", "masked_sums"]


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
    balance: str | None = None,
    normalizer: Any = None,
    **parameters: Any,
) -> tf.Tensor:
    """`masklstm.ops.masked_loss` in pure TensorFlow; see there for arguments and results.

    Example:

    >>> import masklstm
    >>> loss = masklstm.reference.masked_loss([1.0, float("nan"), 3.0], [2.0, 5.0, 5.0])
    >>> float(loss)
    2.5
    """
    how = Reduction.of(reduction, balance, normalizer)
    channels = num_channels(loss, parameters)
    tensors = standardize_tensors(y_true, y_pred, sample_weight, mask, missing, channels)
    return loss_of_tensors(tensors, loss, parameters, how)


def loss_of_tensors(
    tensors: Tensors, loss: str, parameters: dict[str, Any], how: Reduction
) -> tf.Tensor:
    """`masked_loss` of standardised arguments."""
    reduction, balance, normalizer = how
    if normalizer is not None:
        normalizer = tf.convert_to_tensor(normalizer, tf.float64)
    elements = _elements(tensors, loss, parameters)
    if balance is not None:
        result = _balanced(_sums(elements, _other_axes(elements, balance)), reduction, normalizer)
    elif reduction in ("none", "sum"):
        result = _row_means(elements)
        if reduction == "sum":
            result = tf.reduce_sum(result)
    else:
        sums = _sums(elements)
        divisor = sums.weight_sum
        if reduction == "mean":
            divisor = tf.cast(sums.valid_count, tf.float64)
        if normalizer is not None:
            divisor = normalizer
        result = divided(sums.loss_sum, divisor)
    return tf.cast(result, tensors.computing_dtype)


def masked_sums(
    y_true: Any,
    y_pred: Any,
    loss: str = "squared_error",
    sample_weight: Any = None,
    mask: Any = None,
    missing: Any = float("nan"),
    balance: str | None = None,
    **parameters: Any,
) -> MaskedSums:
    """`masklstm.ops.masked_sums` in pure TensorFlow; see there for arguments and results.

    Example:

    >>> import masklstm
    >>> sums = masklstm.reference.masked_sums([1.0, float("nan"), 3.0], [2.0, 5.0, 5.0])
    >>> float(sums.loss_sum), float(sums.weight_sum), int(sums.valid_count)
    (5.0, 2.0, 2)
    """
    check_balance(balance)
    channels = num_channels(loss, parameters)
    tensors = standardize_tensors(y_true, y_pred, sample_weight, mask, missing, channels)
    return sums_of_tensors(tensors, loss, parameters, balance)


def sums_of_tensors(
    tensors: Tensors, loss: str, parameters: dict[str, Any], balance: str | None
) -> MaskedSums:
    """`masked_sums` of standardised arguments."""
    elements = _elements(tensors, loss, parameters)
    return _sums(elements, None if balance is None else _other_axes(elements, balance))


def _elements(tensors: Tensors, loss: str, parameters: dict[str, Any]) -> _Elements:
    y_true, y_pred, mask, missing = tensors.y_true, tensors.y_pred, tensors.mask, tensors.missing
    valid = is_observed(y_true, missing)
    if mask is not None:
        valid &= broadcast_left(mask, y_true)

    # NaN times 0 is NaN, and so is the gradient of a NaN that tf.where throws away afterwards:
    # what must not count is replaced before any arithmetic sees it.
    def where_valid(x: tf.Tensor) -> tf.Tensor:
        return tf.where(valid, x, tf.zeros_like(x))

    dtype = tensors.computing_dtype
    if loss in CHANNELS:
        losses = where_valid(_losses_of_channels(tensors, valid, loss, parameters))
    else:
        y_true, y_pred = tf.cast(y_true, dtype), tf.cast(y_pred, dtype)
        losses = _formula(loss, parameters, dtype)(where_valid(y_true), where_valid(y_pred))
        losses = tf.cast(where_valid(losses), tf.float64)
    weight = tf.cast(valid, tf.float64)
    for small in tensors.weights:
        weight *= tf.cast(where_valid(broadcast_left(small, valid)), tf.float64)
    return _Elements(valid, weight, weight * losses)


def _losses_of_channels(
    tensors: Tensors, valid: tf.Tensor, loss: str, parameters: dict[str, Any]
) -> tf.Tensor:
    """In float64; what must not count is replaced by 1/2, which every support and scale has."""

    def safe(x: tf.Tensor) -> tf.Tensor:
        x = tf.cast(x, tf.float64)
        return tf.where(valid, x, tf.fill(tf.shape(x), tf.constant(0.5, tf.float64)))

    channels = [safe(tensors.y_pred[..., c]) for c in range(num_channels(loss, parameters))]
    return LOSSES[loss](safe(tensors.y_true), *channels, **parameters)


def _formula(loss: str, parameters: dict[str, Any], dtype: tf.DType) -> Callable[..., tf.Tensor]:
    check_loss(loss, parameters)
    formula = LOSSES[loss]
    if "epsilon" in inspect.signature(formula).parameters:
        parameters = {"epsilon": keras.config.epsilon(), **parameters}
    for name, value in parameters.items():
        check_not_lost(name, DOMAINS[loss][name], value, dtype)
    return lambda y_true, y_pred: formula(y_true, y_pred, **parameters)


def _sums(elements: _Elements, axes: tf.Tensor | None = None) -> MaskedSums:
    return MaskedSums(
        tf.reduce_sum(elements.weighted_loss, axes),
        tf.reduce_sum(elements.weight, axes),
        tf.math.count_nonzero(elements.valid, axes),
    )


def _other_axes(elements: _Elements, balance: str) -> tf.Tensor:
    """All axes but that of the groups."""
    valid = elements.valid
    axis, rank = group_axis(balance, valid), tf.rank(valid)
    if valid.shape.rank is None:
        text = f"has no axis for balance={balance!r}"
        has_axis = rank >= (1 if balance == "sample" else 2)
        check = tf.debugging.Assert(has_axis, ["y_true of shape", tf.shape(valid), text])
        with tf.control_dependencies([check]):
            rank = tf.identity(rank)
    axis %= rank
    return tf.concat([tf.range(axis), tf.range(axis + 1, rank)], axis=0)


def _balanced(sums: MaskedSums, reduction: str, normalizer: tf.Tensor | None) -> tf.Tensor:
    """Every group that has a label (or a weight) counts equally."""
    divisor = tf.cast(sums.valid_count, tf.float64)
    if reduction == "mean_with_sample_weight":
        divisor = sums.weight_sum
    counts = divisor != 0
    total = tf.reduce_sum(divided(sums.loss_sum, divisor))
    if reduction == "sum":
        return total
    number = tf.reduce_sum(tf.cast(counts, tf.float64)) if normalizer is None else normalizer
    return divided(total, number)


def _row_means(elements: _Elements) -> tf.Tensor:
    if elements.valid.shape.rank == 0:
        return elements.weighted_loss
    count = tf.math.count_nonzero(elements.valid, axis=-1)
    total = tf.reduce_sum(elements.weighted_loss, axis=-1)
    return tf.math.divide_no_nan(total, tf.cast(count, tf.float64))
