"""`Masked`: any Keras loss made to skip what has no label, with TensorFlow's ops.

Design:
    A. What counts (elements, rows, sequences) is a `RowLayout`: Keras's losses are known, others
       are tried (`_own_functions`). Each element is handed on as a row of its own, so that losses
       which average over rows return one number for each.
    B. The inner loss never sees a gap: before it is called, the labels and predictions that
       are not valid are replaced by harmless ones. NaN could not be removed afterwards,
       neither from the value (NaN times 0 is NaN) nor from the gradient.
    C. The inner loss's results for these are replaced by 0, and they are not counted.
    D. Harmless is what changes nothing for the others. For most losses that is any number,
       since they take each row by itself; the label 1 also passes the checks of the hinge losses,
       which look at all labels at once. Losses that add up over rows get zeros. A loss that
       compares rows with each other does not get these rows at all.
    E. Keras's cross-entropies look for the logits behind a sigmoid or softmax. Replacing anything
       in the predictions would hide them; so it is replaced in the logits, and the activation is
       applied again.
"""

import warnings
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from masklstm._core import own_functions, row_layout, summation
from masklstm._core.arguments import align, broadcast_left, predictions_to_tensor, to_tensor
from masklstm._core.keras_compat import complete_config, find_logits, get_keras_mask, row_axis
from masklstm._core.missing import NAN
from masklstm._core.own_weights import weight_of, with_lengths
from masklstm._core.packing import pack, take_steps
from masklstm._core.row_layout import RowLayout
from masklstm._core.totals import MaskedSums, divided, sums_of
from masklstm._core.types import LABEL_DTYPES, cast
from masklstm.losses import class_weights
from masklstm.losses.base import GapAwareLoss

_BY_SHAPE = ("ce", "crossentropy")
_warned: weakref.WeakSet[Any] = weakref.WeakSet()


@keras.saving.register_keras_serializable(package="masklstm")
class Masked(GapAwareLoss):
    """Any other Keras loss, or one of your own, over what has a label.

    It counts whatever the inner loss treats as one unit: see the table of Keras's losses in
    docs/masked.md, and the attribute `counts`.

    - Element by element: losses that average a number for each label, such as `"Hinge"`, `"mse"` or
      a function of your own. Each label that is there counts, whatever else its row lacks.
    - By rows: losses of the last axis as a whole (the classes of a one-hot label, the entries of a
      vector). A row with any missing label is invalid as a whole.
    - Class labels: one for a row of predictions; -1 is not a class and counts as missing.
    - Sequences (CTC): missing labels at the end make a label shorter, and frames masked by a Keras
      mask are left out. A sequence without a label is invalid.

    A loss of your own is tried on a few made-up numbers when it is first called, to find out which
    of these it is; `per` and `class_labels` say so without a trial. It may have more predictions
    than labels, as likelihoods do. It returns a number for each label or for each row.

    Formula: with the inner loss's element losses l and weights w, the mean is
    `sum(w * l) / number of valid elements`; with `reduction="mean_with_sample_weight"` it is
    divided by `sum(w)`; `"sum"` is the sum of the row means, as for the losses of masklstm. Where
    rows count, they are the elements, and `"sum"` is `sum(w * l)`. For losses over several rows
    (Dice, Tversky) the invalid ones contribute nothing to any sum.

    Args:
        loss: A `keras.losses.Loss`, the name of one, or a function of `y_true` and `y_pred` that
            returns one loss for each element or each row. `"ce"` or `"crossentropy"` is the binary,
            categorical or sparse categorical one, chosen by the shapes as in Keras's `compile`.
        reduction: As for `masklstm.losses.MeanSquaredError`; that of the inner loss by default.
        name: Name of the loss; that of the inner one by default.
        dtype: Type of the computation and of the result; that of the inner loss by default.
        per: `"element"` or `"row"`: what counts, for a loss of your own. By default a trial tells.
        class_labels: Whether labels are classes, `(batch, ...)` for predictions `(batch, ...,
            classes)`, for a loss of your own, which then gets them as int64. By default they are if
            they are whole numbers and the loss takes them.
        missing, balance, normalizer, feature_weights, step_weights: As for
            `masklstm.losses.MeanSquaredError`. Only elements have features to balance or weigh.
        class_weight: Weights of the classes, for losses whose labels are classes, in sequences too:
            a dict of classes and weights (1 for those that it lacks), or a list of one for each
            class. Each is exactly a `sample_weight` of the labels of its class, and multiplies
            others; a one-hot label that is shared out among classes has their mean, weighted by it.

    Raises:
        ValueError: For what is not a loss, or skips gaps itself; for an invalid option, labels and
            predictions whose shapes do not fit, or an inner loss that returns something other than
            one number for each element or row.

    Warns:
        UserWarning: Once, called eagerly, if most rows that have labels lack some of them and so do
            not count. In graphs `masklstm.callbacks.MissingLabels` warns of it.

    Example:

    >>> import masklstm
    >>> loss = masklstm.losses.Masked("SparseCategoricalCrossentropy")
    >>> round(float(loss([0, -1, 1], [[0.5, 0.5], [0.9, 0.1], [0.5, 0.5]])), 5)
    0.69315
    >>> nan = float("nan")
    >>> hinge = masklstm.losses.Masked("Hinge")
    >>> float(hinge([[1.0, nan], [-1.0, 1.0]], [[0.5, 9.0], [-2.0, 0.0]]))  # (0.5 + 0 + 1) / 3
    0.5

    Source: the inner losses are those of `keras.losses`.
    """

    def __init__(
        self,
        loss: Any,
        reduction: str | None = "inner",
        name: str | None = None,
        dtype: Any = None,
        *,
        per: str | None = None,
        class_labels: bool | None = None,
        missing: Any = NAN,
        balance: str | None = None,
        normalizer: float | None = None,
        feature_weights: Sequence[float] | None = None,
        step_weights: Sequence[float] | None = None,
        class_weight: Mapping[int, float] | Sequence[float] | None = None,
    ) -> None:
        by_shape = isinstance(loss, str) and loss.lower() in _BY_SHAPE
        inner = loss if by_shape else keras.losses.get(loss)
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
            name = loss if by_shape else name.strip("<>")  # a lambda's is no name for a scope
        super().__init__(
            reduction, name, dtype, missing, balance, normalizer, feature_weights, step_weights
        )
        self.inner = inner
        self.per = per
        self.class_labels = class_labels
        self.class_weight = class_weights.standardize_class_weight(class_weight)
        self._known_layout = None if by_shape else _layout_of_keras(inner)
        row_layout.check_what_counts(per, class_labels, None if by_shape else self._known_layout)
        if self._known_layout is not None:
            self._check_options(self._known_layout, inner)

    @property
    def counts(self) -> str | None:
        """`"element"`, `"row"`, `"class label"` or `"sequence"`: what is counted. None where that
        depends on labels and predictions, as for a loss of your own.
        """
        return None if self._known_layout is None else self._known_layout.counts

    @property
    def has_class_labels(self) -> bool:
        """Whether a label is a class, and missing where it is -1 as well; False where that depends
        on the labels.
        """
        known = self._known_layout
        return bool(self.class_labels) if known is None else known.has_class_labels

    def call(self, y_true: Any, y_pred: Any) -> tf.Tensor:
        """The loss of each element or row, unweighted; 0 where it is not valid."""
        losses, valid = self._losses(self._batch(y_true, y_pred))
        return tf.where(valid, losses, tf.zeros_like(losses))

    def counted(self, y_true: Any, y_pred: Any) -> tf.Tensor:
        return self._valid(self._batch(y_true, y_pred))

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> tf.Tensor:
        """The loss, reduced.

        Args:
            y_true: Labels, as the inner loss takes them; NaN means missing.
            y_pred: Predictions, as the inner loss takes them.
            sample_weight: Weights of the elements or rows, aligned with them from the left.

        Returns:
            The loss in this loss's dtype; its shape is as `reduction` says.
        """
        with keras.name_scope(self.name):
            batch = self._batch(y_true, y_pred)
            self._warn_of_rows(batch)
            losses, weight, valid = self._weighted_losses(batch, sample_weight)
            if self.how.kind == "none":
                weighted = weight * losses
                return _row_means(weighted, valid) if batch.has_rows_of_elements else weighted
            return self._reduced(self._totals(batch, losses, weight, valid))

    def _batch(self, y_true: Any, y_pred: Any) -> "_Batch":
        """Labels and predictions, cut into what is counted."""
        mask = get_keras_mask(y_pred)
        logits = find_logits(y_pred)
        y_pred = predictions_to_tensor(y_pred, self.dtype)
        y_true = to_tensor("y_true", y_true, LABEL_DTYPES, tf.float32)
        function, layout = self._function_and_layout(y_true, y_pred)
        self._check_options(layout, function if isinstance(self.inner, str) else self.inner)
        y_true, y_pred = layout.match_shapes(y_true, y_pred)
        if logits is not None:
            logits = logits[0], tf.reshape(tf.cast(logits[1], self.dtype), tf.shape(y_pred))
        rows = layout.valid_rows(y_true, mask, self.missing)
        frames = None
        if layout.is_of_sequences and mask is not None:
            frames = broadcast_left(tf.cast(mask, tf.bool), y_pred[..., 0])
        return _Batch(function, layout, y_true, y_pred, logits, rows, frames)

    def _function_and_layout(
        self, y_true: tf.Tensor, y_pred: tf.Tensor
    ) -> tuple[Callable[[tf.Tensor, tf.Tensor], Any], RowLayout]:
        inner = self.inner
        if isinstance(inner, str):
            inner = row_layout.by_shape("crossentropy", y_true, y_pred)
            return inner, _layout_of_keras(inner) or RowLayout()
        function = inner.call if isinstance(inner, keras.losses.Loss) else inner
        if self._known_layout is not None:
            return function, self._known_layout
        return function, own_functions.find_layout(
            inner, function, y_true, y_pred, self.per, self.class_labels
        )

    def _check_options(self, layout: RowLayout, inner: Any) -> None:
        """`inner` is the loss that is called, or its function."""
        if layout.axis is not None and self.balance == "feature":
            raise ValueError(
                "Invalid value for argument 'balance'. Expected 'sample', 'timestep' or None: a "
                f"row has one loss for all of its features. Received: balance={self.balance!r}"
            )
        if layout.axis is not None and self.feature_weights is not None:
            raise ValueError(
                "Argument 'feature_weights' is for losses of elements: a row has one loss for all "
                f"of its features. Received: feature_weights={self.feature_weights!r}"
            )
        if self.class_weight is not None:
            class_weights.check_has_classes(inner, layout)

    def _valid(self, batch: "_Batch") -> tf.Tensor:
        """What of the batch is counted."""
        if not row_layout.is_one_of(self.inner, row_layout.OVER_SEVERAL_ROWS):
            return batch.rows
        full = tf.broadcast_to(tf.expand_dims(batch.rows, -1), tf.shape(batch.y_true))
        return tf.reduce_any(full, _axes_of(self.inner))

    def _weighted_losses(
        self, batch: "_Batch", sample_weight: Any
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """The losses and their weights, 0 where they are not valid; and where they are."""
        losses, valid = self._losses(batch)
        is_one = losses.shape.rank == 0
        weight = self._weight(batch, sample_weight, batch.rows if is_one else losses)
        if is_one:
            weight = _mean_weight(weight, batch.rows)
        losses = tf.where(valid, losses, tf.zeros_like(losses))
        weight = tf.where(valid, weight, tf.zeros_like(weight))
        return losses, weight, valid

    def _weight(self, batch: "_Batch", sample_weight: Any, like: tf.Tensor) -> tf.Tensor:
        """The product of all weights there are, of the shape of what they weigh."""
        dtype = batch.y_pred.dtype
        product = tf.ones_like(like, dtype)
        if sample_weight is not None:
            weight = to_tensor("sample_weight", sample_weight, LABEL_DTYPES, dtype)
            product *= broadcast_left(align("sample_weight", cast(weight, dtype), like), like)
        own = weight_of(self.feature_weights, self.step_weights, like.shape)
        if own is not None:
            product = with_lengths(product, self.feature_weights, self.step_weights)
            product *= tf.constant(own, dtype)
        if self.class_weight is not None:
            product *= class_weights.weight_of_rows(
                self.class_weight, batch.layout, batch.y_true, batch.y_pred, batch.rows
            )
        return product

    def totals(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> MaskedSums:
        batch = self._batch(y_true, y_pred)
        losses, weight, valid = self._weighted_losses(batch, sample_weight)
        if row_layout.is_one_of(self.inner, row_layout.OF_PAIRS_OF_ROWS) or losses.shape.rank == 0:
            raise ValueError(
                f"Expected the loss of an epoch to be made of sums over its batches. Received: "
                f"{type(self.inner).__name__}, whose rows have no loss of their own"
            )
        return self._totals(batch, losses, weight, valid)

    def _totals(
        self, batch: "_Batch", losses: tf.Tensor, weight: tf.Tensor, valid: tf.Tensor
    ) -> MaskedSums:
        weight = tf.cast(weight, tf.float64)
        weighted = weight * tf.cast(losses, tf.float64)
        how = self.how
        sums = sums_of(weighted, weight, valid, how.balance, "the losses of the rows")
        if how.kind == "sum" and how.balance is None and batch.has_rows_of_elements:
            sums = sums._replace(loss_sum=summation.total(_row_means(weighted, valid)))
        return how.additive(sums)

    def _losses(self, batch: "_Batch") -> tuple[tf.Tensor, tf.Tensor]:
        """The losses (of any value where not valid), and which of them are valid."""
        layout, rows = batch.layout, batch.rows
        if row_layout.is_one_of(self.inner, row_layout.OF_PAIRS_OF_ROWS):
            return self._losses_of_valid_rows(batch)
        y_true, y_pred = self._without_gaps(batch)
        if layout.takes_singles:
            y_true = tf.reshape(y_true, [-1, 1])
        if batch.frames is not None:
            losses, kept = _ctc(y_true, y_pred, batch.frames), None
        else:
            losses, kept = self._inner_losses(batch.function, y_true, y_pred)
        if layout.takes_singles:
            losses = tf.reshape(losses, tf.shape(rows))
        valid = self._valid(batch)
        if not losses.shape.is_compatible_with(valid.shape):
            raise ValueError(
                f"Expected '{self.name}' to return one loss for each row, with shape "
                f"{valid.shape}. Received: losses with shape {losses.shape}"
            )
        losses = tf.ensure_shape(losses, valid.shape)
        return losses, valid if kept is None else valid & kept

    def _without_gaps(self, batch: "_Batch") -> tuple[tf.Tensor, tf.Tensor]:
        """Labels and predictions as the inner loss takes them."""
        layout, rows, y_true, y_pred = batch.layout, batch.rows, batch.y_true, batch.y_pred
        label, prediction = 1, 1
        if layout.has_class_labels or layout.is_of_sequences:
            label = 0
        elif row_layout.is_one_of(self.inner, row_layout.OVER_SEVERAL_ROWS):
            label, prediction = 0, 0
        of_label = rows
        if layout.is_of_sequences:  # labels that are missing at the end are not there
            of_label = layout.is_observed(y_true, self.missing) & rows[:, None]
        elif layout.axis is not None and not layout.has_class_labels:
            of_label = tf.expand_dims(rows, layout.axis)
        y_true = tf.where(of_label, y_true, tf.cast(label, y_true.dtype))
        # Classes stay whole numbers: bfloat16 has no 257.
        y_true = tf.cast(y_true, tf.int64 if layout.has_class_labels else y_pred.dtype)
        of_prediction = layout.of_predictions(rows, y_pred)

        def handed_on(predictions: tf.Tensor) -> tf.Tensor:
            return tf.reshape(predictions, [-1, 1]) if layout.takes_singles else predictions

        if batch.logits is not None:
            activation, logits = batch.logits
            if activation == "Sigmoid" or not layout.takes_singles:
                logits = tf.where(of_prediction, logits, tf.zeros_like(logits))
                apply = keras.ops.sigmoid if activation == "Sigmoid" else keras.ops.softmax
                return y_true, apply(handed_on(logits))
        y_pred = tf.where(of_prediction, y_pred, tf.cast(prediction, y_pred.dtype))
        return y_true, handed_on(y_pred)

    def _inner_losses(
        self, function: Callable[..., Any], y_true: tf.Tensor, y_pred: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor | None]:
        """The inner loss's numbers, and its own mask over them, if it has one."""
        losses = function(y_true, y_pred)
        kept = get_keras_mask(losses)
        losses = keras.ops.convert_to_tensor(losses, dtype=self.dtype)
        if kept is not None:
            # Keras's Circle keeps what is above 0, which NaN is not: divergence must not hide.
            kept = tf.cast(kept, tf.bool) | tf.math.is_nan(losses)
        return losses, kept

    def _losses_of_valid_rows(self, batch: "_Batch") -> tuple[tf.Tensor, tf.Tensor]:
        valid = batch.rows
        y_true = tf.cast(tf.boolean_mask(batch.y_true, valid), tf.int64)
        y_pred = tf.boolean_mask(batch.y_pred, valid)
        losses, kept = self._inner_losses(batch.function, y_true, y_pred)
        indices = tf.where(valid)
        shape = tf.shape(valid, out_type=indices.dtype)
        if kept is not None:
            valid = tf.scatter_nd(indices, tf.cast(kept, tf.int32), shape) > 0
        return tf.scatter_nd(indices, losses, shape), valid

    def _warn_of_rows(self, batch: "_Batch") -> None:
        """Once, if most rows that have labels do not count since others of theirs are missing."""
        layout, y_true = batch.layout, batch.y_true
        is_of_rows = layout.axis is not None and not layout.has_class_labels
        if not (is_of_rows and tf.executing_eagerly()) or y_true.shape[layout.axis] == 1:
            return
        if layout.is_of_sequences or self in _warned:
            return
        observed = layout.is_observed(y_true, self.missing)
        some = int(tf.math.count_nonzero(tf.reduce_any(observed, layout.axis)))
        whole = int(tf.math.count_nonzero(tf.reduce_all(observed, layout.axis)))
        if some > 2 * whole:
            _warned.add(self)
            warnings.warn(
                f"losses.Masked: '{self.name}' is a loss of whole rows. Expected rows without a "
                f"gap. Received: only {whole:,} of {some:,} rows that have labels are complete; "
                "the others do not count. A loss of your own that returns the labels' shape, one "
                "number for each of them, counts every label",
                stacklevel=3,
            )

    def get_config(self) -> dict[str, Any]:
        is_name = isinstance(self.inner, str)
        config = {**super().get_config()}
        config["loss"] = self.inner if is_name else complete_config(self.inner)
        for name in ("per", "class_labels", "class_weight"):
            if getattr(self, name) is not None:
                config[name] = getattr(self, name)
        return config

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Masked":
        return cls(**{**config, "loss": keras.saving.deserialize_keras_object(config["loss"])})


class _Batch(NamedTuple):
    """Labels and predictions, whose shapes fit together."""

    function: Callable[[tf.Tensor, tf.Tensor], Any]
    layout: RowLayout
    y_true: tf.Tensor
    y_pred: tf.Tensor
    logits: tuple[str, tf.Tensor] | None
    """The activation that made the predictions, and its logits, where that is known."""
    rows: tf.Tensor
    """Which elements, rows or sequences are valid."""
    frames: tf.Tensor | None
    """Which frames of sequences are there; None: all of them."""

    @property
    def has_rows_of_elements(self) -> bool:
        return self.layout.axis is None and self.rows.shape.rank != 0


def _axes_of(inner: Any) -> Any:
    """The axis or axes of a loss over several rows; None for all."""
    return row_axis(inner) if isinstance(inner, keras.losses.Loss) else None


def _layout_of_keras(inner: Any) -> RowLayout | None:
    """None for a loss of somebody's own."""
    if row_layout.is_one_of(inner, row_layout.OVER_SEVERAL_ROWS):
        return RowLayout()  # its axes are those of its sums
    if not row_layout.is_of_keras(inner):
        return None
    if row_layout.is_elementwise(inner):
        return own_functions.SINGLES
    axis = row_axis(inner)
    return RowLayout(
        axis if isinstance(axis, int) else -1,
        row_layout.is_one_of(inner, row_layout.WITH_CLASS_LABELS),
        row_layout.is_one_of(inner, row_layout.OF_SEQUENCES),
    )


def _row_means(weighted: tf.Tensor, valid: tf.Tensor) -> tf.Tensor:
    """Of the valid elements of the last axis; 0 where there are none."""
    count = tf.cast(tf.math.count_nonzero(valid, -1), weighted.dtype)
    return tf.math.divide_no_nan(tf.reduce_sum(weighted, -1), count)


def _ctc(y_true: tf.Tensor, y_pred: tf.Tensor, frames: tf.Tensor) -> tf.Tensor:
    """Keras's CTC over the frames that are there; 0 is the blank, and no label."""
    packing = pack(frames)
    y_true = tf.cast(y_true, tf.int32)
    y_pred = tf.where(frames[..., None], y_pred, tf.zeros_like(y_pred))
    return keras.ops.ctc_loss(
        y_true,
        take_steps(y_pred, packing.order),
        tf.math.count_nonzero(y_true, -1, dtype=tf.int32),
        packing.count[:, -1],
        mask_index=0,
    )


def _mean_weight(weight: tf.Tensor, rows: tf.Tensor) -> tf.Tensor:
    """Of the valid rows: the weight of a loss that is one for all of them, as in Keras."""
    total = summation.total(tf.cast(tf.where(rows, weight, tf.zeros_like(weight)), tf.float64))
    count = tf.cast(tf.math.count_nonzero(rows), tf.float64)
    return tf.cast(divided(total, count), weight.dtype)
