"""Sums of errors over sums of labels, and errors over a scale that is given."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from masklstm._core.missing import NAN
from masklstm._core.refusals import number_or_nan
from masklstm._core.totals import divided
from masklstm.metrics.groups import Figures, GroupedTotals, Pairs
from masklstm.metrics.means import ValueMetric


class _Terms(NamedTuple):
    numerator: tf.Tensor
    denominator: tf.Tensor
    valid_count: tf.Tensor


class RatioOfSums(GroupedTotals):
    """Base of the ratios of a sum of errors to another sum, over the valid elements."""

    @property
    def totals_spec(self) -> _Terms:
        sums = tf.TensorSpec((), tf.float64)
        return _Terms(sums, sums, tf.TensorSpec((), tf.int64))

    def totals(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> _Terms:
        pairs = self.pairs(y_true, y_pred, sample_weight)
        terms = _Terms(*self.terms(pairs), pairs.valid_count())
        groups = pairs.y_true.shape[-1]
        self.build_groups(groups)
        shape = () if self.group_axis is None else (groups,)
        return _Terms(*(tf.reshape(term, shape) for term in terms))

    def terms(self, pairs: Pairs) -> tuple[tf.Tensor, tf.Tensor]:
        """Numerator and denominator of each column."""
        raise NotImplementedError

    def of_totals(self, totals: _Terms) -> tf.Tensor:
        return totals.numerator / totals.denominator

    def figures(self, totals: _Terms) -> Figures:
        is_defined = totals.denominator != 0
        return Figures(self.of_totals(totals), is_defined, totals.numerator - totals.numerator)


@keras.saving.register_keras_serializable(package="masklstm.metrics")
class Bias(RatioOfSums):
    """Mean error over the valid elements: above 0 where predictions are too high.

    Formula: `metric = sum(w * (y_pred - y_true)) / sum(w)`

    Args:
        name, dtype, class_aggregation, by, names, missing: As for
            `masklstm.metrics.MeanSquaredError`.

    Raises:
        ValueError: As for `masklstm.metrics.MeanSquaredError`.

    Example:

    >>> import masklstm
    >>> metric = masklstm.metrics.Bias()
    >>> metric.update_state([[1.0], [float("nan")], [3.0]], [[2.0], [5.0], [5.0]])
    >>> float(metric.result())
    1.5

    Source: not in `keras.metrics`.
    """

    direction = None

    def __init__(
        self,
        name: str = "bias",
        dtype: Any = None,
        *,
        class_aggregation: str | None = "pooled",
        by: str | None = None,
        names: Sequence[Any] | None = None,
        missing: Any = NAN,
    ) -> None:
        super().__init__(name, dtype, missing, class_aggregation, by, names)

    def terms(self, pairs: Pairs) -> tuple[tf.Tensor, tf.Tensor]:
        return pairs.total(pairs.y_pred - pairs.y_true), pairs.weight_sum()

    def of_totals(self, totals: _Terms) -> tf.Tensor:
        return divided(totals.numerator, totals.denominator)

    def figures(self, totals: _Terms) -> Figures:
        values = self.of_totals(totals)
        return Figures(values, totals.valid_count > 0, tf.zeros_like(values))


@keras.saving.register_keras_serializable(package="masklstm.metrics")
class PercentBias(RatioOfSums):
    """Bias in percent of the labels' sum: above 0 where predictions are too high in total.

    Formula: `metric = 100 * sum(w * (y_pred - y_true)) / sum(w * y_true)`; NaN where the labels
    add up to 0. (Some of hydrology's programs have the opposite sign, y_true - y_pred: there a
    positive value means that predictions are too low.)

    Args:
        name, dtype, class_aggregation, by, names, missing: As for
            `masklstm.metrics.MeanSquaredError`.

    Raises:
        ValueError: As for `masklstm.metrics.MeanSquaredError`.

    Example:

    >>> import masklstm
    >>> metric = masklstm.metrics.PercentBias()
    >>> metric.update_state([[1.0], [float("nan")], [3.0]], [[2.0], [5.0], [5.0]])
    >>> float(metric.result())
    75.0

    Source: K. K. Yilmaz, H. V. Gupta, T. Wagener, "A process-based diagnostic approach to model
    evaluation", 2008, the bias of the water balance; not in `keras.metrics`.
    """

    direction = None

    def __init__(
        self,
        name: str = "percent_bias",
        dtype: Any = None,
        *,
        class_aggregation: str | None = "pooled",
        by: str | None = None,
        names: Sequence[Any] | None = None,
        missing: Any = NAN,
    ) -> None:
        super().__init__(name, dtype, missing, class_aggregation, by, names)

    def terms(self, pairs: Pairs) -> tuple[tf.Tensor, tf.Tensor]:
        return pairs.total(100.0 * (pairs.y_pred - pairs.y_true)), pairs.total(pairs.y_true)


@keras.saving.register_keras_serializable(package="masklstm.metrics")
class WeightedAbsolutePercentageError(RatioOfSums):
    """Sum of absolute errors over the sum of absolute labels (WAPE, or normalized deviation ND).

    Formula: `metric = sum(w * abs(y_pred - y_true)) / sum(w * abs(y_true))`; a share, not times
    100. NaN where all labels are 0.

    Args:
        name, dtype, class_aggregation, by, names, missing: As for
            `masklstm.metrics.MeanSquaredError`.

    Raises:
        ValueError: As for `masklstm.metrics.MeanSquaredError`.

    Example:

    >>> import masklstm
    >>> metric = masklstm.metrics.WeightedAbsolutePercentageError()
    >>> metric.update_state([[1.0], [float("nan")], [3.0]], [[2.0], [5.0], [1.0]])
    >>> float(metric.result())
    0.75

    Source: S. Kolassa, W. Schuetz, "Advantages of the MAD/MEAN ratio over the MAPE", 2007; not in
    `keras.metrics`.
    """

    def __init__(
        self,
        name: str = "weighted_absolute_percentage_error",
        dtype: Any = None,
        *,
        class_aggregation: str | None = "pooled",
        by: str | None = None,
        names: Sequence[Any] | None = None,
        missing: Any = NAN,
    ) -> None:
        super().__init__(name, dtype, missing, class_aggregation, by, names)

    def terms(self, pairs: Pairs) -> tuple[tf.Tensor, tf.Tensor]:
        errors = pairs.total(tf.abs(pairs.y_pred - pairs.y_true))
        return errors, pairs.total(tf.abs(pairs.y_true))


@keras.saving.register_keras_serializable(package="masklstm.metrics")
class MeanAbsoluteScaledError(ValueMetric):
    """Mean of absolute errors over a scale, usually the error of a naive forecast (MASE).

    Formula: `metric = sum(w * abs(y_pred - y_true) / scale) / sum(w)`. The usual scale of a series
    is the mean of `abs(y[t] - y[t - m])` over its training labels, m steps being a season: with
    gaps `numpy.nanmean(numpy.abs(y[m:] - y[:-m]), axis=0)`. Below 1 a forecast is then better
    than the last season repeated.

    Args:
        scale: A number above 0, or one for each feature.
        name, dtype, class_aggregation, by, names, missing: As for
            `masklstm.metrics.MeanSquaredError`.

    Raises:
        ValueError: For a `scale` that is not above 0 and finite, labels with another number of
            features, and what `masklstm.metrics.MeanSquaredError` refuses.

    Example:

    >>> import masklstm
    >>> metric = masklstm.metrics.MeanAbsoluteScaledError(scale=[2.0, 10.0])
    >>> metric.update_state([[1.0, 50.0], [float("nan"), 60.0]], [[2.0, 55.0], [5.0, 55.0]])
    >>> float(metric.result())
    0.5

    Source: R. J. Hyndman, A. B. Koehler, "Another look at measures of forecast accuracy", 2006; not
    in `keras.metrics`.
    """

    def __init__(
        self,
        scale: float | Sequence[float],
        name: str = "mean_absolute_scaled_error",
        dtype: Any = None,
        *,
        class_aggregation: str | None = "pooled",
        by: str | None = None,
        names: Sequence[Any] | None = None,
        missing: Any = NAN,
    ) -> None:
        super().__init__(name, dtype, missing, class_aggregation, by, names)
        self.scale = _check_scale(scale)

    def values(self, y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
        if not isinstance(self.scale, float) and y_true.shape[-1:] != [len(self.scale)]:
            raise ValueError(
                f"Expected labels with {len(self.scale)} features, as many as 'scale' has numbers. "
                f"Received: y_true with shape {y_true.shape}"
            )
        scale = tf.constant(self.scale, tf.float64)
        return tf.abs(tf.cast(y_pred, tf.float64) - tf.cast(y_true, tf.float64)) / scale

    def get_config(self) -> dict[str, Any]:
        scale = self.scale if isinstance(self.scale, float) else list(self.scale)
        return {**super().get_config(), "scale": scale}


def _check_scale(scale: Any) -> float | tuple[float, ...]:
    is_one = np.ndim(scale) == 0
    numbers = tuple(map(number_or_nan, [scale] if is_one else np.ravel(scale)))
    if not numbers or np.ndim(scale) > 1 or not all(0 < each < math.inf for each in numbers):
        raise ValueError(
            "Invalid value for argument 'scale'. Expected a number in (0, inf), or a list with one "
            f"for each feature. Received: scale={scale!r}"
        )
    return numbers[0] if is_one else numbers
