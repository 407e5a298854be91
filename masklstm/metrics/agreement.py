"""How well predictions agree with labels in correlation, spread and level, series by series."""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from masklstm._core.missing import NAN
from masklstm.metrics.groups import Figures
from masklstm.metrics.series import PairMoments, SeriesMetric


def _correlation(moments: PairMoments) -> tf.Tensor:
    """0 where the predictions do not vary."""
    spread = tf.sqrt(moments.label_deviations) * tf.sqrt(moments.prediction_deviations)
    return tf.math.divide_no_nan(moments.co_deviations, spread) + moments.trace


@keras.saving.register_keras_serializable(package="masklstm.metrics")
class KlingGuptaEfficiency(SeriesMetric):
    """Kling-Gupta efficiency: 1 for exact predictions; their mean alone gives 1 - sqrt(2).

    Formula, for each series of the last axis, over its valid pairs with their weights:
    `score = 1 - sqrt((r - 1)^2 + (a - 1)^2 + (b - 1)^2)` with the correlation r, the ratio of the
    means `b = mean(y_pred) / mean(y_true)`, and the ratio of the standard deviations
    `a = sd(y_pred) / sd(y_true)`, or with `modified=True` that of the coefficients of variation,
    `a / b`. Predictions that do not vary have r = a = 0. A series whose labels do not vary, or have
    the mean 0, has no score: it is NaN and takes no part in the average.

    Args:
        modified: Whether variability is compared relative to the means (the definition of 2012).
        class_aggregation, name, dtype, by, names, missing: As for `masklstm.metrics.R2Score`;
            there is no average by variance.

    Raises:
        ValueError: As for `masklstm.metrics.MeanSquaredError`.

    Example:

    >>> import masklstm
    >>> metric = masklstm.metrics.KlingGuptaEfficiency()
    >>> metric.update_state([[1.0], [float("nan")], [3.0]], [[2.0], [5.0], [6.0]])
    >>> round(float(metric.result()), 5)  # r = 1, a = 2, b = 2
    -0.41421

    Source: H. V. Gupta, H. Kling, K. K. Yilmaz, G. F. Martinez, "Decomposition of the mean squared
    error and NSE performance criteria", 2009; modified: H. Kling, M. Fuchs, M. Paulin, "Runoff
    conditions in the upper Danube basin under an ensemble of climate change scenarios", 2012;
    predictions that do not vary: W. J. M. Knoben, J. E. Freer, R. A. Woods, "Inherent benchmark or
    not? Comparing Nash-Sutcliffe and Kling-Gupta efficiency scores", 2019. Not in `keras.metrics`.
    """

    direction = "up"

    def __init__(
        self,
        modified: bool = False,
        class_aggregation: str | None = "uniform_average",
        name: str = "kling_gupta_efficiency",
        dtype: Any = None,
        *,
        by: str | None = None,
        names: Sequence[Any] | None = None,
        missing: Any = NAN,
    ) -> None:
        super().__init__(name, dtype, missing, class_aggregation, by, names)
        self.modified = bool(modified)

    def figures(self, moments: PairMoments, count: tf.Tensor) -> Figures:
        spread = tf.sqrt(moments.prediction_deviations / moments.label_deviations)
        level = moments.prediction_mean / moments.label_mean
        relative = tf.where(spread == 0, spread, spread / level)  # 0 / 0 where all are 0
        ratio = relative if self.modified else spread
        parts = (_correlation(moments), ratio, level)
        values = 1.0 - tf.sqrt(tf.add_n([(part - 1.0) ** 2 for part in parts]))
        is_defined = (moments.label_deviations != 0) & (moments.label_mean != 0)
        return Figures(values, is_defined, moments.trace)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "modified": self.modified}


@keras.saving.register_keras_serializable(package="masklstm.metrics")
class PearsonCorrelation(SeriesMetric):
    """Pearson's correlation of labels and predictions, between -1 and 1.

    Formula, for each series of the last axis, with the weighted means mt and mp of its valid pairs:
    `score = sum(w * (y_true - mt) * (y_pred - mp)) / sqrt(sum(w * (y_true - mt)^2) * sum(w *
    (y_pred - mp)^2))`. A series whose labels or predictions do not vary has none: it is NaN and
    takes no part in the average.

    A series goes through all batches. (`keras.metrics.PearsonCorrelation` is the mean of the
    correlations within each row, along one axis of a batch; `masklstm.metrics.Masked` skips
    missing labels in it.)

    Args:
        class_aggregation, name, dtype, by, names, missing: As for `masklstm.metrics.R2Score`;
            there is no average by variance.

    Raises:
        ValueError: As for `masklstm.metrics.MeanSquaredError`.

    Example:

    >>> import masklstm
    >>> metric = masklstm.metrics.PearsonCorrelation()
    >>> metric.update_state([[1.0], [float("nan")], [2.0], [3.0]], [[2.0], [5.0], [4.0], [6.0]])
    >>> round(float(metric.result()), 5)
    1.0

    Source: K. Pearson, "Notes on regression and inheritance in the case of two parents", 1895.
    """

    direction = "up"

    def __init__(
        self,
        class_aggregation: str | None = "uniform_average",
        name: str = "pearson_correlation",
        dtype: Any = None,
        *,
        by: str | None = None,
        names: Sequence[Any] | None = None,
        missing: Any = NAN,
    ) -> None:
        super().__init__(name, dtype, missing, class_aggregation, by, names)

    def figures(self, moments: PairMoments, count: tf.Tensor) -> Figures:
        is_defined = (moments.label_deviations != 0) & (moments.prediction_deviations != 0)
        return Figures(_correlation(moments), is_defined, moments.trace)


@keras.saving.register_keras_serializable(package="masklstm.metrics")
class ConcordanceCorrelation(SeriesMetric):
    """Lin's concordance correlation: 1 only where predictions equal labels, not just follow them.

    Formula, for each series of the last axis, with the weighted means mt and mp of its valid pairs
    and the sum W of their weights: `score = 2 * sum(w * (y_true - mt) * (y_pred - mp)) / (sum(w *
    (y_true - mt)^2) + sum(w * (y_pred - mp)^2) + W * (mt - mp)^2)`. Where neither varies and they
    are equal there is none: it is NaN and takes no part in the average.

    A series goes through all batches. (`keras.metrics.ConcordanceCorrelation` is the mean of those
    within each row, along one axis of a batch; `masklstm.metrics.Masked` skips missing labels in
    it.)

    Args:
        class_aggregation, name, dtype, by, names, missing: As for `masklstm.metrics.R2Score`;
            there is no average by variance.

    Raises:
        ValueError: As for `masklstm.metrics.MeanSquaredError`.

    Example:

    >>> import masklstm
    >>> metric = masklstm.metrics.ConcordanceCorrelation()
    >>> metric.update_state([[1.0], [float("nan")], [3.0]], [[2.0], [5.0], [4.0]])
    >>> round(float(metric.result()), 5)  # 2 * 2 / (2 + 2 + 2 * 1)
    0.66667

    Source: L. I. Lin, "A concordance correlation coefficient to evaluate reproducibility", 1989.
    """

    direction = "up"

    def __init__(
        self,
        class_aggregation: str | None = "uniform_average",
        name: str = "concordance_correlation",
        dtype: Any = None,
        *,
        by: str | None = None,
        names: Sequence[Any] | None = None,
        missing: Any = NAN,
    ) -> None:
        super().__init__(name, dtype, missing, class_aggregation, by, names)

    def figures(self, moments: PairMoments, count: tf.Tensor) -> Figures:
        between = moments.weight * (moments.label_mean - moments.prediction_mean) ** 2
        spread = moments.label_deviations + moments.prediction_deviations + between
        return Figures(2.0 * moments.co_deviations / spread, spread != 0, moments.trace)
