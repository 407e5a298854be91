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

from masklstm import _arguments
from masklstm._arguments import MaskedSums
from masklstm._keras_compat import get_keras_mask, row_axis
from masklstm._loss_bases import GapAwareLoss, GapOptions

# Their labels are classes, of one axis less than the predictions; class -1 is no class.
_WITH_CLASS_LABELS = (
    keras.losses.SparseCategoricalCrossentropy,
    keras.losses.CategoricalGeneralizedCrossEntropy,
    keras.losses.Circle,
)
_FUNCTIONS_WITH_CLASS_LABELS = (
    keras.losses.sparse_categorical_crossentropy,
    keras.losses.categorical_generalized_cross_entropy,
    keras.losses.circle,
)
_OF_PAIRS_OF_ROWS = (keras.losses.Circle,)
_OVER_SEVERAL_ROWS = (keras.losses.Dice, keras.losses.Tversky)
_OF_SEQUENCES = (keras.losses.CTC,)


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
            returns a loss for each row, and takes each row by itself.
        reduction: As for `masklstm.losses.MeanSquaredError`; that of the inner loss by default.
        name: Name of the loss; that of the inner one by default.
        dtype: Type of the computation and of the result; that of the inner loss by default.
        **options: `missing`, `normalizer`, and `balance` (`"sample"` or `"timestep"`), as for
            `masklstm.losses.MeanSquaredError`.

    Raises:
        ValueError: For what is not a loss, or an option that does not fit.

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
        is_loss = isinstance(inner, keras.losses.Loss)
        if reduction == "inner":
            reduction = inner.reduction if is_loss else "sum_over_batch_size"
        if dtype is None and is_loss:
            dtype = inner.dtype
        if name is None:
            name = inner.name if is_loss else inner.__name__
        super().__init__(reduction, name, dtype, options)
        if self.balance == "feature":
            raise ValueError(
                "Invalid value for argument 'balance'. Expected 'sample', 'timestep' or None: a "
                f"row has one loss for all of its features. Received: balance={self.balance!r}"
            )
        self.inner = inner
        self._axis = row_axis(inner)
        self._has_class_labels = (
            isinstance(inner, _WITH_CLASS_LABELS) or inner in _FUNCTIONS_WITH_CLASS_LABELS
        )

    def call(self, y_true: Any, y_pred: Any) -> tf.Tensor:
        """The loss of each row, unweighted; 0 where it is not valid."""
        losses, valid = self._rows(y_true, y_pred)
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
            losses, valid = self._rows(y_true, y_pred)
            weight = tf.ones_like(losses)
            if sample_weight is not None:
                weight = _arguments.to_tensor(
                    "sample_weight", sample_weight, _arguments.LABEL_DTYPES, losses.dtype
                )
                weight = _arguments.cast(weight, losses.dtype)
                if losses.shape.rank == 0:
                    # One loss for all rows: like Keras, weighted by the mean of the weights.
                    weight = tf.reduce_mean(weight)
                weight = _arguments.align("sample_weight", weight, losses)
                weight = _arguments.broadcast_left(weight, losses)
            losses = tf.where(valid, losses, tf.zeros_like(losses))
            weight = tf.where(valid, weight, tf.zeros_like(weight))
            if _arguments.standardize_reduction(self.reduction) == "none":
                return weight * losses
            return tf.cast(self._reduce(self._sums(losses, weight, valid)), self.dtype)

    def _sums(self, losses: tf.Tensor, weight: tf.Tensor, valid: tf.Tensor) -> MaskedSums:
        axes = None
        if self.balance is not None:
            axis = _arguments.group_axis(self.balance, losses)
            axes = [other for other in range(losses.shape.rank) if other != axis]
        weight = tf.cast(weight, tf.float64)
        return MaskedSums(
            tf.reduce_sum(weight * tf.cast(losses, tf.float64), axes),
            tf.reduce_sum(weight, axes),
            tf.math.count_nonzero(valid, axes),
        )

    def _rows(self, y_true: Any, y_pred: Any) -> tuple[tf.Tensor, tf.Tensor]:
        """The losses of the rows, of any value where not valid, and which are valid."""
        mask = get_keras_mask(y_pred)
        y_pred = keras.ops.convert_to_tensor(y_pred, dtype=self.dtype)
        y_true = _arguments.to_tensor("y_true", y_true, _arguments.LABEL_DTYPES, y_pred.dtype)
        axis = self._axis if isinstance(self._axis, int) else -1
        y_true, y_pred = self._match_ranks(y_true, y_pred, axis)
        valid = self._is_observed(y_true)
        if not self._has_class_labels:
            valid = tf.reduce_all(valid, axis)
        if mask is not None:
            valid &= _as_rows(tf.cast(mask, tf.bool), valid)

        label, prediction = 1.0, 1.0
        if self._has_class_labels or isinstance(self.inner, _OF_SEQUENCES):
            label = 0.0
        elif isinstance(self.inner, _OVER_SEVERAL_ROWS):
            label, prediction = 0.0, 0.0
        of_label = valid if self._has_class_labels else tf.expand_dims(valid, axis)
        of_prediction = tf.expand_dims(valid, axis)
        if isinstance(self.inner, _OF_SEQUENCES):
            of_prediction = tf.expand_dims(of_prediction, axis)
        y_true = tf.cast(y_true, y_pred.dtype)
        y_true = tf.where(of_label, y_true, tf.constant(label, y_pred.dtype))
        y_pred = tf.where(of_prediction, y_pred, tf.constant(prediction, y_pred.dtype))

        if isinstance(self.inner, _OF_PAIRS_OF_ROWS):
            return self._losses_of_valid_rows(y_true, y_pred, valid)
        losses, kept = self._inner_losses(y_true, y_pred)
        if isinstance(self.inner, _OVER_SEVERAL_ROWS):
            full = tf.broadcast_to(tf.expand_dims(valid, axis), tf.shape(y_true))
            valid = tf.reduce_any(full, self._axis)
        return losses, valid if kept is None else valid & kept

    def _match_ranks(
        self, y_true: tf.Tensor, y_pred: tf.Tensor, axis: int
    ) -> tuple[tf.Tensor, tf.Tensor]:
        if isinstance(self.inner, _OF_SEQUENCES):
            return y_true, y_pred
        if not self._has_class_labels:
            return _arguments.match_ranks(y_true, y_pred)
        if y_true.shape.rank == y_pred.shape.rank:
            y_true = tf.squeeze(y_true, axis)
        return y_true, y_pred

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
        return {**super().get_config(), "loss": keras.saving.serialize_keras_object(self.inner)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Masked":
        return cls(**{**config, "loss": keras.saving.deserialize_keras_object(config["loss"])})


def _as_rows(mask: tf.Tensor, rows: tf.Tensor) -> tf.Tensor:
    """The mask of the rows; one that has more axes keeps a row of which it keeps anything."""
    rank = rows.shape.rank
    if mask.shape.rank > rank:
        mask = tf.reduce_any(mask, axis=list(range(rank, mask.shape.rank)))
    return _arguments.broadcast_left(_arguments.align("mask", mask, rows), rows)
