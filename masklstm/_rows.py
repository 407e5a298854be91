"""What a loss or a metric of Keras takes as one row, and which rows have a label."""

from typing import Any, NamedTuple

import keras
import tensorflow as tf

from masklstm import _arguments

# What a loss and its function have in common, where it is not the rule.
# Labels are classes, of one axis less than the predictions; class -1 is no class.
WITH_CLASS_LABELS = (
    keras.losses.SparseCategoricalCrossentropy,
    keras.losses.sparse_categorical_crossentropy,
    keras.losses.CategoricalGeneralizedCrossEntropy,
    keras.losses.categorical_generalized_cross_entropy,
    keras.losses.Circle,
    keras.losses.circle,
)
OF_PAIRS_OF_ROWS = (keras.losses.Circle, keras.losses.circle)
OVER_SEVERAL_ROWS = (
    keras.losses.Dice,
    keras.losses.dice,
    keras.losses.Tversky,
    keras.losses.tversky,
)
OF_SEQUENCES = (keras.losses.CTC, keras.losses.ctc)


def is_one_of(loss: Any, kinds: tuple[Any, ...]) -> bool:
    """Whether it is one of these functions, or of these classes."""
    classes = tuple(kind for kind in kinds if isinstance(kind, type))
    return isinstance(loss, classes) or any(loss is kind for kind in kinds)


class RowLayout(NamedTuple):
    """How labels and predictions are cut into rows."""

    axis: int | None = -1
    """The axis of a row's entries in the predictions; None: each element is a row of its own."""
    has_class_labels: bool = False
    """A label is one class for the whole row of predictions; class -1 is no class."""
    is_of_sequences: bool = False
    """A row of labels has a length of its own."""

    def match_shapes(self, y_true: tf.Tensor, y_pred: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Drops or adds a single trailing axis, as Keras does; refuses what does not fit then."""
        for name, tensor in (("y_true", y_true), ("y_pred", y_pred)):
            if tensor.shape.rank is None:
                raise ValueError(
                    f"Expected '{name}' to have a known rank. Received: an unknown one"
                )
        given = y_true.shape, y_pred.shape
        axis_of_classes = self.axis if self.has_class_labels else None
        if self.is_of_sequences:
            expected, actual = y_pred.shape[:1], y_true.shape[:1]
        elif axis_of_classes is not None:
            if y_true.shape.rank == y_pred.shape.rank and y_true.shape[axis_of_classes] in (
                1,
                None,
            ):
                y_true = tf.squeeze(y_true, axis_of_classes)
            lengths = list(y_pred.shape)
            if lengths:
                del lengths[axis_of_classes]
            expected, actual = tf.TensorShape(lengths), y_true.shape
        else:
            y_true, y_pred = _arguments.match_ranks(y_true, y_pred)
            expected, actual = y_pred.shape, y_true.shape
        if y_pred.shape.rank == 0 or not actual.is_compatible_with(expected):
            kind = "class labels: y_pred's without the axis of the classes"
            if axis_of_classes is None:
                kind = "y_true and y_pred must have the same shape"
            raise ValueError(
                f"The shapes of y_true and y_pred do not fit together ({kind}). Received: y_true "
                f"with shape {given[0]}, y_pred with shape {given[1]}"
            )
        if not (actual.is_fully_defined() and expected.is_fully_defined()):
            y_true = self._check_when_it_runs(y_true, y_pred)
        return y_true, y_pred

    def _check_when_it_runs(self, y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
        """The labels, unless their shape turns out to be another one."""
        expected = tf.shape(y_pred)
        if self.is_of_sequences:
            expected = tf.concat([expected[:1], tf.shape(y_true)[1:]], axis=0)
        elif self.has_class_labels and self.axis is not None:
            axis = self.axis % y_pred.shape.rank
            expected = tf.concat([expected[:axis], expected[axis + 1 :]], axis=0)
        check = tf.debugging.assert_equal(
            tf.shape(y_true), expected, "The shapes of y_true and y_pred do not fit together."
        )
        with tf.control_dependencies([check] if check is not None else []):
            return tf.identity(y_true)

    def valid_rows(self, y_true: tf.Tensor, mask: tf.Tensor | None, missing: Any) -> tf.Tensor:
        """Those whose label is there as a whole, and which the mask keeps."""
        rows = _arguments.is_observed(
            y_true, _arguments.sentinel(_arguments.standardize_missing(missing), y_true.dtype)
        )
        if self.has_class_labels:
            no_class = _arguments.sentinel("-1.0", y_true.dtype)
            rows &= _arguments.is_observed(y_true, no_class)
        elif self.axis is not None:
            rows = tf.reduce_all(rows, self.axis)
        return rows if mask is None else rows & mask_of_rows(tf.cast(mask, tf.bool), rows)


def mask_of_rows(mask: tf.Tensor, rows: tf.Tensor) -> tf.Tensor:
    """The mask of the rows; one that has more axes keeps a row of which it keeps anything."""
    rank = rows.shape.rank
    if mask.shape.rank is not None and mask.shape.rank > rank:
        mask = tf.reduce_any(mask, axis=list(range(rank, mask.shape.rank)))
    return _arguments.broadcast_left(_arguments.align("mask", mask, rows), rows)
