"""`Masked`: any Keras metric made to skip what has no label.

Design:
    A. What counts (elements, rows, pairs of a correlation) is a `RowLayout`: Keras's metrics are
       known, those of somebody's own are tried (`_own_functions`).
    B. The inner metric never sees a gap. An invalid row or element is replaced by a valid one of
       the same batch and has weight 0: what can be computed of the one adds 0 for the other,
       whatever the metric does, while no constant suits them all (a correlation is NaN for rows of
       ones, a logarithm infinite for zeros). Rows are not dropped, since XLA's shapes are fixed.
    C. A batch without anything valid has no such row. It is updated with zeros, and the inner
       metric's variables are then put back.
    D. Rows are handed on as one axis, so that all of them count equally: Keras would first
       average over the steps of each sample.
    E. A score for each task (an F-score by a threshold, an AUC with multi_label) counts each task's
       own labels; an average over the tasks leaves out those that have no score yet.
"""

import inspect
import threading
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from masklstm._core import own_functions, row_layout
from masklstm._core.arguments import align, broadcast_left, to_tensor
from masklstm._core.keras_compat import (
    complete_config,
    copy_direction,
    find_logits,
    get_keras_mask,
    metric_function,
    row_axis,
    set_direction,
    those_of,
)
from masklstm._core.row_layout import RowLayout
from masklstm._core.types import LABEL_DTYPES
from masklstm.metrics.base import GapAwareMetric, as_predictions, with_free_name
from masklstm.metrics.groups import check_names

_BY_SHAPE = {"acc": "accuracy", "accuracy": "accuracy"} | dict.fromkeys(
    ("ce", "crossentropy"), "crossentropy"
)
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
    *row_layout.WITH_CLASS_LABELS,
    keras.metrics.sparse_categorical_accuracy,
    keras.metrics.sparse_top_k_categorical_accuracy,
)
# Of a series, the pairs that have a label make the correlation.
_CORRELATIONS = those_of(keras.metrics, "pearson_correlation", "concordance_correlation")
# These look at several rows at once, or at rows that are not of one length.
_NOT_OF_ROWS = (
    *row_layout.OF_PAIRS_OF_ROWS,
    *row_layout.OVER_SEVERAL_ROWS,
    *row_layout.OF_SEQUENCES,
)


# Variables are made once, whoever is first.
_building = threading.RLock()


@keras.saving.register_keras_serializable(package="masklstm.metrics")
class Masked(GapAwareMetric):
    """Any Keras metric that takes `sample_weight`, or one of your own, over what has a label.

    What counts depends on the metric: see the table of Keras's in docs/masked.md, and the attribute
    `counts`.

    - Element by element: metrics that take each by itself (`AUC` and related ones, `Precision`,
      `BinaryIoU`, `Accuracy`) or average a number for each (`"mse"`, `"Hinge"`, a function of your
      own). An element counts if its label is there.
    - By rows: the entries along the metric's axis, usually the last one. A row with any missing
      label is invalid as a whole. With `top_k`, rows count as well; with `class_id`, only that
      class's label matters.
    - Class labels: one for a row of predictions; -1 is not a class and counts as missing.
    - By task: `F1Score` and `FBetaScore` with a threshold, `AUC` with `multi_label`, `R2Score`:
      each task's score is over its own labels. A task that has no label, or for an AUC labels of
      only one class, is left out of a macro average; its own score is NaN.
    - By series: a correlation is over the pairs of a row that have a label, at least two.

    A metric of your own is tried on a few made-up numbers to find out which of the first three it
    is; `per` and `class_labels` say so without a trial.

    Formula: that of the metric, over what is valid; NaN before there is any.

    The variables are those of the metric, in the types that it gives them, and `valid_count`.

    Args:
        metric: A `keras.metrics.Metric` whose `update_state` takes `y_true`, `y_pred` and
            `sample_weight`, the name of one, or a function of `y_true` and `y_pred` that returns
            one number for each element or each row. `"accuracy"` and `"acc"`, `"crossentropy"` and
            `"ce"` are the binary, categorical or sparse categorical ones, chosen by the shapes
            as in Keras's `compile`.
        name: Name of the metric; that of the inner one by default.
        dtype: Type of the result; that of the inner metric's by default.
        per: `"element"` or `"row"`: what counts, for a metric of your own. By default a trial
            tells.
        class_labels: Whether labels are classes, `(batch, ...)` for predictions `(batch, ...,
            classes)`, for a metric of your own.
        names: Names for the entries of a result that is a vector, as the scores of tasks of
            `F1Score(average=None)`: each then has a line of its own in the logs,
            `<metric>_<name>`, and the result is a dict. By default it stays a vector, which
            TensorBoard does not take.
        missing: A number that means "no label" in addition to NaN, `"nonfinite"`, or a list of
            these.

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
        per: str | None = None,
        class_labels: bool | None = None,
        names: Sequence[Any] | None = None,
        missing: Any = float("nan"),
    ) -> None:
        self._kind_by_shape = _BY_SHAPE.get(metric.lower()) if isinstance(metric, str) else None
        inner = _by_shape(metric) if self._kind_by_shape else _inner_metric(metric)
        super().__init__(name or inner.name, dtype or inner.dtype, missing)
        self._has_own_dtype = dtype is not None
        self.inner = inner
        self.per = per
        self.class_labels = class_labels
        self.names = None if names is None else check_names(names)
        copy_direction(self, inner)
        if self._kind_by_shape:
            set_direction(self, "up" if self._kind_by_shape == "accuracy" else "down")
        self.valid_count = self.add_count("valid_count")
        self._known_layout = self._find_known_layout()
        self._counts_tasks = isinstance(inner, keras.metrics.FBetaScore) and inner.threshold
        self._is_built = False

    @property
    def counts(self) -> str | None:
        """`"element"`, `"row"`, `"class label"`, `"task"` (the elements of each task by itself) or
        `"pair"` (those of each series): what is counted. None where that depends on labels and
        predictions, as for a function of your own.
        """
        if self._is_correlation():
            return "pair"
        of_tasks = self._counts_tasks or isinstance(self.inner, keras.metrics.R2Score)
        if of_tasks or getattr(self.inner, "multi_label", False):
            return "task"
        if _only_class(self.inner) is not None:
            return "element"  # those of the class
        return None if self._known_layout is None else self._known_layout.counts

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Adds a batch.

        Args:
            y_true, y_pred: As the inner metric takes them; NaN means missing.
            sample_weight: Weights of the rows or elements, aligned with them from the left.
        """
        mask = get_keras_mask(y_pred)
        logits = find_logits(y_pred) if self._looks_for_logits() else None
        y_pred = as_predictions(y_pred)
        y_true = to_tensor("y_true", y_true, LABEL_DTYPES, tf.float32)
        layout = self._layout_for(y_true, y_pred)
        y_true, y_pred = layout.match_shapes(y_true, y_pred)
        if logits is not None and (logits[0] == "Sigmoid" or layout.axis is not None):
            activation = {"Sigmoid": keras.ops.sigmoid, "Softmax": keras.ops.softmax}[logits[0]]
            y_pred = tf.reshape(logits[1], tf.shape(y_pred))
        else:
            activation = None
        axis = layout.axis
        if y_true.shape.rank == 1 and axis is not None and not layout.has_class_labels:
            y_true, y_pred = y_true[:, None], y_pred[:, None]
        valid = self._valid(y_true, mask, layout)
        if self._is_correlation():
            y_true, y_pred, valid = self._pairs(y_true, y_pred, mask, layout)
        weight = self._weight(valid, sample_weight)
        if self._counts_tasks:
            y_true, y_pred = (tf.where(valid, x, tf.zeros_like(x)) for x in (y_true, y_pred))
        else:
            y_true, y_pred = _without_gaps(layout, y_true, y_pred, valid)
        y_true, y_pred, weight = self._handed_on(layout, y_true, y_pred, weight)
        if activation is not None:
            y_pred = activation(y_pred)
        self._build(y_true, y_pred, weight)
        if self._counts_tasks:
            axes = list(range(valid.shape.rank - 1))
            self.task_count.assign_add(tf.math.count_nonzero(valid, axes))
        self._update_inner(y_true, y_pred, weight, tf.reduce_any(valid))
        self.valid_count.assign_add(tf.math.count_nonzero(valid))

    def _find_known_layout(self) -> RowLayout | None:
        """None where it depends on labels and predictions."""
        is_of_keras = row_layout.is_of_keras(self.inner)
        if metric_function(self.inner) is None and not is_of_keras:
            return own_functions.find_layout_of_metric(
                self.inner, _layout(self.inner), self.per, self.class_labels
            )
        known = _layout(self.inner) if is_of_keras else None
        row_layout.check_what_counts(self.per, self.class_labels, known)
        return known

    def _layout_for(self, y_true: tf.Tensor, y_pred: tf.Tensor) -> RowLayout:
        if self._known_layout is not None:
            return self._known_layout
        if self._kind_by_shape:
            function = row_layout.by_shape(self._kind_by_shape, y_true, y_pred)
            return _layout_of_function(function, -1)
        function = metric_function(self.inner)
        arguments = getattr(self.inner, "_fn_kwargs", {})

        def call(y_true: tf.Tensor, y_pred: tf.Tensor) -> Any:
            return function(y_true, y_pred, **arguments)

        return own_functions.find_layout(
            function, call, y_true, y_pred, self.per, self.class_labels
        )

    def _looks_for_logits(self) -> bool:
        """Whether the inner metric may be a cross-entropy."""
        function = metric_function(self.inner)
        known = function is not None and row_layout.is_of_keras(function)
        return not known or "crossentropy" in function.__name__

    def _is_correlation(self) -> bool:
        return row_layout.is_one_of(metric_function(self.inner), _CORRELATIONS)

    def _valid(self, y_true: tf.Tensor, mask: tf.Tensor | None, layout: RowLayout) -> tf.Tensor:
        class_id = _only_class(self.inner)
        if class_id is not None:
            return RowLayout(None).valid_rows(y_true[..., class_id], mask, self.missing)
        return layout.valid_rows(y_true, mask, self.missing)

    def _pairs(
        self, y_true: tf.Tensor, y_pred: tf.Tensor, mask: tf.Tensor | None, layout: RowLayout
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Rows without gaps that have the moments of the pairs with a label: gaps at the means, and
        the deviations of the others larger by the share that there is. And which rows have two.
        """
        there = RowLayout(None).valid_rows(y_true, mask, self.missing)
        axis = layout.axis
        count = tf.cast(tf.math.count_nonzero(there, axis, keepdims=True), tf.float64)
        length = tf.cast(tf.shape(y_true)[axis], tf.float64)

        def without_gaps(x: tf.Tensor) -> tf.Tensor:
            x = tf.where(there, tf.cast(x, tf.float64), 0.0)
            mean = tf.math.divide_no_nan(tf.reduce_sum(x, axis, keepdims=True), count)
            stretch = tf.where(count < length, tf.sqrt(length / tf.maximum(count, 1.0)), 1.0)
            return mean + tf.where(there, x - mean, 0.0) * stretch

        return without_gaps(y_true), without_gaps(y_pred), tf.squeeze(count, axis) >= 2

    def _weight(self, valid: tf.Tensor, sample_weight: Any) -> tf.Tensor:
        if self._counts_tasks:
            valid = tf.reduce_any(valid, -1)
        weight = tf.cast(valid, self.inner.dtype)
        if sample_weight is not None:
            weight = to_tensor("sample_weight", sample_weight, LABEL_DTYPES, tf.float32)
            weight = align("sample_weight", weight, valid)
            weight = broadcast_left(weight, valid)
            weight = tf.where(valid, weight, tf.zeros_like(weight))
        return weight

    def _handed_on(
        self, layout: RowLayout, y_true: tf.Tensor, y_pred: tf.Tensor, weight: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Labels, predictions and weights with one axis of rows, as the inner metric takes them."""
        if layout.axis not in (None, -1):
            return y_true, y_pred, weight
        if layout.takes_singles:
            y_true, y_pred = (_merged_rows(x[..., None], 1) for x in (y_true, y_pred))
            return y_true, y_pred, _merged_rows(weight, 0)
        if layout.has_class_labels:
            entries = 0, 0 if layout.axis is None else 1, 0
        elif layout.axis is not None or self._counts_tasks:
            entries = 1, 1, 0
        elif layout.has_channels:
            labels = int(y_true.shape.rank == y_pred.shape.rank)
            entries = labels, 1, labels
        else:
            # Some tell the entries of the last axis apart: an AUC's labels, outputs, functions that
            # weigh them.
            function = metric_function(self.inner)
            by_entry = isinstance(self.inner, (keras.metrics.AUC, keras.metrics.R2Score))
            by_entry |= function is not None and not row_layout.is_of_keras(function)
            entries = (int(by_entry and weight.shape.rank > 1),) * 3
        values = zip((y_true, y_pred, weight), entries, strict=True)
        y_true, y_pred, weight = (_merged_rows(x, number) for x, number in values)
        return y_true, y_pred, weight

    def _build(self, y_true: tf.Tensor, y_pred: tf.Tensor, weight: tf.Tensor) -> None:
        """Some metrics make their variables when they are first updated: too late to put them back.
        Nothing is changed in this scope.
        """
        with _building:
            if self._is_built:
                return
            with keras.StatelessScope():
                self.inner.update_state(y_true, y_pred, sample_weight=weight)
            if self._counts_tasks:
                self.task_count = self.add_count("task_count", (y_true.shape[-1],))
            self._is_built = True

    def _update_inner(
        self, y_true: tf.Tensor, y_pred: tf.Tensor, weight: tf.Tensor, is_any_valid: tf.Tensor
    ) -> None:
        before = [tf.identity(variable) for variable in self.inner.variables]
        self.inner.update_state(y_true, y_pred, sample_weight=weight)
        for variable, old in zip(self.inner.variables, before, strict=True):
            variable.assign(tf.where(is_any_valid, tf.convert_to_tensor(variable), old))

    def result(self) -> Any:
        """The inner metric's result over what was valid so far; NaN if nothing was."""
        result = tf.nest.map_structure(self._or_nan, self._of_seen_tasks(self.inner.result()))
        if self.names is None:
            return result
        if not self._is_built:  # of some metrics the first batch tells how long the result is
            return dict.fromkeys(self.log_names(), self._or_nan(float("nan")))
        if not tf.is_tensor(result) or result.shape != [len(self.names)]:
            raise ValueError(
                f"Metric '{self.name}' has names for the entries of its result. Expected a vector "
                f"with {len(self.names)} of them. Received: {result!r}"
            )
        return dict(zip(self.log_names(), tf.unstack(result), strict=True))

    def log_names(self) -> list[str]:
        if self.names is None:
            return super().log_names()
        return [f"{self.name}_{name}" for name in self.names]

    def _of_seen_tasks(self, value: Any) -> Any:
        """Without the tasks that have no score, for which Keras counts 0."""
        inner = self.inner
        if not self._is_built:
            return value
        if isinstance(inner, keras.metrics.AUC) and inner.multi_label:
            has_positive = tf.convert_to_tensor(inner.true_positives + inner.false_negatives)[0] > 0
            has_negative = tf.convert_to_tensor(inner.true_negatives + inner.false_positives)[0] > 0
            seen = has_positive
            if str(getattr(inner.curve, "value", inner.curve)).upper() == "ROC":
                seen &= has_negative
            share = tf.cast(seen, tf.convert_to_tensor(value).dtype)
            weights = inner.label_weights
            weights = tf.ones_like(share) if weights is None else tf.cast(weights, share.dtype)
            return value * (tf.reduce_sum(weights) / tf.reduce_sum(weights * share))
        if self._counts_tasks and inner.average in (None, "macro"):
            seen = tf.convert_to_tensor(self.task_count) > 0
            if inner.average is None:
                return tf.where(seen, value, tf.constant(float("nan"), value.dtype))
            return value / tf.reduce_mean(tf.cast(seen, value.dtype))
        return value

    def _or_nan(self, value: Any) -> tf.Tensor:
        value = tf.convert_to_tensor(value)
        if self._has_own_dtype or not value.dtype.is_floating:
            value = tf.cast(value, self.dtype if self._has_own_dtype else tf.float64)
        nan = tf.constant(float("nan"), value.dtype)
        return tf.where(tf.convert_to_tensor(self.valid_count) == 0, nan, value)

    def reset_state(self) -> None:
        self.inner.reset_state()
        self.valid_count.assign(0)
        if self._counts_tasks and self._is_built:
            self.task_count.assign(tf.zeros_like(self.task_count))

    def get_config(self) -> dict[str, Any]:
        config = dict(super().get_config())
        config["metric"] = self.inner.name if self._kind_by_shape else complete_config(self.inner)
        if self.per is not None:
            config["per"] = self.per
        if self.class_labels is not None:
            config["class_labels"] = self.class_labels
        if self.names is not None:
            config["names"] = list(self.names)
        if not self._has_own_dtype:
            del config["dtype"]
        return config

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Masked":
        config = with_free_name(config)
        return cls(**{**config, "metric": keras.saving.deserialize_keras_object(config["metric"])})


def _by_shape(name: str) -> Any:
    """The mean of an accuracy or cross-entropy, chosen by the shapes of what it is handed."""
    kind = _BY_SHAPE[name.lower()]

    def function(y_true: tf.Tensor, y_pred: tf.Tensor) -> Any:
        return row_layout.by_shape(kind, y_true, y_pred)(y_true, y_pred)

    return keras.metrics.MeanMetricWrapper(function, name=name)


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
    if row_layout.is_one_of(metric_function(inner), _NOT_OF_ROWS):
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
    if not row_layout.is_one_of(metric, _OF_ELEMENTS) or getattr(metric, "top_k", None) is not None:
        return None
    return getattr(metric, "class_id", None)


def _layout(metric: Any) -> RowLayout:
    """Of a metric of Keras."""
    function = metric_function(metric)
    axis = row_axis(metric)
    if not isinstance(axis, int):
        axis = -1
    if isinstance(metric, keras.metrics.FBetaScore):
        # By a threshold it tells each element; its axis is the one along which it adds up.
        return RowLayout(-1 if metric.threshold is None else None)
    if row_layout.is_one_of(metric, _OF_ELEMENTS):
        has_class = getattr(metric, "class_id", None) is not None
        has_top_k = getattr(metric, "top_k", None) is not None
        return RowLayout(-1 if has_class or has_top_k else None)
    if isinstance(metric, keras.metrics.R2Score):
        return RowLayout(None)
    if isinstance(metric, keras.metrics.RootMeanSquaredError):
        return own_functions.SINGLES
    if isinstance(metric, keras.metrics.IoU) and metric.sparse_y_true:
        return RowLayout(None if metric.sparse_y_pred else axis, has_class_labels=True)
    return _layout_of_function(function, axis)


def _layout_of_function(function: Any, axis: int) -> RowLayout:
    if row_layout.is_one_of(function, _OF_ELEMENTS):
        return RowLayout(None)
    if row_layout.is_one_of(function, row_layout.ELEMENTWISE):
        return own_functions.SINGLES
    return RowLayout(axis, row_layout.is_one_of(function, _WITH_CLASS_LABELS))


def _without_gaps(
    layout: RowLayout, y_true: tf.Tensor, y_pred: tf.Tensor, valid: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Labels and predictions with those of the first valid row or element in place of others."""
    axis_true = axis_pred = layout.axis
    of_pred = valid
    if layout.has_class_labels:
        axis_true = None
    elif layout.has_channels:
        axis_pred = -1
        if layout.axis is None and y_true.shape.rank == y_pred.shape.rank:
            of_pred = tf.reduce_any(valid, -1)
    return _filled(y_true, valid, axis_true), _filled(y_pred, of_pred, axis_pred)


def _filled(x: tf.Tensor, valid: tf.Tensor, axis: int | None) -> tf.Tensor:
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


def _merged_rows(x: tf.Tensor, entries: int) -> tf.Tensor:
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
