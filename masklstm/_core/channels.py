"""Predictions of several numbers for each label: channels, in an axis after those of the labels."""

from typing import Any

import tensorflow as tf

from masklstm._core.arguments import Tensors, match_ranks, standardize_tensors, to_tensor
from masklstm._core.types import LABEL_DTYPES, PREDICTION_DTYPES, computing_dtype


def split_channels(
    y_true: Any,
    y_pred: Any,
    sample_weight: Any,
    mask: Any,
    missing: Any,
    channels: int | None = None,
) -> tuple[Tensors, tf.Tensor]:
    """Aligned arguments, whose predictions are the first channel, and all of the channels.

    The latter have the labels' shape and one more axis. `channels` is how many are expected, or
    None for any number.
    """
    y_pred = to_tensor("y_pred", y_pred, PREDICTION_DTYPES, tf.float32)
    y_true = to_tensor("y_true", y_true, LABEL_DTYPES, computing_dtype(y_pred))
    number = y_pred.shape[-1] if y_pred.shape.rank else None
    is_right = y_pred.shape.rank != 0 and (channels in (None, number) or number is None)
    if is_right:
        labels, first = match_ranks(y_true, y_pred[..., 0])
        is_right = labels.shape.is_compatible_with(first.shape)
    if not is_right:
        raise ValueError(
            "y_pred must have the same shape as y_true (of which a trailing axis of length 1 may "
            f"be missing) and one more axis, of {channels or 'the'} channels. Received: y_true "
            f"with shape {y_true.shape}, y_pred with shape {y_pred.shape}"
        )
    if not (labels.shape.is_fully_defined() and first.shape.is_fully_defined()):
        labels = tf.reshape(labels, tf.shape(first))  # labels are never broadcast
    tensors = standardize_tensors(labels, first, sample_weight, mask, missing)
    shape = tf.concat([tf.shape(first), tf.shape(y_pred)[-1:]], axis=0)
    return tensors, tf.reshape(y_pred, shape)
