"""Losses of series that measure a fit against the spread of the labels."""

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from masklstm._core.missing import NAN
from masklstm._core.own_weights import along_axis, list_of_numbers, with_length
from masklstm._core.refusals import number_or_nan, out_of_domain
from masklstm._core.summation import total_of_rows
from masklstm.losses.series import Series, SeriesLoss, moments, safe_sqrt, weighted_mean


@keras.saving.register_keras_serializable(package="masklstm")
class NashSutcliffeEfficiency(SeriesLoss):
    """Mean over series of squared errors, each over the variance of its own labels.

    Formula, for each sample and each place along the axes after the second one, over the n steps
    that have a label: `sum((y_pred - y_true)^2) / (n * (deviation + epsilon)^2)`, with the
    population deviation of these labels; with `epsilon=0` it is 1 - NSE. The loss is the mean over
    the series that have a label, however many gaps each of them has.

    Weights multiply the squared errors, and leave deviation and n as they are. A series counts
    unless it has no label, or its deviation and `epsilon` are both 0.

    Args:
        epsilon: Added to the deviation, so that series of nearly constant labels do not count too
            much; at least 0.
        deviation: Known deviations to take instead of those of the labels in the batch: a number,
            or one for each entry of the last axis, at least 0. Deviations of samples (basins) are
            weights: `deviation=1, epsilon=0` with a `sample_weight` of `1 / (s + epsilon)^2`.
        reduction: `"sum_over_batch_size"` or `"mean"` (the default: divide by the number of
            series that count), `"mean_with_sample_weight"` (divide by their weights, each the mean
            of those of its labels), `"sum"` (of the series), `"none"` or `None` (a number for each
            series: the labels' shape without the second axis, 0 for those that do not count).
        name: Name of the loss.
        dtype: Type of the result; `keras.backend.floatx()` by default. All is computed in float64.
        missing, normalizer, feature_weights, step_weights: As for
            `masklstm.losses.MeanSquaredError`.
        balance: `"sample"` or `"feature"` (the last axis of more than two): those that have a
            series that counts do so equally.

    Raises:
        ValueError: For an `epsilon` or a `deviation` below 0, or an invalid option; when called,
            for labels of less than two axes.

    Example:

    >>> import masklstm
    >>> loss = masklstm.losses.NashSutcliffeEfficiency(epsilon=0.0)
    >>> nan = float("nan")
    >>> float(loss([[1.0, nan, 3.0], [nan, nan, nan]], [[1.0, 9.0, 2.0], [0.0, 0.0, 0.0]]))
    0.5

    Source: J. E. Nash, J. V. Sutcliffe, "River flow forecasting through conceptual models part I",
    1970; with `epsilon`, F. Kratzert and others, "Towards learning universal, regional, and local
    hydrological behaviors via machine learning applied to large-sample datasets", 2019.
    """

    def __init__(
        self,
        epsilon: float = 0.1,
        deviation: float | Sequence[float] | None = None,
        reduction: str | None = "sum_over_batch_size",
        name: str = "nash_sutcliffe_efficiency",
        dtype: Any = None,
        *,
        missing: Any = NAN,
        balance: str | None = None,
        normalizer: float | None = None,
        feature_weights: Sequence[float] | None = None,
        step_weights: Sequence[float] | None = None,
    ) -> None:
        super().__init__(
            reduction, name, dtype, missing, balance, normalizer, feature_weights, step_weights
        )
        self.epsilon = number_or_nan(epsilon)
        if isinstance(epsilon, (bool, np.bool_)) or not 0 <= self.epsilon < math.inf:
            raise out_of_domain("epsilon", "[0, inf)", epsilon)
        self.deviation = _standardize_deviation(deviation)

    def values(self, series: Series) -> tuple[tf.Tensor, tf.Tensor]:
        deviation = self._deviation(series) + tf.constant(self.epsilon, tf.float64)
        counts = (series.count > 0) & (deviation > 0)
        errors = total_of_rows(series.weight * tf.square(series.y_pred - series.y_true))
        scale = series.count * tf.square(deviation)
        return errors / tf.where(counts, scale, tf.ones_like(scale)), counts

    def _deviation(self, series: Series) -> tf.Tensor:
        if self.deviation is None:
            labels = moments(series.y_true, tf.cast(series.valid, tf.float64))
            return tf.sqrt(labels.variance)
        if not isinstance(self.deviation, list):
            return tf.fill(tf.shape(series.count), tf.constant(self.deviation, tf.float64))
        known = along_axis("deviation", self.deviation, series.count.shape)
        return known + tf.zeros_like(with_length(series.count, self.deviation))

    def get_config(self) -> dict[str, Any]:
        config = {**super().get_config(), "epsilon": self.epsilon}
        if self.deviation is not None:
            config["deviation"] = self.deviation
        return config


def _standardize_deviation(deviation: Any) -> float | list[float] | None:
    if deviation is None:
        return None
    is_scalar = np.ndim(deviation) == 0 and not isinstance(deviation, (bool, np.bool_))
    numbers = [number_or_nan(deviation)] if is_scalar else list_of_numbers(deviation)
    if not (numbers and all(0 <= number < math.inf for number in numbers)):
        raise ValueError(
            "Invalid value for argument 'deviation'. Expected a number in [0, inf), a list of them "
            f"for the entries of the last axis, or None. Received: deviation={deviation!r}"
        )
    return numbers[0] if is_scalar else numbers


@keras.saving.register_keras_serializable(package="masklstm")
class KlingGuptaEfficiency(SeriesLoss):
    """Mean over series of 1 - KGE: how far correlation, spread and mean are from those of a fit.

    Formula, for each sample and each place along the axes after the second one, over the steps that
    have a label: `sqrt((r - 1)^2 + (alpha - 1)^2 + (beta - 1)^2)` with the correlation r of
    predictions and labels, the ratio alpha of their deviations and the ratio beta of their means.
    With `modified=True` the ratio gamma of their coefficients of variation (deviation over mean)
    takes the place of alpha. The loss is the mean over the series whose labels differ (so there are
    two at least) and do not have the mean 0; the others have no such number and do not count.

    Weights are those of the moments; one that all labels of a series share is a weight of the
    series, as for all losses.

    Where predictions are constant, r counts as 0; its slope, which there is none of, is taken with
    the deviation of the labels in the place of theirs, so that a model which begins with constants
    learns. Where their mean is 0, gamma counts as 0, with slope 0. At an exact fit all slopes are
    0.

    Args:
        modified: Whether to take gamma instead of alpha.
        reduction, name, dtype, missing, balance, normalizer, feature_weights, step_weights: As for
            `masklstm.losses.NashSutcliffeEfficiency`.

    Raises:
        ValueError: For an invalid option; when called, for labels of less than two axes.

    Example:

    >>> import masklstm
    >>> loss = masklstm.losses.KlingGuptaEfficiency()
    >>> nan = float("nan")
    >>> value = loss([[1.0, nan, 3.0], [nan, 2.0, nan]], [[2.0, 9.0, 6.0], [0.0, 0.0, 0.0]])
    >>> round(float(value), 5)  # sqrt(0 + (2 - 1)^2 + (2 - 1)^2)
    1.41421

    Source: H. V. Gupta and others, "Decomposition of the mean squared error and NSE performance
    criteria", 2009; with gamma, H. Kling and others, "Runoff conditions in the upper Danube basin
    under an ensemble of climate change scenarios", 2012.
    """

    def __init__(
        self,
        modified: bool = False,
        reduction: str | None = "sum_over_batch_size",
        name: str = "kling_gupta_efficiency",
        dtype: Any = None,
        *,
        missing: Any = NAN,
        balance: str | None = None,
        normalizer: float | None = None,
        feature_weights: Sequence[float] | None = None,
        step_weights: Sequence[float] | None = None,
    ) -> None:
        super().__init__(
            reduction, name, dtype, missing, balance, normalizer, feature_weights, step_weights
        )
        self.modified = bool(modified)

    def values(self, series: Series) -> tuple[tf.Tensor, tf.Tensor]:
        weight = series.weight_of_moments
        labels, predictions = (moments(x, weight) for x in (series.y_true, series.y_pred))
        counts = (labels.variance > 0) & (labels.mean != 0)
        ones = tf.ones_like(labels.mean)
        deviation = tf.sqrt(tf.where(counts, labels.variance, ones))
        mean = tf.where(counts, labels.mean, ones)

        is_constant = predictions.variance == 0
        own = tf.sqrt(tf.where(is_constant, tf.square(deviation), predictions.variance))
        # Half the mean square of the difference of standardised series is 1 - r, exactly 0 for a
        # fit; of constant predictions, whose standardised series is 0, it is half of the 1.
        differences = predictions.centred / own[..., None] - labels.centred / deviation[..., None]
        correlation = weighted_mean(tf.square(differences), weight) / 2
        correlation += tf.where(is_constant, ones / 2, tf.zeros_like(ones))
        spread = tf.where(is_constant, -ones, (own - deviation) / deviation)
        bias = weighted_mean(series.y_pred - series.y_true, weight) / mean
        if self.modified:
            ratio = 1 + bias
            has_mean = ratio != 0
            variation = (spread - bias) / tf.where(has_mean, ratio, ones)
            spread = tf.where(has_mean, variation, -ones)
        distance = safe_sqrt(tf.square(correlation) + tf.square(spread) + tf.square(bias))
        return distance * series.mean_weight, counts

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "modified": self.modified}


@keras.saving.register_keras_serializable(package="masklstm")
class ConcordanceCorrelation(SeriesLoss):
    """Mean over series of 1 - CCC, Lin's concordance of predictions and labels.

    Formula, for each sample and each place along the axes after the second one, over the steps that
    have a label: 1 - 2 s_tp / (s_t^2 + s_p^2 + (m_t - m_p)^2) with the means m, the population
    variances s^2 and the covariance s_tp of labels t and predictions p. It is computed as the mean
    squared error over that denominator, which is the same. The loss is the mean over the series
    whose labels differ; the others do not count.

    Weights are those of the moments; one that all labels of a series share is a weight of the
    series, as for all losses.

    Args:
        reduction, name, dtype, missing, balance, normalizer, feature_weights, step_weights: As for
            `masklstm.losses.NashSutcliffeEfficiency`.

    Raises:
        ValueError: For an invalid option; when called, for labels of less than two axes.

    Example:

    >>> import masklstm
    >>> loss = masklstm.losses.ConcordanceCorrelation()
    >>> nan = float("nan")
    >>> float(loss([[1.0, nan, 3.0], [nan, 2.0, nan]], [[2.0, 9.0, 4.0], [0.0, 0.0, 0.0]]))
    0.3333333432674408

    Source: L. I.-K. Lin, "A Concordance Correlation Coefficient to Evaluate Reproducibility", 1989.
    """

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str = "concordance_correlation",
        dtype: Any = None,
        *,
        missing: Any = NAN,
        balance: str | None = None,
        normalizer: float | None = None,
        feature_weights: Sequence[float] | None = None,
        step_weights: Sequence[float] | None = None,
    ) -> None:
        super().__init__(
            reduction, name, dtype, missing, balance, normalizer, feature_weights, step_weights
        )

    def values(self, series: Series) -> tuple[tf.Tensor, tf.Tensor]:
        weight = series.weight_of_moments
        labels, predictions = (moments(x, weight) for x in (series.y_true, series.y_pred))
        counts = labels.variance > 0
        errors = series.y_pred - series.y_true
        scale = labels.variance + predictions.variance + tf.square(weighted_mean(errors, weight))
        scale = tf.where(counts, scale, tf.ones_like(scale))
        value = weighted_mean(tf.square(errors), weight) / scale
        return value * series.mean_weight, counts
