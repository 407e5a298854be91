"""What is handed over as labels, predictions, weights and mask: converted, aligned, or refused."""

from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from masklstm._core.missing import is_observed, sentinel, standardize_missing, with_one_sentinel
from masklstm._core.types import LABEL_DTYPES, PREDICTION_DTYPES, cast, computing_dtype


class Tensors(NamedTuple):
    """Standardised arguments.

    `y_true` and `y_pred` have one shape, or `y_pred` has a last axis of channels besides, and keep
    their dtypes. The weights (of the computing dtype) and `mask` (bool) are None or have at most
    the rank of `y_true`; their axes are those of `y_true` from the left, or 1.
    """

    y_true: tf.Tensor
    y_pred: tf.Tensor
    sample_weight: tf.Tensor | None
    mask: tf.Tensor | None
    missing: str
    """What a missing label is besides NaN: "nan", "nonfinite" or a number of `y_true`'s dtype; one
    of them, however many were asked for."""
    own_weight: tf.Tensor | None = None
    """A second weight, which belongs to the loss; like `sample_weight`."""

    @property
    def computing_dtype(self) -> tf.DType:
        """float64 for float64 predictions, else float32: that of element losses and results."""
        return computing_dtype(self.y_pred)

    @property
    def weights(self) -> list[tf.Tensor]:
        """Those that there are; an element's weight is their product."""
        return [each for each in (self.sample_weight, self.own_weight) if each is not None]

    def valid(self) -> tf.Tensor:
        """Which labels are there and not masked out; of the labels' shape."""
        observed = is_observed(self.y_true, self.missing)
        return observed if self.mask is None else observed & broadcast_left(self.mask, observed)


def standardize_tensors(
    y_true: Any, y_pred: Any, sample_weight: Any, mask: Any, missing: Any, num_channels: int = 0
) -> Tensors:
    """`num_channels` is how many predictions the loss takes for each label, along an axis of
    `y_pred` that `y_true` does not have; 0 if there is no such axis.
    """
    y_pred = to_tensor("y_pred", y_pred, PREDICTION_DTYPES, tf.float32)
    dtype = computing_dtype(y_pred)
    y_true = to_tensor("y_true", y_true, LABEL_DTYPES, dtype)
    if num_channels:
        y_true, y_pred = match_channels(y_true, y_pred, num_channels)
    else:
        y_true, y_pred = match_ranks(y_true, y_pred)
        if not y_true.shape.is_compatible_with(y_pred.shape):
            raise ValueError(
                "y_true and y_pred must have the same shape (a single trailing axis of length 1 "
                f"may be missing in one of them). Received: y_true with shape {y_true.shape}, "
                f"y_pred with shape {y_pred.shape}"
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


def to_tensor(
    name: str, value: Any, dtypes: tuple[tf.DType, ...], dtype_hint: tf.DType | None = None
) -> tf.Tensor:
    """A tensor of one of the dtypes; the hint decides for Python numbers, which have none."""
    if isinstance(value, tf.Tensor) and value.dtype in dtypes:
        return value  # the rest takes longer than the op does on a small tensor
    _refuse_masked_array(name, value)
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


def predictions_to_tensor(y_pred: Any, dtype: str | None = None) -> tf.Tensor:
    """As Keras's losses take them: of any type, or of this one."""
    _refuse_masked_array("y_pred", y_pred)
    return keras.ops.convert_to_tensor(y_pred, dtype=dtype)


def _refuse_masked_array(name: str, value: Any) -> None:
    if isinstance(value, np.ma.MaskedArray):
        raise ValueError(
            f"Expected '{name}' to be a plain array, since NumPy's masks would be lost. Fill the "
            f"gaps of labels with NaN: {name}.filled(numpy.nan). Received: a masked array"
        )


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


def match_channels(
    y_true: tf.Tensor, y_pred: tf.Tensor, num_channels: int
) -> tuple[tf.Tensor, tf.Tensor]:
    """Labels and predictions whose last axis has the channels.

    The labels' trailing axis of length 1 may be missing, and so may the predictions'. A single
    channel needs no axis.
    """
    rank_true, rank_pred = y_true.shape.rank, y_pred.shape.rank
    if rank_true is None or rank_pred is None:
        return y_true, y_pred  # the op will check
    given = y_true.shape, y_pred.shape
    if num_channels == 1 and rank_true == rank_pred and y_true.shape.is_compatible_with(given[1]):
        y_pred = tf.expand_dims(y_pred, -1)
    elif rank_true == rank_pred and given[0][-1:].is_compatible_with([1]):
        y_true = tf.squeeze(y_true, -1)
    elif rank_true + 2 == rank_pred and given[1][-2:-1].is_compatible_with([1]):
        y_true = tf.expand_dims(y_true, -1)
    if not y_pred.shape.is_compatible_with([*y_true.shape, num_channels]):
        number = f"{num_channels} prediction{'s' if num_channels > 1 else ''}"
        raise ValueError(
            f"The loss takes {number} for each label, side by side along a last axis of y_pred "
            f"that y_true does not have. Expected y_pred with shape "
            f"{(*given[0], num_channels)}. Received: y_true with shape {given[0]}, y_pred with "
            f"shape {given[1]}. See masklstm.layers.Distribution for a layer that makes them"
        )
    return y_true, y_pred


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


def broadcast_left(tensor: tf.Tensor, y_true: tf.Tensor) -> tf.Tensor:
    """Aligns with the labels from the left and repeats along the axes that are missing or 1."""
    missing_axes = tf.ones([tf.rank(y_true) - tf.rank(tensor)], tf.int32)
    aligned = tf.reshape(tensor, tf.concat([tf.shape(tensor), missing_axes], axis=0))
    return tf.broadcast_to(aligned, tf.shape(y_true))
