"""`Masked`: any Keras metric made to skip what has no label.

Design:
    A. The inner metric never sees a gap. An invalid row or element is replaced by a valid one of
       the same batch and has weight 0: what can be computed of the one adds 0 for the other,
       whatever the metric does, while no constant suits them all (a correlation is NaN for rows of
       ones, a logarithm infinite for zeros). Rows are not dropped, since XLA's shapes are fixed.
    B. A batch without anything valid has no such row. It is updated with zeros, and the inner
       metric's variables are then put back.
    C. Rows are handed on as one axis, so that all of them have the same say: Keras would first
       average over the steps of each sample.
"""

import inspect
from typing import Any

import keras
import tensorflow as tf

from masklstm import _arguments, _rows
from masklstm._keras_compat import (
    complete_config,
    copy_direction,
    get_keras_mask,
    metric_function,
    row_axis,
)
from masklstm._metric_bases import GapAwareMetric, as_predictions

# A label and a prediction of its own for each element.
_OF_ELEMENTS = (
    keras.metrics.AUC,
    keras.metrics.Accuracy,
    keras.metrics.BinaryAccuracy,
    keras.metrics.BinaryIoU,
    keras.metrics.FalseNegatives,
    keras.metrics.FalsePositives,
    keras.metrics.Precision,
    keras.metrics.PrecisionAtRecall,
    keras.metrics.Recall,
    keras.metrics.RecallAtPrecision,
    keras.metrics.SensitivityAtSpecificity,
    keras.metrics.SpecificityAtSensitivity,
    keras.metrics.TrueNegatives,
    keras.metrics.TruePositives,
    keras.metrics.binary_accuracy,
)
_WITH_CLASS_LABELS = (
    *_rows.WITH_CLASS_LABELS,
    keras.metrics.sparse_categorical_accuracy,
    keras.metrics.sparse_top_k_categorical_accuracy,
)
# These look at several rows at once, or at rows that are not of one length.
_NOT_OF_ROWS = (*_rows.OF_PAIRS_OF_ROWS, *_rows.OVER_SEVERAL_ROWS, *_rows.OF_SEQUENCES)


@keras.saving.register_keras_serializable(package="masklstm.metrics")
class Masked(GapAwareMetric):
    """Any Keras metric that takes `sample_weight`, over what has a label.

    For metrics that take each element by itself (`AUC` and its kin, `Precision`, `BinaryIoU`,
    `Accuracy`) an element counts if its label is there. For all others a row does: the entries
    along the metric's axis, usually the last one, or a class label. A row with any missing label is
    invalid as a whole. Class labels are also missing where they are -1. With `top_k`, rows count
    as well; with `class_id`, only that class's label matters.

    Formula: that of the metric, on the valid rows or elements alone; NaN if there is none yet.

    The variables are those of the metric, in the types that it gives them, and `valid_count`.

    Args:
        metric: A `keras.metrics.Metric` whose `update_state` takes `y_true`, `y_pred` and
            `sample_weight`, the name of one, or a function of `y_true` and `y_pred` that returns
            one number for each row.
        name: Name of the metric; that of the inner one by default.
        dtype: Type of the result; that of the inner metric's by default.
        missing: A number that means "no label" besides NaN, or `"nonfinite"`.

    Raises:
        ValueError: For what is not such a metric, or skips gaps itself; labels and predictions
            whose shapes do not fit together.

    Example:

    >>> import masklstm
    >>> metric = masklstm.metrics.Masked("SparseCategoricalAccuracy")
    >>> metric.update_state([0, -1, 1], [[0.9, 0.1], [0.9, 0.1], [0.7, 0.3]])
    >>> float(metric.result())
    0.5

    Source: the inner metrics are those of `keras.metrics`.
    """

    direction = None

    def __init__(
        self,
        metric: Any,
        name: str | None = None,
        dtype: Any = None,
        *,
        missing: Any = float("nan"),
    ) -> None:
        inner = _inner_metric(metric)
        super().__init__(name or inner.name, dtype or inner.dtype, missing)
        self._has_own_dtype = dtype is not None
        self.inner = inner
        copy_direction(self, inner)
        self.valid_count = self.add_count("valid_count")
        self._layout = _layout(inner)
        self._is_built = False

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Adds a batch.

        Args:
            y_true, y_pred: As the inner metric takes them; NaN means missing.
            sample_weight: Weights of the rows or elements, aligned with them from the left.
        """
        mask = get_keras_mask(y_pred)
        y_pred = as_predictions(y_pred)
        y_true = _arguments.to_tensor("y_true", y_true, _arguments.LABEL_DTYPES, tf.float32)
        y_true, y_pred = self._layout.match_shapes(y_true, y_pred)
        axis, has_class_labels, _ = self._layout
        if y_true.shape.rank == 1 and axis is not None and not has_class_labels:
            y_true, y_pred = y_true[:, None], y_pred[:, None]
        valid = self._valid(y_true, mask)
        weight = tf.cast(valid, self.inner.dtype)
        if sample_weight is not None:
            weight = _arguments.to_tensor(
                "sample_weight", sample_weight, _arguments.LABEL_DTYPES, tf.float32
            )
            weight = _arguments.align("sample_weight", weight, valid)
            weight = _arguments.broadcast_left(weight, valid)
            weight = tf.where(valid, weight, tf.zeros_like(weight))

        y_true = _without_gaps(y_true, valid, None if has_class_labels else axis)
        y_pred = _without_gaps(y_pred, valid, axis)
        if axis is None:
            # An AUC may tell the entries of the last axis apart (multi_label, label_weights).
            entries = 1 if isinstance(self.inner, keras.metrics.AUC) and valid.shape.rank > 1 else 0
            y_true, y_pred, weight = (_handed_on(x, entries) for x in (y_true, y_pred, weight))
        elif axis == -1:
            y_true = _handed_on(y_true, 0 if has_class_labels else 1)
            y_pred, weight = _handed_on(y_pred, 1), _handed_on(weight, 0)
        self._update_inner(y_true, y_pred, weight, tf.reduce_any(valid))
        self.valid_count.assign_add(tf.math.count_nonzero(valid))

    def _valid(self, y_true: tf.Tensor, mask: tf.Tensor | None) -> tf.Tensor:
        class_id = _only_class(self.inner)
        if class_id is not None:
            return _rows.RowLayout(None).valid_rows(y_true[..., class_id], mask, self.missing)
        return self._layout.valid_rows(y_true, mask, self.missing)

    def _update_inner(
        self, y_true: tf.Tensor, y_pred: tf.Tensor, weight: tf.Tensor, is_any_valid: tf.Tensor
    ) -> None:
        if not self._is_built:
            # Some metrics make their variables when they are first updated: too late to put them
            # back. Nothing is changed in this scope.
            with keras.StatelessScope():
                self.inner.update_state(y_true, y_pred, sample_weight=weight)
            self._is_built = True
        before = [tf.identity(variable) for variable in self.inner.variables]
        self.inner.update_state(y_true, y_pred, sample_weight=weight)
        for variable, old in zip(self.inner.variables, before, strict=True):
            variable.assign(tf.where(is_any_valid, tf.convert_to_tensor(variable), old))

    def result(self) -> Any:
        """What the inner metric makes of all that is valid so far; NaN if there is nothing."""
        return tf.nest.map_structure(self._or_nan, self.inner.result())

    def _or_nan(self, value: Any) -> tf.Tensor:
        value = tf.convert_to_tensor(value)
        if self._has_own_dtype or not value.dtype.is_floating:
            value = tf.cast(value, self.dtype if self._has_own_dtype else tf.float64)
        nan = tf.constant(float("nan"), value.dtype)
        return tf.where(tf.convert_to_tensor(self.valid_count) == 0, nan, value)

    def reset_state(self) -> None:
        self.inner.reset_state()
        self.valid_count.assign(0)

    def get_config(self) -> dict[str, Any]:
        config = {**super().get_config(), "metric": complete_config(self.inner)}
        if not self._has_own_dtype:
            del config["dtype"]
        return config

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Masked":
        return cls(**{**config, "metric": keras.saving.deserialize_keras_object(config["metric"])})


def _inner_metric(metric: Any) -> Any:
    inner = keras.metrics.get(metric)
    if inner is None:
        raise ValueError(
            "Invalid value for argument 'metric'. Expected a Keras metric, its name, or a function "
            f"of y_true and y_pred. Received: metric={metric!r}"
        )
    if not isinstance(inner, keras.metrics.Metric):
        name = getattr(inner, "__name__", "masked").strip("<>")
        inner = keras.metrics.MeanMetricWrapper(inner, name=name)
    if isinstance(inner, GapAwareMetric):
        raise ValueError(
            "Invalid value for argument 'metric'. Expected one that does not skip gaps itself. "
            f"Received: masklstm's {type(inner).__name__}"
        )
    arguments = list(inspect.signature(inner.update_state).parameters)
    if not {"y_true", "y_pred", "sample_weight"} <= set(arguments):
        raise ValueError(
            "Invalid value for argument 'metric'. Expected one whose update_state takes y_true, "
            f"y_pred and sample_weight. Received: {type(inner).__name__}, whose takes {arguments}"
        )
    if _rows.is_one_of(metric_function(inner), _NOT_OF_ROWS):
        raise ValueError(
            "Invalid value for argument 'metric'. Expected one that takes each row by itself. "
            f"Received: the mean of {metric_function(inner).__name__}; the loss of that name in "
            "masklstm.losses.Masked skips gaps"
        )
    if isinstance(inner, keras.metrics.R2Score) and inner.num_regressors:
        raise ValueError(
            "Invalid value for argument 'metric'. Expected one that counts rows by their weights: "
            "use masklstm.metrics.R2Score. Received: keras.metrics.R2Score with "
            f"num_regressors={inner.num_regressors}"
        )
    return inner


def _only_class(metric: Any) -> int | None:
    """The one class whose labels matter, if there is one."""
    if not _rows.is_one_of(metric, _OF_ELEMENTS) or getattr(metric, "top_k", None) is not None:
        return None
    return getattr(metric, "class_id", None)


def _layout(metric: Any) -> _rows.RowLayout:
    function = metric_function(metric)
    axis = row_axis(metric)
    if not isinstance(axis, int) or isinstance(metric, keras.metrics.FBetaScore):
        axis = -1  # FBetaScore's is the one along which it adds up
    if _rows.is_one_of(metric, _OF_ELEMENTS) or _rows.is_one_of(function, _OF_ELEMENTS):
        has_class = getattr(metric, "class_id", None) is not None
        has_top_k = getattr(metric, "top_k", None) is not None
        return _rows.RowLayout(-1 if has_class or has_top_k else None)
    if isinstance(metric, keras.metrics.IoU) and metric.sparse_y_true:
        return _rows.RowLayout(None if metric.sparse_y_pred else axis, has_class_labels=True)
    return _rows.RowLayout(axis, _rows.is_one_of(function, _WITH_CLASS_LABELS))


def _without_gaps(x: tf.Tensor, valid: tf.Tensor, axis: int | None) -> tf.Tensor:
    """The tensor with its first valid row, or zeros if there is none, in place of invalid ones."""
    moved = x if axis in (None, -1) else keras.ops.moveaxis(x, axis, -1)
    rows = _merged(moved, 0 if axis is None else 1)
    valid = tf.reshape(valid, [-1])
    number = tf.shape(valid)[0]
    with_zeros = tf.pad(rows, [[0, 1], [0, 0]][: rows.shape.rank])
    first = tf.argmin(tf.cast(tf.pad(~valid, [[0, 1]]), tf.int32), output_type=tf.int32)
    chosen = tf.gather(with_zeros, tf.where(valid, tf.range(number), first))
    result = tf.reshape(chosen, tf.shape(moved))
    result = result if axis in (None, -1) else keras.ops.moveaxis(result, -1, axis)
    return tf.ensure_shape(result, x.shape)


def _handed_on(x: tf.Tensor, entries: int) -> tf.Tensor:
    """One axis of rows, and not an empty one: some metrics take the maximum over all of them."""
    rows = _merged(x, entries)
    if rows.shape[0]:
        return rows
    one_if_empty = tf.cast(tf.shape(rows)[0] == 0, tf.int32)
    return tf.pad(rows, [[0, one_if_empty], [0, 0]][: rows.shape.rank])


def _merged(x: tf.Tensor, entries: int) -> tf.Tensor:
    """All axes but the last `entries` ones as one."""
    kept = list(x.shape[x.shape.rank - entries :])
    if None in kept:
        kept = [tf.shape(x)[-1]]
    return tf.reshape(x, [-1, *kept])
