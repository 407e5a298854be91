"""Whose figure a metric is: that of all labels, or of each feature or step by itself.

Design:
    A. A group is an entry of the last axis (a feature) or of the second one (a step). A metric has
       a figure for each group, and `class_aggregation` says what becomes of them.
    B. Figures that are to be seen one by one are a dict of scalars: Keras puts each of its entries
       into the logs, where callbacks cannot do anything with a vector.
    C. A group without a figure takes no part in an average. That must not hide predictions that
       have diverged, so such a group leaves a trace there: 0, or NaN for predictions that are not
       finite.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import tensorflow as tf

from masklstm._core import summation
from masklstm._core.arguments import Tensors, broadcast_left, standardize_tensors
from masklstm._core.keras_compat import get_keras_mask
from masklstm._core.refusals import unknown_name
from masklstm._core.totals import remade
from masklstm._core.types import cast
from masklstm.metrics.base import GapAwareMetric, TotalsMetric, as_predictions

AGGREGATIONS = (None, "uniform_average", "pooled")
_AXES = {"feature": -1, "timestep": 1}


class Figures(NamedTuple):
    """What a metric says of its groups: vectors, or scalars for all labels together."""

    values: tf.Tensor
    """float64; anything where there is no figure."""
    is_defined: tf.Tensor
    trace: tf.Tensor
    """Of groups without a figure: 0, or NaN where predictions have diverged."""


class Pairs(NamedTuple):
    """Labels and predictions as float64 columns, `(elements, groups)`; 0 where not valid."""

    y_true: tf.Tensor
    y_pred: tf.Tensor
    weight: tf.Tensor
    is_valid: tf.Tensor

    def total(self, values: tf.Tensor) -> tf.Tensor:
        """The weighted sum of each column."""
        return summation.total_along(self.weight * values, [0])

    def weight_sum(self) -> tf.Tensor:
        return summation.total_along(self.weight, [0])

    def valid_count(self) -> tf.Tensor:
        return tf.math.count_nonzero(self.is_valid, 0)


class GroupedMetric(GapAwareMetric):
    """Base of the metrics that have a figure for each group of labels."""

    aggregations: tuple[str | None, ...] = AGGREGATIONS

    def __init__(
        self,
        name: str,
        dtype: Any,
        missing: Any,
        class_aggregation: str | None = "pooled",
        by: str | None = None,
        names: Sequence[Any] | None = None,
    ) -> None:
        super().__init__(name, dtype, missing)
        if class_aggregation not in self.aggregations:
            raise unknown_name("class_aggregation", class_aggregation, self.aggregations)
        if by is not None and by not in tuple(_AXES):
            raise unknown_name("by", by, (*_AXES, None))
        for argument, value, needed in (
            ("by", by, class_aggregation != "pooled"),
            ("names", names, class_aggregation is None),
        ):
            if value is not None and not needed:
                raise ValueError(
                    f"Argument '{argument}' has no effect here. Expected class_aggregation=None, "
                    "for a figure of each feature or timestep"
                    + (", or 'uniform_average', for their mean" if argument == "by" else "")
                    + f". Received: {argument}={value!r} with "
                    f"class_aggregation={class_aggregation!r}"
                )
        self.class_aggregation = class_aggregation
        self.by = by
        self.names = None if names is None else check_names(names)

    @property
    def group_axis(self) -> str | None:
        """`"feature"` or `"timestep"`; None where all labels are one group."""
        return None if self.class_aggregation == "pooled" else self.by or "feature"

    def log_names(self) -> list[str]:
        if self.class_aggregation is not None:
            return super().log_names()
        names = self.names or map(str, range(self.number_of_groups() or 0))
        return [f"{self.name}_{name}" for name in names]

    def with_groups(self, tensors: Tensors) -> Tensors:
        """Labels and predictions that have the groups' axis, of known length; a vector of labels
        has one feature.
        """
        if self.group_axis is None:
            return tensors
        y_true, y_pred = tensors.y_true, tensors.y_pred
        if y_pred.shape.rank != y_true.shape.rank:
            return self._with_groups_of_channels(tensors)
        if self.group_axis == "feature" and y_true.shape.rank == 1 and y_pred.shape.rank == 1:
            y_true, y_pred = y_true[:, None], y_pred[:, None]
        shape = y_true.shape.merge_with(y_pred.shape)
        self.check_groups(shape)
        check = tf.debugging.assert_equal(
            tf.shape(y_true), tf.shape(y_pred), "y_true and y_pred must have the same shape."
        )
        with tf.control_dependencies([check] if check is not None else []):
            y_true = tf.ensure_shape(tf.identity(y_true), shape)
        return tensors._replace(y_true=y_true, y_pred=tf.ensure_shape(y_pred, shape))

    def _with_groups_of_channels(self, tensors: Tensors) -> Tensors:
        """The same of predictions with a last axis of channels, whose shape the op checks."""
        shape = tensors.y_true.shape.merge_with(tensors.y_pred.shape[:-1])
        self.check_groups(shape)
        return tensors._replace(y_true=tf.ensure_shape(tensors.y_true, shape))

    def number_of_groups(self) -> int | None:
        """None before the first batch."""
        raise NotImplementedError

    def check_groups(self, shape: tf.TensorShape) -> None:
        """Labels of this shape have as many groups as those before, and as there are names."""
        axis = self.group_axis
        if axis is None:
            return
        if shape.rank == 1:
            raise ValueError(
                f"Expected labels with an axis for by={axis!r}: the second one is that of the "
                f"timesteps, the last that of the features. Received: labels with shape {shape}"
            )
        groups = shape[_AXES[axis]] if shape.rank else None
        if groups is None:
            raise ValueError(
                f"Expected the {'last' if axis == 'feature' else 'second'} axis of y_true or "
                f"y_pred, that of the {axis}s, to be known. Received: labels with shape {shape}"
            )
        expected = len(self.names) if self.names else self.number_of_groups()
        if expected not in (None, groups):
            raise ValueError(
                f"Metric '{self.name}' has a figure for each {axis}. Expected labels with "
                f"{expected} of them, as many as there are "
                f"{'names' if self.names else 'in the batches before'}. Received: {groups}"
            )

    def pairs(self, y_true: Any, y_pred: Any, sample_weight: Any) -> Pairs:
        """What is valid of a batch."""
        mask = get_keras_mask(y_pred)
        y_pred = tf.cast(as_predictions(y_pred), tf.float64)
        tensors = standardize_tensors(y_true, y_pred, sample_weight, mask, self.missing)
        tensors = self.with_groups(tensors)
        is_valid = tensors.valid()

        def column(values: tf.Tensor) -> tf.Tensor:
            values = tf.cast(values, tf.float64)
            return self.columns(tf.where(is_valid, values, tf.zeros_like(values)))

        weight = is_valid
        if tensors.sample_weight is not None:
            weight = broadcast_left(tensors.sample_weight, is_valid)
        labels, predictions = column(tensors.y_true), column(tensors.y_pred)
        return Pairs(labels, predictions, column(weight), self.columns(is_valid))

    def columns(self, values: tf.Tensor) -> tf.Tensor:
        """One for each group: shape `(elements, groups)`."""
        if self.group_axis is None:
            return tf.reshape(values, [-1, 1])
        if self.group_axis == "timestep":
            rank = values.shape.rank
            values = tf.transpose(values, [0, *range(2, rank), 1])
        return tf.reshape(values, [-1, values.shape[-1]])

    def aggregated(self, figures: Figures | None, weights: tf.Tensor | None = None) -> Any:
        """A scalar, or a dict of them by their names in the logs; NaN where there is no figure.

        Args:
            figures: None before the first batch.
            weights: What the groups count in an average; 1 by default.
        """
        nan = tf.constant(float("nan"), tf.float64)
        if figures is None:
            if self.class_aggregation is None:
                return {name: self._cast(nan) for name in self.log_names()}
            return self._cast(nan)
        values, is_defined, trace = figures
        shown = tf.where(is_defined, values, nan)
        if self.class_aggregation is None:
            return dict(zip(self.log_names(), tf.unstack(self._cast(shown)), strict=True))
        if shown.shape.rank == 0:
            return self._cast(shown)
        if weights is None:
            weights = tf.ones_like(values)
        weights = tf.where(is_defined, weights, tf.zeros_like(weights))
        shares = tf.where(weights == 0, trace, weights * values)
        return self._cast(tf.reduce_sum(shares) / tf.reduce_sum(weights))

    def _cast(self, value: tf.Tensor) -> tf.Tensor:
        return cast(value, tf.as_dtype(self.dtype))

    def get_config(self) -> dict[str, Any]:
        config = {**super().get_config(), "class_aggregation": self.class_aggregation}
        if self.by is not None:
            config["by"] = self.by
        if self.names is not None:
            config["names"] = list(self.names)
        return config


class GroupedTotals(TotalsMetric, GroupedMetric):
    """Base of the metrics whose state is totals, scalars or one for each group."""

    def build_groups(self, groups: int) -> None:
        """Makes the state, if it is not there."""
        if self._sums is None:
            shape = () if self.group_axis is None else (groups,)
            parts = [tf.TensorSpec(shape, part.dtype) for part in self.totals_spec]
            self.build_totals(remade(self.totals_spec, parts))

    def number_of_groups(self) -> int | None:
        if self._sums is None or not self._sums[0].shape:
            return None
        return int(self._sums[0].shape[0])

    def result(self) -> Any:
        """The figure over all batches so far, NaN without a valid label; a dict with a figure for
        each group where `class_aggregation` is None.
        """
        if self._sums is None:
            return self.aggregated(None)
        totals = remade(self.totals_spec, [tf.convert_to_tensor(x) for x in self._sums])
        return self.aggregated(self.figures(totals))

    def figures(self, totals: Any) -> Figures:
        """That of each group."""
        values = self.of_totals(totals)
        return Figures(values, self.counts(totals) > 0, tf.zeros_like(values))

    def counts(self, totals: Any) -> tf.Tensor:
        """How many labels each group's totals are of."""
        (counts,) = (total for total in totals if not total.dtype.is_floating)
        return counts


def check_names(names: Any) -> tuple[str, ...]:
    """Those of figures in the logs."""
    checked = () if isinstance(names, (str, bytes)) else tuple(map(str, names))
    if not checked or len(set(checked)) < len(checked):
        raise ValueError(
            "Invalid value for argument 'names'. Expected a list of names that differ, one for "
            f"each feature or timestep. Received: names={names!r}"
        )
    return checked
