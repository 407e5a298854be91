"""Labels as a user hands them over, and which of them are there."""

from typing import Any

import numpy as np
import tensorflow as tf

from masklstm import _arguments


def read_labels(y: Any, missing: Any) -> tuple[tf.Tensor, tf.Tensor]:
    """The labels as a tensor in their own dtype, and where there is one (bool)."""
    text = _arguments.standardize_missing(missing)
    if isinstance(y, dict):
        raise ValueError(
            "Expected 'y' to be the labels of one output. Take one of them, as by: "
            f"y[{next(iter(y), 'name')!r}]. Received: a dict with the keys {list(y)}"
        )
    if not hasattr(y, "dtype") and hasattr(y, "__array__"):  # a data frame
        y = y.__array__()
    if getattr(y, "dtype", None) == np.dtype(object):
        raise ValueError(
            "Expected 'y' to hold numbers, with NaN for what is missing. A data frame's own marks "
            "become NaN by to_numpy(dtype='float32', na_value=numpy.nan). Received: an array of "
            "dtype object"
        )
    labels = _arguments.to_tensor("y", y, _arguments.LABEL_DTYPES, tf.float64)
    sentinel = _arguments.sentinel(text, labels.dtype)
    return labels, _arguments.is_observed(labels, sentinel)
