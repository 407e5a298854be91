"""Metrics of regression. `MeanSquaredError` says what all of them have in common."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from masklstm._core.missing import NAN
from masklstm._core.totals import MaskedSums
from masklstm.metrics.means import ElementwiseMetric, ValueMetric


@keras.saving.register_keras_serializable(package="masklstm.metrics")
class MeanSquaredError(ElementwiseMetric):
    """Mean of squared errors over the valid elements.

    Formula: `metric = sum(w * (y_pred - y_true)^2) / sum(w)`, with the weights w, or
    1 without any.

    Args:
        name: Name of the metric. Not `"epoch"`, `"batch"`, `"loss"` or `"learning_rate"`, nor one
            that begins with `"val_"`: callbacks use them in the logs.
        dtype: Type of the result; float64 by default. The state is always float64 and int64.
        class_aggregation: `"pooled"`, all valid labels together; `None`, a figure for each feature
            or timestep, as a dict: each has a line of its own in the logs, `<metric>_<name>`; or
            `"uniform_average"`, the mean of these figures, of those that there are.
        by: `"feature"`, the last axis, or `"timestep"`, the second one: what has a figure of its
            own where `class_aggregation` is not `"pooled"`. Features by default.
        names: Names of the features or timesteps for the logs. By default they are counted from 0.
        missing: A number that means "no label" in addition to NaN, or `"nonfinite"`.

    Raises:
        ValueError: For an unknown `class_aggregation` or `by`, one of `by` and `names` that has no
            effect, `names` that are not as many as there are features or timesteps, an axis of
            theirs whose length is unknown or changes, a `missing` that is neither a number nor
            `"nonfinite"`.

    Example:

    >>> import masklstm
    >>> nan = float("nan")
    >>> metric = masklstm.metrics.MeanSquaredError()
    >>> metric.update_state([[1.0], [nan], [3.0]], [[2.0], [5.0], [5.0]])
    >>> float(metric.result())
    2.5
    >>> metric = masklstm.metrics.MeanSquaredError("mse", class_aggregation=None)
    >>> metric.update_state([[1.0, 2.0], [nan, 5.0]], [[2.0, 2.0], [5.0, 8.0]])
    >>> {name: float(value) for name, value in metric.result().items()}
    {'mse_0': 1.0, 'mse_1': 4.5}
    >>> metric = masklstm.metrics.MeanSquaredError(
    ...     "mse", class_aggregation=None, by="timestep", names=["1h", "2h"]
    ... )
    >>> metric.update_state([[[1.0], [nan]], [[2.0], [5.0]]], [[[2.0], [5.0]], [[2.0], [8.0]]])
    >>> {name: float(value) for name, value in metric.result().items()}
    {'mse_1h': 0.5, 'mse_2h': 9.0}

    Source: `keras.metrics.MeanSquaredError`.
    """

    loss = "squared_error"

    def __init__(
        self,
        name: str = "mean_squared_error",
        dtype: Any = None,
        *,
        class_aggregation: str | None = "pooled",
        by: str | None = None,
        names: Sequence[Any] | None = None,
        missing: Any = NAN,
    ) -> None:
        super().__init__(name, dtype, missing, class_aggregation, by, names)


@keras.saving.register_keras_serializable(package="masklstm.metrics")
class MeanAbsoluteError(ElementwiseMetric):
    """Mean of absolute errors over the valid elements.

    Formula: `metric = sum(w * abs(y_pred - y_true)) / sum(w)`

    Args:
        name, dtype, class_aggregation, by, names, missing: As for
            `masklstm.metrics.MeanSquaredError`.

    Raises:
        ValueError: For a `missing` that is neither a number nor `"nonfinite"`.

    Example:

    >>> import masklstm
    >>> metric = masklstm.metrics.MeanAbsoluteError()
    >>> metric.update_state([[1.0], [float("nan")], [3.0]], [[2.0], [5.0], [5.0]])
    >>> float(metric.result())
    1.5

    Source: `keras.metrics.MeanAbsoluteError`.
    """

    loss = "absolute_error"

    def __init__(
        self,
        name: str = "mean_absolute_error",
        dtype: Any = None,
        *,
        class_aggregation: str | None = "pooled",
        by: str | None = None,
        names: Sequence[Any] | None = None,
        missing: Any = NAN,
    ) -> None:
        super().__init__(name, dtype, missing, class_aggregation, by, names)


@keras.saving.register_keras_serializable(package="masklstm.metrics")
class RootMeanSquaredError(ElementwiseMetric):
    """Root of the mean of squared errors over the valid elements.

    Formula: `metric = sqrt(sum(w * (y_pred - y_true)^2) / sum(w))`

    Args:
        name, dtype, class_aggregation, by, names, missing: As for
            `masklstm.metrics.MeanSquaredError`.

    Raises:
        ValueError: For a `missing` that is neither a number nor `"nonfinite"`.

    Example:

    >>> import masklstm
    >>> metric = masklstm.metrics.RootMeanSquaredError()
    >>> metric.update_state([[1.0], [float("nan")], [3.0]], [[4.0], [5.0], [7.0]])
    >>> float(metric.result())
    3.5355339059327378

    Source: `keras.metrics.RootMeanSquaredError`.
    """

    loss = "squared_error"

    def __init__(
        self,
        name: str = "root_mean_squared_error",
        dtype: Any = None,
        *,
        class_aggregation: str | None = "pooled",
        by: str | None = None,
        names: Sequence[Any] | None = None,
        missing: Any = NAN,
    ) -> None:
        super().__init__(name, dtype, missing, class_aggregation, by, names)

    def of_totals(self, totals: MaskedSums) -> tf.Tensor:
        return tf.sqrt(super().of_totals(totals))


@keras.saving.register_keras_serializable(package="masklstm.metrics")
class MeanAbsolutePercentageError(ElementwiseMetric):
    """Mean of absolute errors in percent of the label, over the valid elements.

    Formula: `metric = 100 * sum(w * abs(y_pred - y_true) / max(abs(y_true), epsilon)) / sum(w)`
    with `keras.config.epsilon()`, read when the metric is updated.

    Args:
        name, dtype, class_aggregation, by, names, missing: As for
            `masklstm.metrics.MeanSquaredError`.

    Raises:
        ValueError: For a `missing` that is neither a number nor `"nonfinite"`.

    Example:

    >>> import masklstm
    >>> metric = masklstm.metrics.MeanAbsolutePercentageError()
    >>> metric.update_state([[2.0], [float("nan")]], [[3.0], [5.0]])
    >>> float(metric.result())
    50.0

    Source: `keras.metrics.MeanAbsolutePercentageError`.
    """

    loss = "absolute_percentage_error"

    def __init__(
        self,
        name: str = "mean_absolute_percentage_error",
        dtype: Any = None,
        *,
        class_aggregation: str | None = "pooled",
        by: str | None = None,
        names: Sequence[Any] | None = None,
        missing: Any = NAN,
    ) -> None:
        super().__init__(name, dtype, missing, class_aggregation, by, names)


@keras.saving.register_keras_serializable(package="masklstm.metrics")
class SymmetricMeanAbsolutePercentageError(ValueMetric):
    """Mean of absolute errors in percent of the mean of label and prediction, between 0 and 200.

    Formula: `metric = 200 * sum(w * abs(y_pred - y_true) / (abs(y_true) + abs(y_pred))) / sum(w)`;
    an element is 0 where both are 0.

    Args:
        name, dtype, class_aggregation, by, names, missing: As for
            `masklstm.metrics.MeanSquaredError`.

    Raises:
        ValueError: For a `missing` that is neither a number nor `"nonfinite"`.

    Example:

    >>> import masklstm
    >>> metric = masklstm.metrics.SymmetricMeanAbsolutePercentageError()
    >>> metric.update_state([[1.0], [float("nan")]], [[3.0], [5.0]])
    >>> float(metric.result())
    100.0

    Source: S. Makridakis, M. Hibon, "The M3-Competition: results, conclusions and implications",
    2000, with absolute values in the denominator; not in `keras.metrics`.
    """

    def __init__(
        self,
        name: str = "symmetric_mean_absolute_percentage_error",
        dtype: Any = None,
        *,
        class_aggregation: str | None = "pooled",
        by: str | None = None,
        names: Sequence[Any] | None = None,
        missing: Any = NAN,
    ) -> None:
        super().__init__(name, dtype, missing, class_aggregation, by, names)

    def values(self, y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
        y_true, y_pred = tf.cast(y_true, tf.float64), tf.cast(y_pred, tf.float64)
        error = tf.abs(y_pred - y_true)
        return 200.0 * tf.math.divide_no_nan(error, tf.abs(y_true) + tf.abs(y_pred))


@keras.saving.register_keras_serializable(package="masklstm.metrics")
class MeanSquaredLogarithmicError(ElementwiseMetric):
    """Mean of squared differences of logarithms over the valid elements.

    Formula: `metric = sum(w * (log(1 + y_pred) - log(1 + y_true))^2) / sum(w)`, both at least
    `keras.config.epsilon()`, read when the metric is updated.

    Args:
        name, dtype, class_aggregation, by, names, missing: As for
            `masklstm.metrics.MeanSquaredError`.

    Raises:
        ValueError: For a `missing` that is neither a number nor `"nonfinite"`.

    Example:

    >>> import masklstm
    >>> metric = masklstm.metrics.MeanSquaredLogarithmicError()
    >>> metric.update_state([[0.0], [float("nan")]], [[1.0], [5.0]])
    >>> round(float(metric.result()), 5)
    0.48045

    Source: `keras.metrics.MeanSquaredLogarithmicError`.
    """

    loss = "squared_logarithmic_error"

    def __init__(
        self,
        name: str = "mean_squared_logarithmic_error",
        dtype: Any = None,
        *,
        class_aggregation: str | None = "pooled",
        by: str | None = None,
        names: Sequence[Any] | None = None,
        missing: Any = NAN,
    ) -> None:
        super().__init__(name, dtype, missing, class_aggregation, by, names)


@keras.saving.register_keras_serializable(package="masklstm.metrics")
class LogCoshError(ElementwiseMetric):
    """Mean of log(cosh(error)) over the valid elements.

    Formula: `metric = sum(w * log(cosh(y_pred - y_true))) / sum(w)`

    Args:
        name, dtype, class_aggregation, by, names, missing: As for
            `masklstm.metrics.MeanSquaredError`.

    Raises:
        ValueError: For a `missing` that is neither a number nor `"nonfinite"`.

    Example:

    >>> import masklstm
    >>> metric = masklstm.metrics.LogCoshError()
    >>> metric.update_state([[1.0], [float("nan")]], [[2.0], [5.0]])
    >>> round(float(metric.result()), 5)
    0.43378

    Source: `keras.metrics.LogCoshError`.
    """

    loss = "log_cosh"

    def __init__(
        self,
        name: str = "logcosh",
        dtype: Any = None,
        *,
        class_aggregation: str | None = "pooled",
        by: str | None = None,
        names: Sequence[Any] | None = None,
        missing: Any = NAN,
    ) -> None:
        super().__init__(name, dtype, missing, class_aggregation, by, names)


@keras.saving.register_keras_serializable(package="masklstm.metrics")
class Poisson(ElementwiseMetric):
    """Mean of the Poisson losses over the valid elements.

    Formula: `metric = sum(w * (y_pred - y_true * log(y_pred + epsilon))) / sum(w)` with
    `keras.config.epsilon()`, read when the metric is updated.

    Args:
        name, dtype, class_aggregation, by, names, missing: As for
            `masklstm.metrics.MeanSquaredError`.

    Raises:
        ValueError: For a `missing` that is neither a number nor `"nonfinite"`.

    Example:

    >>> import masklstm
    >>> metric = masklstm.metrics.Poisson()
    >>> metric.update_state([[1.0], [float("nan")]], [[2.0], [5.0]])
    >>> round(float(metric.result()), 5)
    1.30685

    Source: `keras.metrics.Poisson`.
    """

    loss = "poisson"

    def __init__(
        self,
        name: str = "poisson",
        dtype: Any = None,
        *,
        class_aggregation: str | None = "pooled",
        by: str | None = None,
        names: Sequence[Any] | None = None,
        missing: Any = NAN,
    ) -> None:
        super().__init__(name, dtype, missing, class_aggregation, by, names)


@keras.saving.register_keras_serializable(package="masklstm.metrics")
class Pinball(ElementwiseMetric):
    """Mean of the pinball (quantile) losses over the valid elements.

    Formula, with `d = y_true - y_pred`:
    `metric = sum(w * max(quantile * d, (quantile - 1) * d)) / sum(w)`; of several quantiles, the
    mean over them.

    Args:
        quantile: The quantile that is predicted, between 0 and 1 exclusive; or a list of Q of them,
            for predictions of shape `(batch, ..., features, Q)`.
        name, dtype, class_aggregation, by, names, missing: As for
            `masklstm.metrics.MeanSquaredError`.

    Raises:
        ValueError: For a `quantile` outside of (0, 1), an empty list, a `missing` that is neither a
            number nor `"nonfinite"`.

    Example:

    >>> import masklstm
    >>> metric = masklstm.metrics.Pinball(quantile=0.75)
    >>> metric.update_state([[1.0], [float("nan")]], [[3.0], [5.0]])
    >>> float(metric.result())
    0.5
    >>> metric = masklstm.metrics.Pinball(quantile=[0.25, 0.75])
    >>> metric.update_state([[1.0], [float("nan")]], [[[0.0, 3.0]], [[5.0, 5.0]]])
    >>> float(metric.result())  # (0.25 * 1 + 0.25 * 2) / 2
    0.375

    Source: R. Koenker, G. Bassett, "Regression Quantiles", 1978; not in `keras.metrics`.
    """

    loss = "pinball"
    loss_of_several = "pinball_set"

    def __init__(
        self,
        quantile: float | Sequence[float] = 0.5,
        name: str = "pinball",
        dtype: Any = None,
        *,
        class_aggregation: str | None = "pooled",
        by: str | None = None,
        names: Sequence[Any] | None = None,
        missing: Any = NAN,
    ) -> None:
        if np.ndim(quantile) == 1:
            self.loss = self.loss_of_several
            quantile = [float(level) for level in quantile]  # type: ignore[union-attr]
        super().__init__(name, dtype, missing, class_aggregation, by, names, quantile=quantile)
