"""How much of the labels' variance predictions explain, by output, over the valid elements."""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from masklstm._core.missing import NAN
from masklstm._core.refusals import out_of_domain
from masklstm.metrics.groups import AGGREGATIONS, Figures
from masklstm.metrics.series import LabelMoments, SeriesMetric


class CoefficientOfDetermination(SeriesMetric):
    """Base of R2Score and NashSutcliffeEfficiency: 1 - squared errors / squared deviations."""

    direction = "up"
    moments = LabelMoments
    aggregations = (*AGGREGATIONS, "variance_weighted_average")

    def figures(self, moments: LabelMoments, count: tf.Tensor) -> Figures:
        errors, deviations = moments.squared_errors, moments.label_deviations
        # As Keras, 0 for labels that do not vary and are missed; an infinite error stays one.
        is_missed = (deviations == 0) & (errors > 0) & tf.math.is_finite(errors)
        scores = tf.where(is_missed, tf.zeros_like(errors), 1 - errors / deviations)
        return Figures(scores, count > 0, errors - errors)

    def weights(self, moments: LabelMoments) -> tf.Tensor | None:
        # By variance a constant does not count.
        is_by_variance = self.class_aggregation == "variance_weighted_average"
        return moments.label_deviations if is_by_variance else None


@keras.saving.register_keras_serializable(package="masklstm.metrics")
class R2Score(CoefficientOfDetermination):
    """Coefficient of determination: the share of the labels' variance that predictions explain.

    Formula, for each entry of the last axis (or each timestep), with the weighted mean m of its
    valid labels:
    `score = 1 - sum(w * (y_true - y_pred)^2) / sum(w * (y_true - m)^2)`. Each has gaps of its own.
    One without a valid label is left out of the averages. Labels that do not vary give 0, or NaN
    where the predictions are exact, as in Keras.

    Args:
        class_aggregation: `"uniform_average"` of the scores, `"variance_weighted_average"`
            (weighted by the denominators above: labels that do not vary do not count, and if none
            vary it is NaN), `None` for each score under its name, as a dict (in Keras: a vector),
            or `"pooled"` for one score of all labels together.
        num_regressors: Number p of independent regressors, for the adjusted score
            `1 - (1 - score) * (n - 1) / (n - p - 1)`, where n counts all valid labels. 0, or an n
            that is too small, gives the score itself.
        name, dtype, by, names, missing: As for `masklstm.metrics.MeanSquaredError`.

    Raises:
        ValueError: For a `num_regressors` below 0, and what
            `masklstm.metrics.MeanSquaredError` refuses.

    Example:

    >>> import masklstm
    >>> metric = masklstm.metrics.R2Score()
    >>> metric.update_state([[1.0], [4.0], [float("nan")], [3.0]], [[2.0], [4.0], [9.0], [4.0]])
    >>> round(float(metric.result()), 5)
    0.57143
    >>> metric = masklstm.metrics.R2Score(None, name="r2", names=["flow", "level"])
    >>> metric.update_state([[1.0, 2.0], [3.0, 4.0]], [[1.0, 3.0], [3.0, 3.0]])
    >>> {name: float(value) for name, value in metric.result().items()}
    {'r2_flow': 1.0, 'r2_level': 0.0}

    Source: `keras.metrics.R2Score`, which takes shape `(batch, outputs)` only.
    """

    def __init__(
        self,
        class_aggregation: str | None = "uniform_average",
        num_regressors: int = 0,
        name: str = "r2_score",
        dtype: Any = None,
        *,
        by: str | None = None,
        names: Sequence[Any] | None = None,
        missing: Any = NAN,
    ) -> None:
        super().__init__(name, dtype, missing, class_aggregation, by, names)
        if num_regressors < 0:
            raise out_of_domain("num_regressors", "[0, inf)", num_regressors)
        self.num_regressors = num_regressors

    def figures(self, moments: LabelMoments, count: tf.Tensor) -> Figures:
        figures = super().figures(moments, count)
        if self.num_regressors == 0:
            return figures
        number = tf.cast(tf.reduce_sum(count), tf.float64)
        rest = number - self.num_regressors - 1.0
        adjusted = 1.0 - (1.0 - figures.values) * (number - 1.0) / rest
        return figures._replace(values=tf.where(rest > 0, adjusted, figures.values))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "num_regressors": self.num_regressors}


@keras.saving.register_keras_serializable(package="masklstm.metrics")
class NashSutcliffeEfficiency(CoefficientOfDetermination):
    """Nash-Sutcliffe efficiency: 1 for exact predictions, 0 for those as good as the labels' mean.

    Formula, for each series of the last axis, with the weighted mean m of its valid labels:
    `score = 1 - sum(w * (y_true - y_pred)^2) / sum(w * (y_true - m)^2)`. It is the name that
    hydrology has for `masklstm.metrics.R2Score`.

    Args:
        class_aggregation, name, dtype, by, names, missing: As for `masklstm.metrics.R2Score`.

    Raises:
        ValueError: As for `masklstm.metrics.MeanSquaredError`.

    Example:

    >>> import masklstm
    >>> metric = masklstm.metrics.NashSutcliffeEfficiency()
    >>> metric.update_state([[1.0], [float("nan")], [3.0]], [[2.0], [5.0], [2.0]])
    >>> float(metric.result())
    0.0

    Source: J. E. Nash, J. V. Sutcliffe, "River flow forecasting through conceptual models part I",
    1970; not in `keras.metrics`.
    """

    def __init__(
        self,
        class_aggregation: str | None = "uniform_average",
        name: str = "nash_sutcliffe_efficiency",
        dtype: Any = None,
        *,
        by: str | None = None,
        names: Sequence[Any] | None = None,
        missing: Any = NAN,
    ) -> None:
        super().__init__(name, dtype, missing, class_aggregation, by, names)
