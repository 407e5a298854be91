"""Weights of classes, as the weights of the labels that say them."""

import math
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from masklstm._core import row_layout
from masklstm._core.own_weights import list_of_numbers
from masklstm._core.row_layout import RowLayout

# Those of Keras's losses of rows whose rows are classes.
_OF_ONE_HOT_LABELS = (
    keras.losses.CategoricalCrossentropy,
    keras.losses.categorical_crossentropy,
    keras.losses.CategoricalFocalCrossentropy,
    keras.losses.categorical_focal_crossentropy,
    keras.losses.CategoricalHinge,
    keras.losses.categorical_hinge,
)


def standardize_class_weight(class_weight: Any) -> dict[int, float] | list[float] | None:
    """A dict of classes and weights, or a list of one weight for each class."""
    if class_weight is None:
        return None
    if isinstance(class_weight, Mapping):
        weights = list_of_numbers(list(class_weight.values()))
        # JSON has the classes as text.
        is_right = bool(weights) and all(str(each).isdigit() for each in class_weight)
    else:
        weights = list_of_numbers(class_weight)
        is_right = any(weights)
    if not is_right or not all(0 <= each < math.inf for each in weights):
        raise ValueError(
            "Invalid value for argument 'class_weight'. Expected a dict of classes (0, 1, ...) and "
            "weights, or a list of one weight for each class, not all of them 0: numbers in "
            f"[0, inf). Received: class_weight={class_weight!r}"
        )
    if isinstance(class_weight, Mapping):
        return {int(each): weight for each, weight in zip(class_weight, weights, strict=True)}
    return weights


def check_has_classes(inner: Any, layout: RowLayout) -> None:
    """Refuses a loss whose labels are no classes."""
    is_of_classes = layout.has_class_labels or (
        layout.axis is not None
        and not layout.is_of_sequences
        and (row_layout.is_one_of(inner, _OF_ONE_HOT_LABELS) or not row_layout.is_of_keras(inner))
    )
    if not is_of_classes:
        raise ValueError(
            "Argument 'class_weight' is for losses whose labels are classes, as whole numbers or "
            "one-hot. For binary labels masklstm.losses.BinaryCrossentropy has 'pos_weight'. "
            f"Received: class_weight with a loss that counts {layout.counts}s"
        )


def weight_of_rows(
    class_weight: dict[int, float] | list[float],
    layout: RowLayout,
    y_true: tf.Tensor,
    y_pred: tf.Tensor,
    rows: tf.Tensor,
) -> tf.Tensor:
    """The weight of each row: that of its class, for one-hot labels the mean of the weights of the
    classes, by what the label says of each; of any value where a row is not valid.
    """
    number = y_pred.shape[layout.axis]
    if number is None:
        raise ValueError(
            "Argument 'class_weight' needs a known number of classes. Received: y_pred with shape "
            f"{y_pred.shape}"
        )
    table = tf.constant(_table(class_weight, number), y_pred.dtype)
    if layout.has_class_labels:
        classes = tf.cast(tf.where(rows, y_true, tf.zeros_like(y_true)), tf.int64)
        return tf.gather(table, tf.clip_by_value(classes, 0, number - 1))
    labels = tf.where(tf.expand_dims(rows, layout.axis), y_true, tf.zeros_like(y_true))
    return tf.tensordot(tf.cast(labels, y_pred.dtype), table, [[layout.axis], [0]])


def _table(class_weight: dict[int, float] | list[float], number: int) -> Any:
    if isinstance(class_weight, dict):
        table = np.ones(number)
        fits = max(class_weight) < number
        if fits:
            table[list(class_weight)] = list(class_weight.values())
    else:
        table, fits = np.array(class_weight), len(class_weight) == number
    if not fits:
        raise ValueError(
            f"Invalid value for argument 'class_weight'. Expected weights of the {number} classes "
            f"that y_pred has. Received: class_weight={class_weight!r}"
        )
    return table
