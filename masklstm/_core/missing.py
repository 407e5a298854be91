"""Which labels are missing: what `missing=` says, as text and for each type of labels."""

import math
import operator
from collections.abc import Collection
from functools import lru_cache
from typing import Any

import numpy as np
import tensorflow as tf

NAN = float("nan")


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
