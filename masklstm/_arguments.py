"""What both backends share: arguments are converted, aligned and refused where they do not fit.

The results' types are here as well; the backends do not import each other.
"""

import math
from collections.abc import Collection
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

REDUCTIONS = ("sum_over_batch_size", "mean", "mean_with_sample_weight", "sum", "none", None)


class Tensors(NamedTuple):
    """Standardised arguments.

    `y_true` and `y_pred` have one dtype, float32 or float64, and one shape. `sample_weight` (of the
    same dtype) and `mask` (bool) are None or have at most that rank; their axes are those of
    `y_true` from the left, or 1.
    """

    y_true: tf.Tensor
    y_pred: tf.Tensor
    sample_weight: tf.Tensor | None
    mask: tf.Tensor | None
    missing: str
    """What marks a missing label in `y_true` as it is now: "nan", "nonfinite" or a number."""


class MaskedSums(NamedTuple):
    """Sums over the valid elements, of which every reduction can be made."""

    loss_sum: tf.Tensor
    """Sum of w l; float64 scalar."""
    weight_sum: tf.Tensor
    """Sum of w; float64 scalar."""
    valid_count: tf.Tensor
    """Number of valid elements; int64 scalar."""


def standardize_reduction(reduction: str | None) -> str:
    """One name for each reduction: "mean", "mean_with_sample_weight", "sum" or "none"."""
    if not (reduction is None or isinstance(reduction, str)) or reduction not in REDUCTIONS:
        raise ValueError(
            "Invalid value for argument 'reduction'. "
            f"Expected one of {set(REDUCTIONS)}. Received: reduction={reduction!r}"
        )
    if reduction == "sum_over_batch_size":
        return "mean"
    return reduction or "none"


def standardize_missing(missing: Any) -> str:
    """One of "nan", "nonfinite", or the number as text that reads back to the same double."""
    if isinstance(missing, str) and missing in ("nan", "nonfinite"):
        return missing
    try:
        if isinstance(missing, (str, bool)):
            raise TypeError
        number = float(missing)
    except (TypeError, ValueError, OverflowError):
        raise ValueError(
            "Invalid value for argument 'missing'. Expected a number, 'nan' or 'nonfinite'. "
            f"Received: missing={missing!r}"
        ) from None
    return "nan" if math.isnan(number) else repr(number)


def unknown_name(argument: str, name: Any, known: Collection[str]) -> ValueError:
    return ValueError(
        f"Invalid value for argument '{argument}'. Expected one of {set(known)}. "
        f"Received: {argument}={name!r}"
    )


def out_of_domain(name: str, domain: str, value: Any) -> ValueError:
    return ValueError(
        f"Invalid value for argument '{name}'. Expected a number in {domain}. "
        f"Received: {name}={value!r}"
    )


def number_or_nan(value: Any) -> float:
    """NaN, which lies in no domain, for what is not a number."""
    try:
        return float("nan") if isinstance(value, str) else float(value)
    except (TypeError, ValueError, OverflowError):
        return float("nan")


def standardize_tensors(
    y_true: Any, y_pred: Any, sample_weight: Any, mask: Any, missing: Any
) -> Tensors:
    y_pred = _to_tensor("y_pred", y_pred)
    if not y_pred.dtype.is_floating:
        raise ValueError(
            "Expected 'y_pred' to have a floating-point dtype. "
            f"Received: y_pred with dtype {y_pred.dtype.name}"
        )
    dtype = tf.float64 if y_pred.dtype == tf.float64 else tf.float32
    y_pred = _cast(y_pred, dtype)
    y_true, y_pred = _match_ranks(_to_tensor("y_true", y_true, dtype), y_pred)
    if not y_true.shape.is_compatible_with(y_pred.shape):
        raise ValueError(
            "y_true and y_pred must have the same shape (a single trailing axis of length 1 may be "
            f"missing in one of them). Received: y_true with shape {y_true.shape}, y_pred with "
            f"shape {y_pred.shape}"
        )
    if sample_weight is not None:
        sample_weight = _cast(_to_tensor("sample_weight", sample_weight, dtype), dtype)
        sample_weight = _align("sample_weight", sample_weight, y_true)
    if mask is not None:
        mask = _align("mask", _cast(_to_tensor("mask", mask), tf.bool), y_true)
    missing = _sentinel(standardize_missing(missing), y_true.dtype)
    if y_true.dtype != dtype:
        if missing not in ("nan", "nonfinite"):
            # Other labels can become the sentinel's neighbour, or the sentinel itself, in a cast.
            observed = y_true != _number(missing, y_true.dtype)
            mask = observed if mask is None else observed & broadcast_left(mask, y_true)
            missing = "nan"
        y_true = tf.cast(y_true, dtype)
    return Tensors(y_true, y_pred, sample_weight, mask, missing)


def broadcast_left(tensor: tf.Tensor, y_true: tf.Tensor) -> tf.Tensor:
    """Aligns with the labels from the left and repeats along the axes that are missing or 1."""
    missing_axes = tf.ones([tf.rank(y_true) - tf.rank(tensor)], tf.int32)
    aligned = tf.reshape(tensor, tf.concat([tf.shape(tensor), missing_axes], axis=0))
    return tf.broadcast_to(aligned, tf.shape(y_true))


def _number(text: str, dtype: tf.DType) -> Any:
    return dtype.as_numpy_dtype(float(text) if dtype.is_floating else int(float(text)))


def _sentinel(missing: str, dtype: tf.DType) -> str:
    """Turns a number that no label of this dtype can be into "nan"."""
    if missing in ("nan", "nonfinite"):
        return missing
    number = float(missing)
    if dtype.is_floating:
        possible = math.isinf(number) or abs(number) <= float(dtype.max)
    elif dtype == tf.bool:
        possible = number in (0, 1)
    else:
        possible = number.is_integer() and dtype.min <= number <= dtype.max
    return missing if possible else "nan"


def _to_tensor(name: str, value: Any, dtype_hint: tf.DType | None = None) -> tf.Tensor:
    """A tensor of numbers; the hint decides for Python numbers, which have no dtype."""
    if isinstance(value, np.ma.MaskedArray):
        raise ValueError(
            f"Expected '{name}' to be a plain array, since NumPy's masks would be lost. Fill the "
            f"gaps of labels with NaN: {name}.filled(numpy.nan). Received: a masked array"
        )
    if isinstance(value, (tf.RaggedTensor, tf.SparseTensor)):
        raise ValueError(
            f"Expected '{name}' to be a dense tensor; pad ragged labels with NaN "
            f"(to_tensor(default_value=nan)). Received: {name} of type {type(value).__name__}"
        )
    if not hasattr(value, "dtype"):
        tensor = tf.convert_to_tensor(value, dtype_hint=dtype_hint)
    else:
        tensor = tf.convert_to_tensor(value)
    if not (tensor.dtype.is_floating or tensor.dtype.is_integer or tensor.dtype.is_bool):
        raise ValueError(
            f"Expected '{name}' to hold real numbers or booleans. "
            f"Received: {name} with dtype {tensor.dtype.name}"
        )
    return tensor


def _cast(tensor: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
    return tensor if tensor.dtype == dtype else tf.cast(tensor, dtype)


def _match_ranks(y_true: tf.Tensor, y_pred: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Adds or drops one trailing axis of length 1, as Keras's losses do.

    A vector is given the axis that the other has, since Keras reads it as one label per sample;
    otherwise the longer of the two loses its own.
    """
    rank_true, rank_pred = y_true.shape.rank, y_pred.shape.rank
    if rank_true is None or rank_pred is None or abs(rank_true - rank_pred) != 1:
        return y_true, y_pred
    longer, shorter = (y_true, y_pred) if rank_true > rank_pred else (y_pred, y_true)
    if longer.shape[-1] not in (1, None):  # None: tf.squeeze will check
        return y_true, y_pred
    if shorter.shape.rank == 1:
        shorter = tf.expand_dims(shorter, axis=-1)
    else:
        longer = tf.squeeze(longer, axis=-1)
    return (longer, shorter) if rank_true > rank_pred else (shorter, longer)


def _align(name: str, tensor: tf.Tensor, y_true: tf.Tensor) -> tf.Tensor:
    """Drops surplus trailing axes of length 1 and checks the others against the labels'."""
    if tensor.shape.rank is None or y_true.shape.rank is None:
        return tensor  # the op will check
    given = tensor.shape
    while tensor.shape.rank > y_true.shape.rank and tensor.shape[-1] in (1, None):
        tensor = tf.squeeze(tensor, axis=-1)
    fits = tensor.shape.rank <= y_true.shape.rank and all(
        length is None or length == 1 or full is None or length == full
        for length, full in zip(tensor.shape, y_true.shape, strict=False)
    )
    if not fits:
        hint = ""
        if given.rank < y_true.shape.rank and given == y_true.shape[-given.rank :]:
            axes = [1] * (y_true.shape.rank - given.rank) + given.as_list()
            hint = f" To apply it along the last axes, reshape it to {tuple(axes)}."
        raise ValueError(
            f"Incompatible shape for argument '{name}'. Expected a shape whose axes, from the "
            f"left, are those of y_true, {y_true.shape}, or 1. Received: {name} with shape "
            f"{given}.{hint}"
        )
    return tensor
