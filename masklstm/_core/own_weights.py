"""Weights that belong to a loss: of features (the last axis) and of steps (the second one).

`fit` takes no arrays of such shapes as sample weights, since they have no entry for each sample.
"""

import math
from typing import Any

import numpy as np
import tensorflow as tf

from masklstm._core.arguments import Tensors
from masklstm._core.refusals import number_or_nan

_AXES = {"feature_weights": -1, "step_weights": 1}
_NAMES = {-1: "the last axis", 1: "the second axis"}


def standardize_weights(name: str, weights: Any) -> list[float] | None:
    """Finite numbers that are not negative, one of them above 0; None stays None."""
    if weights is None:
        return None
    numbers = list_of_numbers(weights)
    if not (all(0 <= number < math.inf for number in numbers) and any(numbers)):
        raise ValueError(
            f"Invalid value for argument '{name}'. Expected a list of numbers in [0, inf), at "
            f"least one of them above 0, or None. Received: {name}={weights!r}"
        )
    return numbers


def list_of_numbers(values: Any) -> list[float]:
    """NaN for what is not a number; empty for what is no list of them."""
    if isinstance(values, (str, bytes, dict)) or np.ndim(values) != 1:
        return []
    return [
        math.nan if isinstance(value, (bool, np.bool_)) else number_or_nan(value)
        for value in values
    ]


def weight_of(
    feature_weights: list[float] | None, step_weights: list[float] | None, shape: tf.TensorShape
) -> np.ndarray[Any, np.dtype[np.float64]] | None:
    """Their product as an array with an axis for each of the labels', most of them of length 1."""
    given = {"feature_weights": feature_weights, "step_weights": step_weights}
    product = None
    for name, weights in given.items():
        if weights is not None:
            along = along_axis(name, weights, shape, _AXES[name])
            product = along if product is None else product * along
    return product


def along_axis(
    name: str, numbers: list[float], shape: tf.TensorShape, axis: int = -1
) -> np.ndarray[Any, np.dtype[np.float64]]:
    """One number for each entry of an axis, of labels or series of this shape; other axes of length
    1.
    """
    rank = shape.rank
    if rank is None or rank < 2:
        raise ValueError(
            f"Argument '{name}' needs an axis beside that of the samples, and a known number of "
            f"axes. Received: {name} for shape {shape}"
        )
    length = shape[axis]
    if length not in (None, len(numbers)):
        raise ValueError(
            f"Invalid value for argument '{name}'. Expected {length} numbers, one for each entry "
            f"of {_NAMES[axis]}, for shape {shape}. "
            f"Received: {len(numbers)} numbers, {name}={numbers!r}"
        )
    axes = [1] * rank
    axes[axis] = len(numbers)
    return np.reshape(numbers, axes)


def with_own_weight(
    tensors: Tensors, feature_weights: list[float] | None, step_weights: list[float] | None
) -> Tensors:
    """The tensors of a loss with these weights of its own."""
    of_predictions = tensors.y_pred.shape
    if of_predictions.rank != tensors.y_true.shape.rank:
        of_predictions = of_predictions[:-1]  # without the channels
    shape = tensors.y_true.shape.merge_with(of_predictions)
    weight = weight_of(feature_weights, step_weights, shape)
    if weight is None:
        return tensors
    return tensors._replace(
        y_true=with_lengths(tensors.y_true, feature_weights, step_weights),
        own_weight=tf.constant(weight, tensors.computing_dtype),
    )


def with_lengths(
    tensor: tf.Tensor, feature_weights: list[float] | None, step_weights: list[float] | None
) -> tf.Tensor:
    """Refuses other lengths of the axes that have weights."""
    return with_length(with_length(tensor, feature_weights, -1), step_weights, 1)


def with_length(tensor: tf.Tensor, numbers: list[float] | None, axis: int = -1) -> tf.Tensor:
    """Refuses another length of an axis when the op runs, where it is not known before: a single
    number would be repeated along it.
    """
    if numbers is None or tensor.shape[axis] is not None:
        return tensor
    lengths: list[int | None] = [None] * tensor.shape.rank
    lengths[axis] = len(numbers)
    return tf.ensure_shape(tensor, lengths)
