"""What both backends share: arguments are converted, aligned and refused where they do not fit.

The results' types are here as well; the backends do not import each other.
"""

import math
import operator
import sys
from collections.abc import Collection
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

REDUCTIONS = ("sum_over_batch_size", "mean", "mean_with_sample_weight", "sum", "none", None)
BALANCES = ("sample", "timestep", "feature", None)

PREDICTION_DTYPES = (tf.float16, tf.bfloat16, tf.float32, tf.float64)
_INTEGERS = (tf.int8, tf.int16, tf.int32, tf.int64, tf.uint8, tf.uint16, tf.uint32, tf.uint64)
LABEL_DTYPES = (*PREDICTION_DTYPES, *_INTEGERS, tf.bool)


_SMALLEST = sys.float_info.min  # with all its digits


class Tensors(NamedTuple):
    """Standardised arguments.

    `y_true` and `y_pred` have one shape and keep their dtypes. `sample_weight` (of the computing
    dtype) and `mask` (bool) are None or have at most that rank; their axes are those of `y_true`
    from the left, or 1.
    """

    y_true: tf.Tensor
    y_pred: tf.Tensor
    sample_weight: tf.Tensor | None
    mask: tf.Tensor | None
    missing: str
    """What a missing label is besides NaN: "nan", "nonfinite" or a number of `y_true`'s dtype; one
    of them, however many were asked for."""

    @property
    def computing_dtype(self) -> tf.DType:
        """float64 for float64 predictions, else float32: that of element losses and results."""
        return computing_dtype(self.y_pred)


class MaskedSums(NamedTuple):
    """Sums over the valid elements, of which every reduction can be made.

    Scalars; with a balance, vectors of one entry for each sample, step or feature.
    """

    loss_sum: tf.Tensor
    """Sum of w l; float64."""
    weight_sum: tf.Tensor
    """Sum of w; float64."""
    valid_count: tf.Tensor
    """Number of valid elements; int64."""


def computing_dtype(y_pred: tf.Tensor) -> tf.DType:
    return tf.float64 if y_pred.dtype == tf.float64 else tf.float32


def standardize_reduction(reduction: str | None) -> str:
    """One name for each reduction: "mean", "mean_with_sample_weight", "sum" or "none"."""
    if not (reduction is None or isinstance(reduction, str)) or reduction not in REDUCTIONS:
        raise ValueError(
            "Invalid value for argument 'reduction'. "
            f"Expected one of {one_of(REDUCTIONS)}. Received: reduction={reduction!r}"
        )
    if reduction == "sum_over_batch_size":
        return "mean"
    return reduction or "none"


def check_balance(balance: str | None, reduction: str | None = None) -> None:
    if not (balance is None or isinstance(balance, str)) or balance not in BALANCES:
        raise unknown_name("balance", balance, BALANCES)
    if balance is not None and reduction == "none":
        raise ValueError(
            "Argument 'balance' needs a reduction to one number. Received: "
            f"balance={balance!r} with reduction 'none', which returns the rows as they are"
        )


def standardize_normalizer(normalizer: Any, reduction: str) -> tf.Tensor | None:
    """The number that takes the place of a mean's divisor, as a float64 scalar."""
    if normalizer is None:
        return None
    if not reduction.startswith("mean"):
        raise ValueError(
            "Argument 'normalizer' takes the place of a mean's divisor. "
            f"Received: normalizer={normalizer!r} with reduction={reduction!r}"
        )
    if tf.is_tensor(normalizer):
        if normalizer.shape.rank not in (0, None):
            raise ValueError(
                "Expected 'normalizer' to be a scalar. "
                f"Received: normalizer with shape {normalizer.shape}"
            )
        if normalizer.dtype not in (*PREDICTION_DTYPES, *_INTEGERS):
            raise ValueError(
                "Expected 'normalizer' to be a number. "
                f"Received: normalizer with dtype {normalizer.dtype.name}"
            )
        return tf.reshape(tf.cast(normalizer, tf.float64), [])
    number = number_or_nan(normalizer)
    if isinstance(normalizer, (bool, np.bool_)) or not _SMALLEST <= number < math.inf:
        domain = f"(0, inf), and not below {_SMALLEST}, which TensorFlow takes for 0"
        raise out_of_domain("normalizer", domain, normalizer)
    return tf.constant(number, tf.float64)


def standardize_missing(missing: Any) -> str:
    """What a missing label is besides NaN, as text: "nan" for nothing, "nonfinite", a number that
    reads back to the same double, or several of them separated by commas.
    """
    if type(missing) is float:  # the usual case, in each call of a loss
        return repr(missing)
    if isinstance(missing, (list, tuple, set, frozenset)) or np.ndim(missing) == 1:
        marks = [_standardize_mark(mark, missing) for mark in missing]
        return _joined(marks)
    return _standardize_mark(missing, missing)


def _standardize_mark(mark: Any, missing: Any) -> str:
    if isinstance(mark, str) and mark in ("nan", "nonfinite"):
        return mark
    try:
        if isinstance(mark, (str, bool, np.bool_)):
            raise TypeError
        if hasattr(mark, "__index__"):  # an integer of any library
            mark = operator.index(mark)
        number = float(mark)
        if number != mark and not math.isnan(number):
            raise OverflowError
    except (TypeError, ValueError, OverflowError):
        raise ValueError(
            "Invalid value for argument 'missing'. Expected a number (an integer beyond 2^53 only "
            "if it is a float64), 'nan' or 'nonfinite', or a list of these. "
            f"Received: missing={missing!r}"
        ) from None
    return "nan" if math.isnan(number) else repr(number)


def _joined(marks: Collection[str]) -> str:
    """Several marks as one text, each once; NaN goes without saying."""
    return ",".join(dict.fromkeys(mark for mark in marks if mark != "nan")) or "nan"


def missing_option(missing: Any) -> Any:
    """A Keras object's `missing` as its config has it: "nonfinite", a number, or a list of them."""
    marks = [
        mark if mark == "nonfinite" else float(mark)
        for mark in standardize_missing(missing).split(",")
    ]
    return marks if len(marks) > 1 else marks[0]


def one_of(known: Collection[str | None]) -> str:
    """The names as Keras's errors list them, but always in the same order."""
    return "{" + ", ".join(map(repr, known)) + "}"


def unknown_name(argument: str, name: Any, known: Collection[str | None]) -> ValueError:
    return ValueError(
        f"Invalid value for argument '{argument}'. Expected one of {one_of(known)}. "
        f"Received: {argument}={name!r}"
    )


def out_of_domain(name: str, domain: str, value: Any) -> ValueError:
    return ValueError(
        f"Invalid value for argument '{name}'. Expected a number in {domain}. "
        f"Received: {name}={value!r}"
    )


def check_not_lost(name: str, domain: str, value: Any, dtype: tf.DType) -> None:
    """A number above 0 must be one in the computing dtype too: formulas divide by it."""
    least = float(np.finfo(dtype.as_numpy_dtype).tiny)
    if domain.startswith("(0,") and 0 < float(value) < least:
        raise out_of_domain(name, f"{domain}, for {dtype.name} of at least {least!r}", value)


def number_or_nan(value: Any) -> float:
    """NaN, which lies in no domain, for what is not a number."""
    try:
        return float("nan") if isinstance(value, str) else float(value)
    except (TypeError, ValueError, OverflowError):
        return float("nan")


def standardize_tensors(
    y_true: Any, y_pred: Any, sample_weight: Any, mask: Any, missing: Any
) -> Tensors:
    y_pred = to_tensor("y_pred", y_pred, PREDICTION_DTYPES, tf.float32)
    dtype = computing_dtype(y_pred)
    y_true, y_pred = match_ranks(to_tensor("y_true", y_true, LABEL_DTYPES, dtype), y_pred)
    if not y_true.shape.is_compatible_with(y_pred.shape):
        raise ValueError(
            "y_true and y_pred must have the same shape (a single trailing axis of length 1 may be "
            f"missing in one of them). Received: y_true with shape {y_true.shape}, y_pred with "
            f"shape {y_pred.shape}"
        )
    if sample_weight is not None:
        sample_weight = to_tensor("sample_weight", sample_weight, LABEL_DTYPES, dtype)
        sample_weight = align("sample_weight", cast(sample_weight, dtype), y_true)
    if mask is not None:
        mask = to_tensor("mask", mask, LABEL_DTYPES)
        mask = align("mask", cast(mask, tf.bool), y_true)
    missing = standardize_missing(missing)
    if missing != "nan":
        y_true, missing = with_one_sentinel(y_true, sentinel(missing, y_true.dtype))
    return Tensors(y_true, y_pred, sample_weight, mask, missing)


def with_one_sentinel(y_true: tf.Tensor, missing: str) -> tuple[tf.Tensor, str]:
    """Labels that are missing in one way alone, and that way: what the kernels take.

    Of several sentinels all become NaN, or where the dtype has none, the first one.
    """
    if "," not in missing:
        return y_true, missing
    marks = missing.split(",")
    numbers = ",".join(mark for mark in marks if mark != "nonfinite")
    is_number = ~is_observed(y_true, numbers)
    if y_true.dtype.is_floating:
        nan = tf.constant(math.nan, y_true.dtype)
        return tf.where(is_number, nan, y_true), "nonfinite" if "nonfinite" in marks else "nan"
    first = numbers.split(",")[0]
    return tf.where(is_number, _number_of(first, y_true.dtype), y_true), first


def group_axis(balance: str, y_true: tf.Tensor, name: str = "y_true") -> int:
    """The axis of the labels along which the groups lie; -1 for the last one."""
    axis = {"sample": 0, "timestep": 1, "feature": -1}[balance]
    if y_true.shape.rank is not None and y_true.shape.rank < (1 if balance == "sample" else 2):
        raise ValueError(
            f"Expected {name} to have an axis for balance={balance!r}: the first one is that of "
            "the samples, the second that of the steps, the last that of the features. "
            f"Received: {name} of shape {y_true.shape}"
        )
    return axis


def is_observed(y_true: tf.Tensor, missing: str) -> tf.Tensor:
    """Decided in the labels' own dtype: a cast can make others the sentinel's equals.

    `missing` is what `sentinel` returned for this dtype.
    """
    observed = tf.ones_like(y_true, tf.bool)
    marks = missing.split(",")
    if y_true.dtype.is_floating:
        observed = ~tf.math.is_nan(y_true)
        if "nonfinite" in marks:
            observed = tf.math.is_finite(y_true)
    for mark in marks:
        if mark not in ("nan", "nonfinite"):
            observed &= y_true != _number_of(mark, y_true.dtype)
    return observed


def _number_of(mark: str, dtype: tf.DType) -> tf.Tensor:
    number = float(mark) if dtype.is_floating else int(float(mark))
    return tf.constant(dtype.as_numpy_dtype(number))


def divided(value: tf.Tensor, divisor: tf.Tensor) -> tf.Tensor:
    """0 where there is nothing to divide by; but what is not finite stays so: weights that add up
    to 0 do not hide that the predictions have diverged.
    """
    hidden = tf.stop_gradient(tf.where(divisor == 0, value - value, tf.zeros_like(value)))
    return tf.math.divide_no_nan(value, divisor) + hidden


def broadcast_left(tensor: tf.Tensor, y_true: tf.Tensor) -> tf.Tensor:
    """Aligns with the labels from the left and repeats along the axes that are missing or 1."""
    missing_axes = tf.ones([tf.rank(y_true) - tf.rank(tensor)], tf.int32)
    aligned = tf.reshape(tensor, tf.concat([tf.shape(tensor), missing_axes], axis=0))
    return tf.broadcast_to(aligned, tf.shape(y_true))


@lru_cache(maxsize=256)
def sentinel(missing: str, dtype: tf.DType) -> str:
    """The sentinels as numbers of this dtype; "nan" if no label of this dtype can be one."""
    return _joined([_mark_of(mark, dtype) for mark in missing.split(",")])


def _mark_of(mark: str, dtype: tf.DType) -> str:
    if mark in ("nan", "nonfinite"):
        return mark
    number = float(mark)
    if dtype.is_floating:
        possible = math.isinf(number) or abs(number) <= float(dtype.max)
        number = float(dtype.as_numpy_dtype(number)) if possible else number
    elif dtype == tf.bool:
        possible = number in (0, 1)
    else:
        possible = number.is_integer() and dtype.min <= number <= dtype.max
    return repr(number) if possible else "nan"


def to_tensor(
    name: str, value: Any, dtypes: tuple[tf.DType, ...], dtype_hint: tf.DType | None = None
) -> tf.Tensor:
    """A tensor of one of the dtypes; the hint decides for Python numbers, which have none."""
    if isinstance(value, tf.Tensor) and value.dtype in dtypes:
        return value  # the rest takes longer than the op does on a small tensor
    if isinstance(value, np.ma.MaskedArray):
        raise ValueError(
            f"Expected '{name}' to be a plain array, since NumPy's masks would be lost. Fill the "
            f"gaps of labels with NaN: {name}.filled(numpy.nan). Received: a masked array"
        )
    if isinstance(value, (tf.RaggedTensor, tf.SparseTensor)):
        raise ValueError(
            f"Expected '{name}' to be a dense tensor: {_how_to_pad(name, value)}. "
            f"Received: {name} of type {type(value).__name__}"
        )
    try:
        if not hasattr(value, "dtype"):
            tensor = tf.convert_to_tensor(value, dtype_hint=dtype_hint)
        else:
            tensor = tf.convert_to_tensor(value)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"Expected '{name}' to be a tensor, an array or numbers. Received: {name} of type "
            f"{type(value).__name__} ({error})"
        ) from error
    if tensor.dtype not in dtypes:
        raise ValueError(
            f"Expected '{name}' to have one of the dtypes {[dtype.name for dtype in dtypes]}. "
            f"Received: {name} with dtype {tensor.dtype.name}"
        )
    return tensor


def _how_to_pad(name: str, value: Any) -> str:
    """What makes a ragged or sparse tensor a dense one, with what it lacks missing."""
    dtype = value.dtype
    function = "tf.sparse.to_dense(" if isinstance(value, tf.SparseTensor) else "to_tensor("
    first = f"{name}, " if isinstance(value, tf.SparseTensor) else ""
    if name not in ("y", "y_true"):
        return f"pad it by {function}{first}default_value=0)"
    if dtype == tf.bool:
        return "cast it to float32 and pad it with NaN"
    if dtype.is_floating:
        return f"pad it with NaN, by {function}{first}default_value=nan)"
    number = 0 if not dtype.is_integer else dtype.max if dtype.is_unsigned else -1
    return (
        f"pad it with a number that is no label, as by {function}{first}default_value={number}), "
        f"and say missing={number}"
    )


def cast(tensor: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
    return tensor if tensor.dtype == dtype else tf.cast(tensor, dtype)


def match_ranks(y_true: tf.Tensor, y_pred: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
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


def align(name: str, tensor: tf.Tensor, y_true: tf.Tensor) -> tf.Tensor:
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
