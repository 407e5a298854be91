"""What a loss or a metric of Keras counts as one (an element, a row of them, a sequence), and which
of these have a label.
"""

from types import FunctionType
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from masklstm._core.arguments import align, broadcast_left, match_ranks
from masklstm._core.keras_compat import metric_function, those_of
from masklstm._core.missing import is_observed, sentinel, standardize_missing
from masklstm._core.refusals import unknown_name

# What a loss and its function have in common, where it is not the rule. The rule is that a row, the
# entries of the last axis, has one loss.
# Means of a number for each element.
ELEMENTWISE = (
    keras.losses.BinaryCrossentropy,
    keras.losses.BinaryFocalCrossentropy,
    keras.losses.Hinge,
    keras.losses.Huber,
    keras.losses.LogCosh,
    keras.losses.MeanAbsoluteError,
    keras.losses.MeanAbsolutePercentageError,
    keras.losses.MeanSquaredError,
    keras.losses.MeanSquaredLogarithmicError,
    keras.losses.Poisson,
    keras.losses.SquaredHinge,
    keras.losses.binary_crossentropy,
    keras.losses.binary_focal_crossentropy,
    keras.losses.hinge,
    keras.losses.huber,
    keras.losses.log_cosh,
    keras.losses.mean_absolute_error,
    keras.losses.mean_absolute_percentage_error,
    keras.losses.mean_squared_error,
    keras.losses.mean_squared_logarithmic_error,
    keras.losses.poisson,
    keras.losses.squared_hinge,
)
OF_PAIRS_OF_ROWS = those_of(keras.losses, "Circle", "circle")
# Labels are classes, of one axis less than the predictions; class -1 is no class.
WITH_CLASS_LABELS = (
    keras.losses.SparseCategoricalCrossentropy,
    keras.losses.sparse_categorical_crossentropy,
    *those_of(
        keras.losses,
        "CategoricalGeneralizedCrossEntropy",
        "categorical_generalized_cross_entropy",
    ),
    *OF_PAIRS_OF_ROWS,
)
OVER_SEVERAL_ROWS = (
    keras.losses.Dice,
    keras.losses.dice,
    keras.losses.Tversky,
    keras.losses.tversky,
)
OF_SEQUENCES = (keras.losses.CTC, keras.losses.ctc)

COUNTED = ("element", "row")


def is_one_of(loss: Any, kinds: tuple[Any, ...]) -> bool:
    """Whether it is one of these functions, or of these classes."""
    classes = tuple(kind for kind in kinds if isinstance(kind, type))
    return isinstance(loss, classes) or any(loss is kind for kind in kinds)


def is_elementwise(inner: Any) -> bool:
    """Whether a loss or function of Keras averages a number for each element."""
    return is_one_of(inner, ELEMENTWISE) or is_one_of(getattr(inner, "fn", None), ELEMENTWISE)


def is_of_keras(inner: Any) -> bool:
    """Whether a loss, a metric or a function is Keras's, and not somebody's own."""
    function = getattr(inner, "fn", None) or metric_function(inner)
    kind = inner if isinstance(inner, FunctionType) else type(inner)
    return kind.__module__.startswith("keras.") and (function is None or is_of_keras(function))


def by_shape(kind: str, y_true: tf.Tensor, y_pred: tf.Tensor) -> Any:
    """The function that Keras's `compile` takes for "accuracy" or "crossentropy", by the shapes."""
    last_true, last_pred = (x.shape[-1] if x.shape.rank else None for x in (y_true, y_pred))
    if last_pred == 1 or y_pred.shape.rank == 1:
        name = f"binary_{kind}"
    elif y_true.shape.rank < y_pred.shape.rank or last_true == 1:
        name = f"sparse_categorical_{kind}"
    else:
        name = f"categorical_{kind}"
    return getattr(keras.metrics, name)


class RowLayout(NamedTuple):
    """How labels and predictions are cut into what is counted."""

    axis: int | None = -1
    """The axis of a row's entries in the predictions; None: each element is counted."""
    has_class_labels: bool = False
    """A label is one class for the whole row of predictions; class -1 is no class."""
    is_of_sequences: bool = False
    """A row of labels has a length of its own."""
    takes_singles: bool = False
    """Elements are handed on as rows of one entry: what takes rows returns one number for each."""
    has_channels: bool = False
    """There are several predictions for a label: their last axis is one more, or a longer one."""

    @property
    def counts(self) -> str:
        """What is counted, in a word."""
        if self.is_of_sequences:
            return "sequence"
        if self.axis is None:
            return "element"
        return "class label" if self.has_class_labels else "row"

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
        elif self.has_channels:
            expected, actual = y_pred.shape[:-1], y_true.shape[: y_pred.shape.rank - 1]
        else:
            y_true, y_pred = match_ranks(y_true, y_pred)
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
        elif self.has_channels:
            axes = y_pred.shape.rank - 1
            expected = tf.concat([expected[:axes], tf.shape(y_true)[axes:]], axis=0)
        check = tf.debugging.assert_equal(
            tf.shape(y_true), expected, "The shapes of y_true and y_pred do not fit together."
        )
        with tf.control_dependencies([check] if check is not None else []):
            return tf.identity(y_true)

    def is_observed(self, y_true: tf.Tensor, missing: Any) -> tf.Tensor:
        """Which labels are there, one by one."""
        text = standardize_missing(missing)
        if self.has_class_labels or self.is_of_sequences:
            text += ",-1.0"
        return is_observed(y_true, sentinel(text, y_true.dtype))

    def valid_rows(self, y_true: tf.Tensor, mask: tf.Tensor | None, missing: Any) -> tf.Tensor:
        """Those whose label is there as a whole, and which the mask keeps."""
        rows = self.is_observed(y_true, missing)
        if self.is_of_sequences:
            # A missing tail is a shorter label; what is missing before its end is no label at all.
            count = tf.math.count_nonzero(rows, -1, keepdims=True)
            is_whole = rows == (tf.range(tf.shape(rows, tf.int64)[-1]) < count)
            rows = tf.reduce_all(is_whole, -1) & (count[..., 0] > 0)
        elif self.axis is not None and not self.has_class_labels:
            rows = tf.reduce_all(rows, self.axis)
        return rows if mask is None else rows & mask_of_rows(tf.cast(mask, tf.bool), rows)

    def of_predictions(self, rows: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
        """What says something of rows or elements, in a shape that fits the predictions."""
        if self.is_of_sequences:
            return rows[:, None, None]
        if self.axis is not None:
            return tf.expand_dims(rows, self.axis)
        if y_pred.shape.rank > rows.shape.rank:
            return tf.expand_dims(rows, -1)
        if self.has_channels:  # which of them belong to which label is not known
            return tf.reduce_any(rows, -1, keepdims=True)
        return rows


def check_what_counts(per: Any, class_labels: Any, known: RowLayout | None) -> None:
    """Refuses what a user cannot say of a loss or metric of this layout; None: anybody's own."""
    if per is not None and per not in COUNTED:
        raise unknown_name("per", per, (*COUNTED, None))
    if class_labels not in (None, True, False):
        raise unknown_name("class_labels", class_labels, ("True", "False", None))
    if known is None:
        return
    if per is not None and (per == "element") != (known.axis is None):
        counted = "elements" if known.axis is None else "rows"
        raise ValueError(
            "Argument 'per' is for losses and metrics of your own. Received: "
            f"per={per!r} with one of Keras's, which counts {counted}"
        )
    if class_labels is not None and class_labels != known.has_class_labels:
        raise ValueError(
            "Argument 'class_labels' is for losses and metrics of your own. Received: "
            f"class_labels={class_labels!r} with one of Keras's"
        )


def mask_of_rows(mask: tf.Tensor, rows: tf.Tensor) -> tf.Tensor:
    """The mask of the rows; one that has more axes keeps a row of which it keeps anything."""
    rank = rows.shape.rank
    if mask.shape.rank is not None and mask.shape.rank > rank:
        mask = tf.reduce_any(mask, axis=list(range(rank, mask.shape.rank)))
    return broadcast_left(align("mask", mask, rows), rows)
