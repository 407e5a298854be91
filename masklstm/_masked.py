"""`Masked`: any Keras loss made to skip what has no label, with TensorFlow's ops.

Design:
    A. The inner loss never sees a gap: before it is called, the label and the prediction of every
       row that is not valid are replaced by harmless ones. NaN could not be removed afterwards,
       neither from the value (NaN times 0 is NaN) nor from the gradient.
    B. What the inner loss makes of such a row is replaced by 0, and the row is not counted.
    C. Harmless is what changes nothing for the other rows. For most losses that is any number,
       since they take each row by itself; the label 1 also passes the checks of the hinge losses,
       which look at all labels at once. Losses that add up over rows get zeros. A loss that
       compares rows with each other does not get these rows at all.
"""

from typing import Any

import keras
import tensorflow as tf
from typing_extensions import Unpack

from masklstm import _arguments, _sums
from masklstm._arguments import MaskedSums
from masklstm._keras_compat import complete_config, get_keras_mask, row_axis
from masklstm._loss_bases import GapAwareLoss, GapOptions

# What a loss and its function have in common, where it is not the rule.
# Labels are classes, of one axis less than the predictions; class -1 is no class.
_WITH_CLASS_LABELS = (
    keras.losses.SparseCategoricalCrossentropy,
    keras.losses.sparse_categorical_crossentropy,
    keras.losses.CategoricalGeneralizedCrossEntropy,
    keras.losses.categorical_generalized_cross_entropy,
    keras.losses.Circle,
    keras.losses.circle,
)
_OF_PAIRS_OF_ROWS = (keras.losses.Circle, keras.losses.circle)
_OVER_SEVERAL_ROWS = (
    keras.losses.Dice,
    keras.losses.dice,
    keras.losses.Tversky,
    keras.losses.tversky,
)
_OF_SEQUENCES = (keras.losses.CTC, keras.losses.ctc)


def _is_one_of(loss: Any, kinds: tuple[Any, ...]) -> bool:
    classes = tuple(kind for kind in kinds if isinstance(kind, type))
    return isinstance(loss, classes) or any(loss is kind for kind in kinds)


@keras.saving.register_keras_serializable(package="masklstm")
class Masked(GapAwareLoss):
    """Any other Keras loss, over the rows that have a label.

    A row is what the inner loss takes as one: usually the last axis (the classes of a one-hot
    label, the entries of a vector), and for class labels a single one. A row with any missing label
    is invalid as a whole, as is one whose Keras mask is False. Class labels are also missing where
    they are -1.

    Formula: with the inner loss's row losses l and weights w, the mean is
    `sum(w * l) / number of valid rows` over the valid rows; with
    `reduction="mean_with_sample_weight"` it is divided by `sum(w)`, and `"sum"` is `sum(w * l)`.
    For losses over several rows (Dice, Tversky) the invalid ones count for nothing in each sum.

    Args:
        loss: A `keras.losses.Loss`, the name of one, or a function of `y_true` and `y_pred` that
            returns one loss for each row of the last axis, and takes each row by itself.
        reduction: As for `masklstm.losses.MeanSquaredError`; that of the inner loss by default.
        name: Name of the loss; that of the inner one by default.
        dtype: Type of the computation and of the result; that of the inner loss by default.
        **options: `missing`, `normalizer`, and `balance` (`"sample"` or `"timestep"`), as for
            `masklstm.losses.MeanSquaredError`.

    Raises:
        ValueError: For what is not a loss, or skips gaps itself; for an option that does not fit,
            labels and predictions whose shapes do not, or an inner loss that returns something else
            than one number for each row.

    Example:

    >>> import masklstm
    >>> loss = masklstm.losses.Masked("SparseCategoricalCrossentropy")
    >>> round(float(loss([0, -1, 1], [[0.5, 0.5], [0.9, 0.1], [0.5, 0.5]])), 5)
    0.69315

    Source: the inner losses are those of `keras.losses`.
    """

    def __init__(
        self,
        loss: Any,
        reduction: str | None = "inner",
        name: str | None = None,
        dtype: Any = None,
        **options: Unpack[GapOptions],
    ) -> None:
        inner = keras.losses.get(loss)
        if inner is None:
            raise ValueError(
                "Invalid value for argument 'loss'. Expected a Keras loss, its name, or a function "
                f"of y_true and y_pred. Received: loss={loss!r}"
            )
        if isinstance(inner, GapAwareLoss):
            raise ValueError(
                "Invalid value for argument 'loss'. Expected one that does not skip gaps itself: "
                f"two would count them differently. Received: masklstm's {type(inner).__name__}"
            )
        is_loss = isinstance(inner, keras.losses.Loss)
        if reduction == "inner":
            reduction = inner.reduction if is_loss else "sum_over_batch_size"
        if dtype is None and is_loss:
            dtype = inner.dtype
        if name is None:
            name = inner.name if is_loss else getattr(inner, "__name__", "masked")
            name = name.strip("<>")  # of a lambda, which is no name for a scope
        super().__init__(reduction, name, dtype, options)
        if self.balance == "feature":
            raise ValueError(
                "Invalid value for argument 'balance'. Expected 'sample', 'timestep' or None: a "
                f"row has one loss for all of its features. Received: balance={self.balance!r}"
            )
        self.inner = inner
        self._axis = row_axis(inner)
        self._has_class_labels = _is_one_of(inner, _WITH_CLASS_LABELS)
        self._is_of_pairs = _is_one_of(inner, _OF_PAIRS_OF_ROWS)
        self._is_over_rows = _is_one_of(inner, _OVER_SEVERAL_ROWS)
        self._is_of_sequences = _is_one_of(inner, _OF_SEQUENCES)
        if self._is_over_rows and not is_loss:
            self._axis = None  # the functions' own default

    def call(self, y_true: Any, y_pred: Any) -> tf.Tensor:
        """The loss of each row, unweighted; 0 where it is not valid."""
        losses, valid, _ = self._rows(y_true, y_pred)
        return tf.where(valid, losses, tf.zeros_like(losses))

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> tf.Tensor:
        """The loss, reduced.

        Args:
            y_true: Labels, as the inner loss takes them; NaN means missing.
            y_pred: Predictions, as the inner loss takes them.
            sample_weight: Weights of the rows, aligned with them from the left.

        Returns:
            The loss in this loss's dtype; its shape is as `reduction` says.
        """
        with keras.name_scope(self.name):
            losses, valid, rows = self._rows(y_true, y_pred)
            weight = tf.ones_like(losses)
            if sample_weight is not None:
                weight = _arguments.to_tensor(
                    "sample_weight", sample_weight, _arguments.LABEL_DTYPES, losses.dtype
                )
                weight = _arguments.cast(weight, losses.dtype)
                if losses.shape.rank == 0:
                    weight = _mean_weight(weight, rows)
                weight = _arguments.align("sample_weight", weight, losses)
                weight = _arguments.broadcast_left(weight, losses)
            losses = tf.where(valid, losses, tf.zeros_like(losses))
            weight = tf.where(valid, weight, tf.zeros_like(weight))
            if _arguments.standardize_reduction(self.reduction) == "none":
                return weight * losses
            return tf.cast(self._reduce(self._sums(losses, weight, valid)), self.dtype)

    def _sums(self, losses: tf.Tensor, weight: tf.Tensor, valid: tf.Tensor) -> MaskedSums:
        weight = tf.cast(weight, tf.float64)
        weighted = weight * tf.cast(losses, tf.float64)
        if self.balance is None:
            count = tf.math.count_nonzero(valid)
            return MaskedSums(_sums.total(weighted), _sums.total(weight), count)
        axis = _arguments.group_axis(self.balance, losses, "the losses of the rows")
        axes = [other for other in range(losses.shape.rank) if other != axis]
        return MaskedSums(
            _sums.total_along(weighted, axes) if axes else weighted,
            _sums.total_along(weight, axes) if axes else weight,
            tf.math.count_nonzero(valid, axes),
        )

    def _rows(self, y_true: Any, y_pred: Any) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """The losses (of any value where not valid), which of them are valid, and which rows."""
        mask = get_keras_mask(y_pred)
        y_pred = keras.ops.convert_to_tensor(y_pred, dtype=self.dtype)
        hint = tf.float32 if self._has_class_labels else y_pred.dtype
        y_true = _arguments.to_tensor("y_true", y_true, _arguments.LABEL_DTYPES, hint)
        axis = self._axis if isinstance(self._axis, int) else -1
        y_true, y_pred = self._match_shapes(y_true, y_pred, axis)
        rows = self._is_observed(y_true)
        if not self._has_class_labels:
            rows = tf.reduce_all(rows, axis)
        if mask is not None:
            rows &= _as_rows(tf.cast(mask, tf.bool), rows)

        label, prediction = 1, 1
        if self._has_class_labels or self._is_of_sequences:
            label = 0
        elif self._is_over_rows:
            label, prediction = 0, 0
        of_label = rows if self._has_class_labels else tf.expand_dims(rows, axis)
        of_prediction = tf.expand_dims(rows, axis)
        if self._is_of_sequences:
            of_prediction = tf.expand_dims(of_prediction, axis)
        # Classes stay whole numbers: bfloat16 has no 257.
        y_true = tf.where(of_label, y_true, tf.cast(label, y_true.dtype))
        y_true = tf.cast(y_true, tf.int64 if self._has_class_labels else y_pred.dtype)
        y_pred = tf.where(of_prediction, y_pred, tf.cast(prediction, y_pred.dtype))

        if self._is_of_pairs:
            return (*self._losses_of_valid_rows(y_true, y_pred, rows), rows)
        losses, kept = self._inner_losses(y_true, y_pred)
        valid = rows
        if self._is_over_rows:
            full = tf.broadcast_to(tf.expand_dims(rows, axis), tf.shape(y_true))
            valid = tf.reduce_any(full, self._axis)
        if not losses.shape.is_compatible_with(valid.shape):
            raise ValueError(
                f"Expected '{self.name}' to return one loss for each row, with shape "
                f"{valid.shape}. Received: losses with shape {losses.shape}"
            )
        return losses, valid if kept is None else valid & kept, rows

    def _match_shapes(
        self, y_true: tf.Tensor, y_pred: tf.Tensor, axis: int
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Drops or adds a single trailing axis, as Keras does; refuses what does not fit then."""
        for name, tensor in (("y_true", y_true), ("y_pred", y_pred)):
            if tensor.shape.rank is None:
                raise ValueError(
                    f"Expected '{name}' to have a known rank. Received: an unknown one"
                )
        given = y_true.shape, y_pred.shape
        if self._is_of_sequences:
            expected, actual = y_pred.shape[:1], y_true.shape[:1]
        elif self._has_class_labels:
            if y_true.shape.rank == y_pred.shape.rank and y_true.shape[axis] in (1, None):
                y_true = tf.squeeze(y_true, axis)
            lengths = list(y_pred.shape)
            if lengths:
                del lengths[axis]
            expected, actual = tf.TensorShape(lengths), y_true.shape
        else:
            y_true, y_pred = _arguments.match_ranks(y_true, y_pred)
            expected, actual = y_pred.shape, y_true.shape
        if y_pred.shape.rank == 0 or not actual.is_compatible_with(expected):
            kind = "class labels: y_pred's without the axis of the classes"
            kind = kind if self._has_class_labels else "y_true and y_pred must have the same shape"
            raise ValueError(
                f"The shapes of y_true and y_pred do not fit together ({kind}). Received: y_true "
                f"with shape {given[0]}, y_pred with shape {given[1]}"
            )
        if not (actual.is_fully_defined() and expected.is_fully_defined()):
            y_true = self._check_when_it_runs(y_true, y_pred, axis)
        return y_true, y_pred

    def _check_when_it_runs(self, y_true: tf.Tensor, y_pred: tf.Tensor, axis: int) -> tf.Tensor:
        """The labels, unless their shape turns out to be another one."""
        expected = tf.shape(y_pred)
        if self._is_of_sequences:
            expected = tf.concat([expected[:1], tf.shape(y_true)[1:]], axis=0)
        elif self._has_class_labels:
            axis %= y_pred.shape.rank
            expected = tf.concat([expected[:axis], expected[axis + 1 :]], axis=0)
        check = tf.debugging.assert_equal(
            tf.shape(y_true), expected, "The shapes of y_true and y_pred do not fit together."
        )
        with tf.control_dependencies([check] if check is not None else []):
            return tf.identity(y_true)

    def _is_observed(self, y_true: tf.Tensor) -> tf.Tensor:
        missing = _arguments.standardize_missing(self.missing)
        observed = _arguments.is_observed(y_true, _arguments.sentinel(missing, y_true.dtype))
        if self._has_class_labels:
            no_class = _arguments.sentinel("-1.0", y_true.dtype)
            observed &= _arguments.is_observed(y_true, no_class)
        return observed

    def _inner_losses(
        self, y_true: tf.Tensor, y_pred: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor | None]:
        """The inner loss's rows, and its own mask over them, if it has one."""
        call = self.inner.call if isinstance(self.inner, keras.losses.Loss) else self.inner
        losses = call(y_true, y_pred)
        kept = get_keras_mask(losses)
        losses = keras.ops.convert_to_tensor(losses, dtype=self.dtype)
        if kept is not None:
            # Keras's Circle keeps what is above 0, which NaN is not: divergence must not hide.
            kept = tf.cast(kept, tf.bool) | tf.math.is_nan(losses)
        return losses, kept

    def _losses_of_valid_rows(
        self, y_true: tf.Tensor, y_pred: tf.Tensor, valid: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        losses, kept = self._inner_losses(
            tf.boolean_mask(y_true, valid), tf.boolean_mask(y_pred, valid)
        )
        indices = tf.where(valid)
        shape = tf.shape(valid, out_type=indices.dtype)
        if kept is not None:
            valid = tf.scatter_nd(indices, tf.cast(kept, tf.int32), shape) > 0
        return tf.scatter_nd(indices, losses, shape), valid

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "loss": complete_config(self.inner)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Masked":
        return cls(**{**config, "loss": keras.saving.deserialize_keras_object(config["loss"])})


def _as_rows(mask: tf.Tensor, rows: tf.Tensor) -> tf.Tensor:
    """The mask of the rows; one that has more axes keeps a row of which it keeps anything."""
    rank = rows.shape.rank
    if mask.shape.rank is not None and mask.shape.rank > rank:
        mask = tf.reduce_any(mask, axis=list(range(rank, mask.shape.rank)))
    return _arguments.broadcast_left(_arguments.align("mask", mask, rows), rows)


def _mean_weight(weight: tf.Tensor, rows: tf.Tensor) -> tf.Tensor:
    """Of the valid rows: the weight of a loss that is one for all of them, as in Keras."""
    weight = _arguments.broadcast_left(_arguments.align("sample_weight", weight, rows), rows)
    total = _sums.total(tf.cast(tf.where(rows, weight, tf.zeros_like(weight)), tf.float64))
    count = tf.cast(tf.math.count_nonzero(rows), tf.float64)
    return tf.cast(_arguments.divided(total, count), weight.dtype)
