"""`masklstm.sample_weights`: filled labels and weights, for losses that know nothing of gaps."""

import math
from typing import Any

import keras
import tensorflow as tf

from masklstm._core.labels import name_of, outputs, read_labels, rebuild
from masklstm._core.missing import is_observed, sentinel, standardize_missing
from masklstm._core.refusals import number_or_nan, unknown_name

_KINDS = ("row", "element")


def sample_weights(
    y: Any, missing: Any = float("nan"), fill: float = 0.0, per: str = "row"
) -> tuple[Any, Any]:
    """Labels whose gaps are filled, and the weights that mask them, for use with another loss.

    A weight of 0 alone does not help, since NaN times 0 is NaN: the label must be filled as well.

    Formula: the labels are `where(is missing, fill, y)`. The weight of an element is 1 where its
    label is there, else 0; the weight of a row is 1 where all of its labels are, else 0.

    A Keras loss averages over the last axis first and then weighs the rows: it takes one weight for
    each row and cannot skip a single label within one. So a row that lacks one of
    several features is left out as a whole. (masklstm's losses skip only the label.) To skip
    single labels of several features all the same, let the loss see each as a row of its own: give
    labels and predictions one more axis of length 1 (`y[..., None]`, `keras.layers.Reshape`) and
    take weights per element.

    A Keras mean divides by the number of all rows, including those with weight 0: it is too small
    by their share. `reduction="mean_with_sample_weight"` divides by the weights; with it a loss has
    masklstm's value and gradient, for one feature or where whole rows are missing.

    Args:
        y: Labels, shape `(batch, ..., features)`; an array, tensor, data frame or list, floating
            point, integer or bool. NaN means missing, and so do None, pandas' NA and what NumPy
            masks. Several outputs, as `model.fit` takes them: a dict, tuple or list of such labels.
            (A list of numbers or of rows of numbers is one table; a list of arrays is one output
            for each: rows that are arrays become a table by `numpy.stack`.)
        missing: A number that means "no label" in addition to NaN, or `"nonfinite"` for the
            infinities.
        fill: What the gaps are filled with: a number for which the loss is finite. Class labels
            need a class, hinge losses 1.
        per: `"row"`, a weight for each entry of all axes but the last, as Keras's elementwise
            losses take it; labels with one axis are rows of one label each. `"element"`, a weight
            for each label, as for class labels `(batch, time)`.

    Returns:
        A pair: the labels in their own dtype, and the weights, of Keras's float type and of shape
        `y.shape[:-1]` or `y.shape`. Both are tensors for a tensor, so that
        `dataset.map(lambda x, y: (x, *masklstm.sample_weights(y)))` works, else NumPy arrays. For
        several outputs a pair of structures like `y`, which `model.fit` takes too.

    Raises:
        ValueError: For labels that are not numbers or are ragged, an unknown `per`, a `fill` that
            the labels' dtype cannot hold or that means missing itself.

    Example:

    >>> import keras, masklstm, numpy as np
    >>> y = np.array([[[1.0], [np.nan]], [[np.nan], [4.0]]], "float32")
    >>> labels, weights = masklstm.sample_weights(y)
    >>> labels[..., 0].tolist(), weights.tolist()
    ([[1.0, 0.0], [0.0, 4.0]], [[1.0, 0.0], [0.0, 1.0]])
    >>> predictions = np.full((2, 2, 1), 2.0, "float32")
    >>> loss = keras.losses.MeanSquaredError(reduction="mean_with_sample_weight")
    >>> float(loss(labels, predictions, weights))
    2.5
    >>> float(masklstm.losses.MeanSquaredError()(y, predictions))
    2.5
    >>> labels, weights = masklstm.sample_weights({"level": y, "flow": y[0]})
    >>> weights["flow"].tolist()
    [1.0, 0.0]

    Source: `keras.losses.Loss.__call__` defines what a weight weighs.
    """
    if not isinstance(per, str) or per not in _KINDS:
        raise unknown_name("per", per, _KINDS)
    return _weigh(y, missing, fill, per, ())


def _weigh(y: Any, missing: Any, fill: Any, per: str, keys: tuple[Any, ...]) -> tuple[Any, Any]:
    parts = outputs(y)
    if parts is not None:
        pairs = [_weigh(part, missing, fill, per, (*keys, key)) for key, part in parts]
        return rebuild(y, [labels for labels, _ in pairs]), rebuild(y, [w for _, w in pairs])
    name = name_of(keys)
    labels, observed = read_labels(y, missing, name)
    filled = tf.where(observed, labels, _standardize_fill(fill, missing, labels.dtype))
    if per == "row" and labels.shape.rank != 1:
        if labels.shape.rank is None:
            raise ValueError(
                f"Expected '{name}' to have a known rank for per='row'. Received: an unknown one"
            )
        observed = tf.reduce_all(observed, axis=-1) if labels.shape.rank else observed
    weights = tf.cast(observed, keras.config.floatx())
    if tf.is_tensor(y) or not tf.executing_eagerly():
        return filled, weights
    return filled.numpy(), weights.numpy()


def _standardize_fill(fill: Any, missing: Any, dtype: tf.DType) -> tf.Tensor:
    """The number in the labels' dtype; never one that means "no label"."""
    # As a sentinel of this dtype "nan" stands for every number that the dtype does not have.
    own = float(sentinel(repr(number_or_nan(fill)), dtype))
    if math.isfinite(own):
        kind = float if dtype.is_floating else bool if dtype == tf.bool else int
        with tf.init_scope():  # a number is what it is, within a graph as well
            number = tf.constant(kind(own), dtype)
            text = sentinel(standardize_missing(missing), dtype)
            if is_observed(number, text):
                return number
    raise ValueError(
        f"Invalid value for argument 'fill'. Expected a number of the labels' dtype, {dtype.name}, "
        f"that does not mean that a label is missing. Received: fill={fill!r}, missing={missing!r}"
    )
