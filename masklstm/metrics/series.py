"""Metrics of whole series: the state that their moments are, for every group of labels.

Design:
    A. Variances and covariances are kept as means and sums of products of deviations from them,
       and batches are merged by Chan's formula. A sum of squares would lose the variance of labels
       far from 0: of 16 digits, labels around 1e4 that vary by 1 leave it 8.
    B. Means do not add up over replicas. So each replica has a row of its own in every variable
       and leaves the others' at 0: Keras adds the replicas' variables up, and the rows are merged
       when the result is asked for.

T. F. Chan, G. H. Golub, R. J. LeVeque, "Updating Formulae and a Pairwise Algorithm for Computing
Sample Variances", 1979.
"""

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import tensorflow as tf

from masklstm.metrics.groups import Figures, GroupedMetric, Pairs


class LabelMoments(NamedTuple):
    """Weighted moments of labels, and how far predictions are from them."""

    weight: tf.Tensor
    label_mean: tf.Tensor
    label_deviations: tf.Tensor
    """Sum of w (t - mean)^2."""
    squared_errors: tf.Tensor

    @classmethod
    def of(cls, pairs: Pairs) -> "LabelMoments":
        """Those of a batch."""
        weight = pairs.weight_sum()
        label_mean = _mean(pairs, pairs.y_true, weight)
        deviations = pairs.total((pairs.y_true - label_mean) ** 2)
        return cls(weight, label_mean, deviations, pairs.total((pairs.y_pred - pairs.y_true) ** 2))

    def merged(self, other: "LabelMoments") -> "LabelMoments":
        """The moments of both sets of labels together."""
        weight, share = _merged_weight(self.weight, other.weight)
        step = other.label_mean - self.label_mean
        between = self.weight * share
        return LabelMoments(
            weight,
            self.label_mean + step * share,
            self.label_deviations + other.label_deviations + step * step * between,
            self.squared_errors + other.squared_errors,
        )


class PairMoments(NamedTuple):
    """Weighted moments of labels and predictions."""

    weight: tf.Tensor
    label_mean: tf.Tensor
    prediction_mean: tf.Tensor
    label_deviations: tf.Tensor
    """Sum of w (t - mean)^2."""
    prediction_deviations: tf.Tensor
    co_deviations: tf.Tensor
    """Sum of w (t - mean) (p - mean)."""

    @classmethod
    def of(cls, pairs: Pairs) -> "PairMoments":
        """Those of a batch."""
        weight = pairs.weight_sum()
        label_mean = _mean(pairs, pairs.y_true, weight)
        prediction_mean = _mean(pairs, pairs.y_pred, weight)
        label, prediction = pairs.y_true - label_mean, pairs.y_pred - prediction_mean
        return cls(
            weight,
            label_mean,
            prediction_mean,
            pairs.total(label * label),
            pairs.total(prediction * prediction),
            pairs.total(label * prediction),
        )

    def merged(self, other: "PairMoments") -> "PairMoments":
        """The moments of both sets of pairs together."""
        weight, share = _merged_weight(self.weight, other.weight)
        label = other.label_mean - self.label_mean
        prediction = other.prediction_mean - self.prediction_mean
        between = self.weight * share
        return PairMoments(
            weight,
            self.label_mean + label * share,
            self.prediction_mean + prediction * share,
            self.label_deviations + other.label_deviations + label * label * between,
            self.prediction_deviations
            + other.prediction_deviations
            + prediction * prediction * between,
            self.co_deviations + other.co_deviations + label * prediction * between,
        )

    @property
    def trace(self) -> tf.Tensor:
        """0, or NaN where a prediction is not finite."""
        return self.prediction_mean - self.prediction_mean


def _mean(pairs: Pairs, values: tf.Tensor, weight: tf.Tensor) -> tf.Tensor:
    mean = tf.math.divide_no_nan(pairs.total(values), weight)
    # A second step takes the rounding of the first away: equal labels have no deviations. Elements
    # that are not valid have weight 0.
    return mean + tf.math.divide_no_nan(pairs.total(values - mean), weight)


def _merged_weight(first: tf.Tensor, second: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The weight of both, and the share of the second."""
    weight = first + second
    return weight, tf.math.divide_no_nan(second, weight)


class SeriesMetric(GroupedMetric):
    """Base of the metrics that are a function of each group's moments."""

    moments: type[Any] = PairMoments

    def __init__(
        self,
        name: str,
        dtype: Any,
        missing: Any,
        class_aggregation: str | None,
        by: str | None,
        names: Sequence[Any] | None,
    ) -> None:
        super().__init__(name, dtype, missing, class_aggregation, by, names)
        self._variables_of_moments: tuple[Any, ...] = ()

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Adds a batch.

        Args:
            y_true: Labels, shape `(batch, ..., outputs)`, or `(batch,)`; NaN means missing.
            y_pred: Predictions of the same shape.
            sample_weight: Weights, aligned with the labels from the left.
        """
        pairs = self.pairs(y_true, y_pred, sample_weight)
        if not self._variables_of_moments:
            self._build(pairs.y_true.shape[-1])
        is_own = self._is_row_of_replica()
        state = self._state()
        merged = state.merged(self.moments.of(pairs))
        for variable, old, new in zip(self._variables_of_moments, state, merged, strict=True):
            variable.assign(tf.where(is_own, new, old))
        count = tf.convert_to_tensor(self.valid_count)
        self.valid_count.assign(tf.where(is_own, count + pairs.valid_count(), count))

    def figures(self, moments: Any, count: tf.Tensor) -> Figures:
        """What the metric says of each group."""
        raise NotImplementedError

    def weights(self, moments: Any) -> tf.Tensor | None:
        """What the groups count in an average; None for 1."""
        return None

    def result(self) -> Any:
        """The figure over all batches so far, NaN where there is none; a dict with a figure for
        each group where `class_aggregation` is None.
        """
        if not self._variables_of_moments:
            return self.aggregated(None)
        rows = zip(*(tf.unstack(part) for part in self._state()), strict=True)
        moments = functools.reduce(self.moments.merged, (self.moments(*row) for row in rows))
        count = tf.reduce_sum(tf.convert_to_tensor(self.valid_count), axis=0)
        if self.group_axis is None:
            moments, count = self.moments(*(part[0] for part in moments)), count[0]
        return self.aggregated(self.figures(moments, count), self.weights(moments))

    def number_of_groups(self) -> int | None:
        return int(self.valid_count.shape[1]) if self._variables_of_moments else None

    def _build(self, groups: int) -> None:
        shape = (tf.distribute.get_strategy().num_replicas_in_sync, groups)
        self.valid_count = self.add_count("valid_count", shape)
        self._variables_of_moments = tuple(
            self.add_sum(name, shape) for name in self.moments._fields
        )

    def _state(self) -> Any:
        return self.moments(*map(tf.convert_to_tensor, self._variables_of_moments))

    def _is_row_of_replica(self) -> tf.Tensor:
        """Shape `(replicas, 1)`."""
        rows = self.valid_count.shape[0]
        context = tf.distribute.get_replica_context()
        if context is None or context.num_replicas_in_sync == 1:
            return tf.range(rows)[:, None] == 0
        if context.num_replicas_in_sync != rows:
            raise ValueError(
                f"Metric '{self.name}' has state for another number of replicas: create it within "
                f"the strategy's scope. Expected {context.num_replicas_in_sync}. Received: {rows}"
            )
        return tf.range(rows)[:, None] == context.replica_id_in_sync_group
