"""How losses are reduced: the options `reduction`, `balance` and `normalizer`."""

import math
import sys
from typing import Any

import numpy as np
import tensorflow as tf

from masklstm._core.refusals import number_or_nan, one_of, out_of_domain, unknown_name
from masklstm._core.types import INTEGER_DTYPES, PREDICTION_DTYPES

REDUCTIONS = ("sum_over_batch_size", "mean", "mean_with_sample_weight", "sum", "none", None)

BALANCES = ("sample", "timestep", "feature", None)

_SMALLEST = sys.float_info.min  # with all its digits


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


def standardize_normalizer(normalizer: Any, reduction: str) -> float | tf.Tensor | None:
    """The number that takes the place of a mean's divisor; a tensor as a float64 scalar."""
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
        if normalizer.dtype not in (*PREDICTION_DTYPES, *INTEGER_DTYPES):
            raise ValueError(
                "Expected 'normalizer' to be a number. "
                f"Received: normalizer with dtype {normalizer.dtype.name}"
            )
        return tf.reshape(tf.cast(normalizer, tf.float64), [])
    number = number_or_nan(normalizer)
    if isinstance(normalizer, (bool, np.bool_)) or not _SMALLEST <= number < math.inf:
        domain = f"(0, inf), and not below {_SMALLEST}, which TensorFlow takes for 0"
        raise out_of_domain("normalizer", domain, normalizer)
    return number


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
