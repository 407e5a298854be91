"""What the losses of whole series have in common: a series is what one sample has along axis 1.

Design:
    A. All sums are float64. Moments take two passes, the mean first, of distances from one of the
       series' own numbers: so labels far from 0 keep their digits, and the variance of what is
       constant is exactly 0 and not what rounding left of it.
    B. A series takes the place of an element: it has a number, a weight (the mean of the weights of
       its valid labels), and counts or does not. So all reductions are those of the other losses.
    C. What has no slope (a root at 0, a correlation with what is constant) is replaced before it is
       computed, so that no gradient of it is ever made.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from masklstm._core.arguments import broadcast_left
from masklstm._core.keras_compat import get_keras_mask
from masklstm._core.summation import total_of_rows
from masklstm._core.totals import MaskedSums, sums_of
from masklstm.losses.base import GapAwareLoss


class Series(NamedTuple):
    """Labels and predictions, float64, with the steps as the last axis; 0 where not valid."""

    y_true: tf.Tensor
    y_pred: tf.Tensor
    weight: tf.Tensor
    valid: tf.Tensor

    @property
    def count(self) -> tf.Tensor:
        """Numbers of valid steps, float64."""
        return tf.cast(tf.math.count_nonzero(self.valid, -1), tf.float64)

    @property
    def mean_weight(self) -> tf.Tensor:
        """The weight of each series: that of its valid steps on average."""
        return tf.math.divide_no_nan(total_of_rows(self.weight), self.count)

    @property
    def weight_of_moments(self) -> tf.Tensor:
        """Where a series' weights add up to 0 it has moments too, those without weights."""
        is_nothing = tf.expand_dims(total_of_rows(self.weight) == 0, -1)
        return tf.where(is_nothing, tf.cast(self.valid, tf.float64), self.weight)


class Moments(NamedTuple):
    """Of each series."""

    mean: tf.Tensor
    centred: tf.Tensor
    """Distances from the mean; 0 where the weight is 0."""
    variance: tf.Tensor


def weighted_mean(x: tf.Tensor, weight: tf.Tensor) -> tf.Tensor:
    """Along the last axis; 0 where the weights add up to 0."""
    return tf.math.divide_no_nan(total_of_rows(weight * x), total_of_rows(weight))


def moments(x: tf.Tensor, weight: tf.Tensor) -> Moments:
    """Mean and population variance along the last axis, of what has a weight that is not 0."""
    has_weight = weight != 0
    least = tf.reduce_min(tf.where(has_weight, x, float("inf")), -1, keepdims=True)
    least = tf.stop_gradient(tf.where(tf.math.is_inf(least), tf.zeros_like(least), least))
    distance = tf.where(has_weight, x - least, tf.zeros_like(x))
    mean = weighted_mean(distance, weight)
    centred = tf.where(has_weight, distance - mean[..., None], tf.zeros_like(x))
    return Moments(least[..., 0] + mean, centred, weighted_mean(tf.square(centred), weight))


def safe_sqrt(x: tf.Tensor) -> tf.Tensor:
    """The root, with slope 0 at 0."""
    is_zero = x == 0
    return tf.where(is_zero, tf.zeros_like(x), tf.sqrt(tf.where(is_zero, tf.ones_like(x), x)))


class SeriesLoss(GapAwareLoss):
    """Base of the losses that have one number for each series. A subclass says it in `values`."""

    def __init__(
        self,
        reduction: str | None,
        name: str,
        dtype: Any,
        missing: Any,
        balance: str | None,
        normalizer: float | None,
        feature_weights: Sequence[float] | None,
        step_weights: Sequence[float] | None,
    ) -> None:
        super().__init__(
            reduction, name, dtype, missing, balance, normalizer, feature_weights, step_weights
        )
        if balance == "timestep":
            raise ValueError(
                "Invalid value for argument 'balance'. Expected 'sample', 'feature' or None: a "
                f"series has one number for all of its steps. Received: balance={balance!r}"
            )

    def values(self, series: Series) -> tuple[tf.Tensor, tf.Tensor]:
        """For each series its number times its weight, of any value where it does not count; and
        which of them count.
        """
        raise NotImplementedError

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> tf.Tensor:
        """The loss, reduced.

        Args:
            y_true: Labels, shape `(batch, steps, ...)`; NaN means missing.
            y_pred: Predictions of the same shape.
            sample_weight: Weights, aligned with the labels from the left.

        Returns:
            The loss in this loss's dtype; its shape is as `reduction` says.
        """
        with keras.name_scope(self.name):
            values, weight, counts = self._of_series(y_true, y_pred, sample_weight)
            if self.how.kind == "none":
                return tf.cast(values, self.dtype)
            return self._reduced(self._totals(values, weight, counts))

    def totals(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> MaskedSums:
        return self._totals(*self._of_series(y_true, y_pred, sample_weight))

    def _totals(self, values: tf.Tensor, weight: tf.Tensor, counts: tf.Tensor) -> MaskedSums:
        how = self.how
        return how.additive(sums_of(values, weight, counts, how.balance, "the values of series"))

    def call(self, y_true: Any, y_pred: Any) -> tf.Tensor:
        """The number of each series: shape `(batch, ...)`, that of the labels without the steps."""
        return tf.cast(self._of_series(y_true, y_pred, None)[0], self.dtype)

    def counted(self, y_true: Any, y_pred: Any) -> tf.Tensor:
        return self._tensors(y_true, y_pred, None, get_keras_mask(y_pred)).valid()

    def _of_series(
        self, y_true: Any, y_pred: Any, sample_weight: Any
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Weighted values and weights, 0 where a series does not count; and which do."""
        series = self._series(y_true, y_pred, sample_weight)
        values, counts = self.values(series)
        weight = series.mean_weight
        # Predictions that are NaN or infinite show, also where there is nothing to count.
        shown = tf.stop_gradient(tf.reduce_sum(series.y_pred - series.y_pred, -1))
        return (
            tf.where(counts, values, tf.zeros_like(values)) + shown,
            tf.where(counts, weight, tf.zeros_like(weight)),
            counts,
        )

    def _series(self, y_true: Any, y_pred: Any, sample_weight: Any) -> Series:
        tensors = self._tensors(y_true, y_pred, sample_weight, get_keras_mask(y_pred))
        rank = tensors.y_true.shape.rank
        if rank is None or rank < 2:
            raise ValueError(
                "Expected y_true to have the steps of its series along the second axis: shape "
                f"(batch, steps, ...). Received: y_true with shape {tensors.y_true.shape}"
            )
        valid = tensors.valid()
        order = [0, *range(2, rank), 1]

        def prepared(x: tf.Tensor) -> tf.Tensor:
            x = tf.cast(tf.where(valid, x, tf.zeros_like(x)), tf.float64)
            return tf.transpose(x, order)

        weight = prepared(tf.ones_like(tensors.y_true, tf.float64))
        for small in tensors.weights:
            weight *= prepared(broadcast_left(small, tensors.y_true))
        return Series(
            prepared(tensors.y_true),
            prepared(tensors.y_pred),
            weight,
            tf.transpose(valid, order),
        )
