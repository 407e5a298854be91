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

from masklstm import _arguments, _rows, _sums
from masklstm._arguments import MaskedSums
from masklstm._keras_compat import complete_config, get_keras_mask, row_axis
from masklstm._loss_bases import NAN, GapAwareLoss


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
        missing, normalizer: As for `masklstm.losses.MeanSquaredError`.
        balance: `"sample"` or `"timestep"`, as for `masklstm.losses.MeanSquaredError`.

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
        *,
        missing: Any = NAN,
        balance: str | None = None,
        normalizer: float | None = None,
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
        super().__init__(reduction, name, dtype, missing, balance, normalizer)
        if self.balance == "feature":
            raise ValueError(
                "Invalid value for argument 'balance'. Expected 'sample', 'timestep' or None: a "
                f"row has one loss for all of its features. Received: balance={self.balance!r}"
            )
        self.inner = inner
        self._axis = row_axis(inner)
        self._is_of_pairs = _rows.is_one_of(inner, _rows.OF_PAIRS_OF_ROWS)
        self._is_over_rows = _rows.is_one_of(inner, _rows.OVER_SEVERAL_ROWS)
        if self._is_over_rows and not is_loss:
            self._axis = None  # the functions' own default
        self._layout = _rows.RowLayout(
            self._axis if isinstance(self._axis, int) else -1,
            _rows.is_one_of(inner, _rows.WITH_CLASS_LABELS),
            _rows.is_one_of(inner, _rows.OF_SEQUENCES),
        )

    @property
    def has_class_labels(self) -> bool:
        """Whether a label is a class, and missing where it is -1 as well."""
        return self._layout.has_class_labels

    def call(self, y_true: Any, y_pred: Any) -> tf.Tensor:
        """The loss of each row, unweighted; 0 where it is not valid."""
        losses, valid, _ = self._rows(y_true, y_pred)
        return tf.where(valid, losses, tf.zeros_like(losses))

    def counted(self, y_true: Any, y_pred: Any) -> tf.Tensor:
        return self._rows(y_true, y_pred)[1]

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
            losses, weight, valid = self._weighted_rows(y_true, y_pred, sample_weight)
            if _arguments.standardize_reduction(self.reduction) == "none":
                return weight * losses
            return tf.cast(self._reduce(self._sums_of(losses, weight, valid)), self.dtype)

    def _weighted_rows(
        self, y_true: Any, y_pred: Any, sample_weight: Any
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """The losses and weights of the rows, 0 where they are not valid; and where they are."""
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
        return losses, weight, valid

    def _sums(self, y_true: Any, y_pred: Any, sample_weight: Any) -> MaskedSums:
        losses, weight, valid = self._weighted_rows(y_true, y_pred, sample_weight)
        if self._is_of_pairs or losses.shape.rank == 0:
            raise ValueError(
                f"Expected the loss of an epoch to be made of sums over its batches. Received: "
                f"{type(self.inner).__name__}, whose rows have no loss of their own"
            )
        return self._sums_of(losses, weight, valid)

    def _sums_of(self, losses: tf.Tensor, weight: tf.Tensor, valid: tf.Tensor) -> MaskedSums:
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
        axis, has_class_labels, is_of_sequences = self._layout
        hint = tf.float32 if has_class_labels else y_pred.dtype
        y_true = _arguments.to_tensor("y_true", y_true, _arguments.LABEL_DTYPES, hint)
        y_true, y_pred = self._layout.match_shapes(y_true, y_pred)
        rows = self._layout.valid_rows(y_true, mask, self.missing)

        label, prediction = 1, 1
        if has_class_labels or is_of_sequences:
            label = 0
        elif self._is_over_rows:
            label, prediction = 0, 0
        of_label = rows if has_class_labels else tf.expand_dims(rows, axis)
        of_prediction = tf.expand_dims(rows, axis)
        if is_of_sequences:
            of_prediction = tf.expand_dims(of_prediction, axis)
        # Classes stay whole numbers: bfloat16 has no 257.
        y_true = tf.where(of_label, y_true, tf.cast(label, y_true.dtype))
        y_true = tf.cast(y_true, tf.int64 if has_class_labels else y_pred.dtype)
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


def _mean_weight(weight: tf.Tensor, rows: tf.Tensor) -> tf.Tensor:
    """Of the valid rows: the weight of a loss that is one for all of them, as in Keras."""
    weight = _arguments.broadcast_left(_arguments.align("sample_weight", weight, rows), rows)
    total = _sums.total(tf.cast(tf.where(rows, weight, tf.zeros_like(weight)), tf.float64))
    count = tf.cast(tf.math.count_nonzero(rows), tf.float64)
    return tf.cast(_arguments.divided(total, count), weight.dtype)
