"""Keras metrics that skip missing labels. Names and arguments are those of `keras.metrics`.

Every class takes one more keyword argument than Keras's: `missing`, a number that means "no label"
in addition to NaN (a sentinel such as -999), or `"nonfinite"` to skip infinite labels too. `Masked`
makes any other Keras metric skip what has no label; `Loss` makes a metric of a loss.

A metric is over all valid elements of all batches, however they were split: those whose label is
not missing and whose Keras mask, if the predictions carry one, is True. Without gaps the numbers
are Keras's. Before the first valid label a metric is NaN. State is float64 and int64, and so is the
result unless `dtype` says otherwise.
"""

import math
from typing import TYPE_CHECKING, Any

import keras
import tensorflow as tf

from masklstm import _arguments, _names
from masklstm._coefficient_of_determination import CoefficientOfDetermination
from masklstm._keras_compat import get_keras_mask
from masklstm._labels import read_labels
from masklstm._loss_metric import Loss
from masklstm._masked_metric import Masked
from masklstm._metric_bases import ElementwiseMetric, GapAwareMetric, ValueMetric

__all__ = [
    "BinaryAccuracy",
    "BinaryCrossentropy",
    "LogCoshError",
    "Loss",
    "Masked",
    "MeanAbsoluteError",
    "MeanAbsolutePercentageError",
    "MeanSquaredError",
    "MeanSquaredLogarithmicError",
    "NashSutcliffeEfficiency",
    "Pinball",
    "Poisson",
    "R2Score",
    "RootMeanSquaredError",
    "SymmetricMeanAbsolutePercentageError",
    "ValidFraction",
    "ValidShare",
]

NAN = float("nan")


if not TYPE_CHECKING:  # a checker would take any name for one that there is

    def __getattr__(name: str) -> Any:
        raise _names.unknown_name(__name__, name)


@keras.saving.register_keras_serializable(package="masklstm.metrics")
class MeanSquaredError(ElementwiseMetric):
    """Mean of squared errors over the valid elements.

    Formula: `metric = sum(w * (y_pred - y_true)^2) / sum(w)`, with the weights w, or
    1 without any.

    Args:
        name: Name of the metric. Not `"epoch"`, `"batch"`, `"loss"` or `"learning_rate"`, nor one
            that begins with `"val_"`: callbacks use them in the logs.
        dtype: Type of the result; float64 by default. The state is always float64 and int64.
        missing: A number that means "no label" in addition to NaN, or `"nonfinite"`.

    Raises:
        ValueError: For a `missing` that is neither a number nor `"nonfinite"`.

    Example:

    >>> import masklstm
    >>> metric = masklstm.metrics.MeanSquaredError()
    >>> metric.update_state([[1.0], [float("nan")], [3.0]], [[2.0], [5.0], [5.0]])
    >>> float(metric.result())
    2.5

    Source: `keras.metrics.MeanSquaredError`.
    """

    loss = "squared_error"

    def __init__(
        self,
        name: str = "mean_squared_error",
        dtype: Any = None,
        *,
        missing: Any = NAN,
    ) -> None:
        super().__init__(name, dtype, missing)


@keras.saving.register_keras_serializable(package="masklstm.metrics")
class MeanAbsoluteError(ElementwiseMetric):
    """Mean of absolute errors over the valid elements.

    Formula: `metric = sum(w * abs(y_pred - y_true)) / sum(w)`

    Args:
        name, dtype, missing: As for `masklstm.metrics.MeanSquaredError`.

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
        missing: Any = NAN,
    ) -> None:
        super().__init__(name, dtype, missing)


@keras.saving.register_keras_serializable(package="masklstm.metrics")
class RootMeanSquaredError(ElementwiseMetric):
    """Root of the mean of squared errors over the valid elements.

    Formula: `metric = sqrt(sum(w * (y_pred - y_true)^2) / sum(w))`

    Args:
        name, dtype, missing: As for `masklstm.metrics.MeanSquaredError`.

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
        missing: Any = NAN,
    ) -> None:
        super().__init__(name, dtype, missing)

    def result(self) -> tf.Tensor:
        """The root of the mean over all batches so far; NaN without a valid label."""
        return tf.sqrt(super().result())


@keras.saving.register_keras_serializable(package="masklstm.metrics")
class MeanAbsolutePercentageError(ElementwiseMetric):
    """Mean of absolute errors in percent of the label, over the valid elements.

    Formula: `metric = 100 * sum(w * abs(y_pred - y_true) / max(abs(y_true), epsilon)) / sum(w)`
    with `keras.config.epsilon()`, read when the metric is updated.

    Args:
        name, dtype, missing: As for `masklstm.metrics.MeanSquaredError`.

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
        missing: Any = NAN,
    ) -> None:
        super().__init__(name, dtype, missing)


@keras.saving.register_keras_serializable(package="masklstm.metrics")
class SymmetricMeanAbsolutePercentageError(ValueMetric):
    """Mean of absolute errors in percent of the mean of label and prediction, between 0 and 200.

    Formula: `metric = 200 * sum(w * abs(y_pred - y_true) / (abs(y_true) + abs(y_pred))) / sum(w)`;
    an element is 0 where both are 0.

    Args:
        name, dtype, missing: As for `masklstm.metrics.MeanSquaredError`.

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
        missing: Any = NAN,
    ) -> None:
        super().__init__(name, dtype, missing)

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
        name, dtype, missing: As for `masklstm.metrics.MeanSquaredError`.

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
        missing: Any = NAN,
    ) -> None:
        super().__init__(name, dtype, missing)


@keras.saving.register_keras_serializable(package="masklstm.metrics")
class LogCoshError(ElementwiseMetric):
    """Mean of log(cosh(error)) over the valid elements.

    Formula: `metric = sum(w * log(cosh(y_pred - y_true))) / sum(w)`

    Args:
        name, dtype, missing: As for `masklstm.metrics.MeanSquaredError`.

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
        missing: Any = NAN,
    ) -> None:
        super().__init__(name, dtype, missing)


@keras.saving.register_keras_serializable(package="masklstm.metrics")
class Poisson(ElementwiseMetric):
    """Mean of the Poisson losses over the valid elements.

    Formula: `metric = sum(w * (y_pred - y_true * log(y_pred + epsilon))) / sum(w)` with
    `keras.config.epsilon()`, read when the metric is updated.

    Args:
        name, dtype, missing: As for `masklstm.metrics.MeanSquaredError`.

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
        missing: Any = NAN,
    ) -> None:
        super().__init__(name, dtype, missing)


@keras.saving.register_keras_serializable(package="masklstm.metrics")
class Pinball(ElementwiseMetric):
    """Mean of the pinball (quantile) losses over the valid elements.

    Formula, with `d = y_true - y_pred`:
    `metric = sum(w * max(quantile * d, (quantile - 1) * d)) / sum(w)`

    Args:
        quantile: The quantile that is predicted, between 0 and 1 exclusive.
        name, dtype, missing: As for `masklstm.metrics.MeanSquaredError`.

    Raises:
        ValueError: For a `quantile` outside of (0, 1), a `missing` that is neither a number nor
            `"nonfinite"`.

    Example:

    >>> import masklstm
    >>> metric = masklstm.metrics.Pinball(quantile=0.75)
    >>> metric.update_state([[1.0], [float("nan")]], [[3.0], [5.0]])
    >>> float(metric.result())
    0.5

    Source: R. Koenker, G. Bassett, "Regression Quantiles", 1978; not in `keras.metrics`.
    """

    loss = "pinball"

    def __init__(
        self,
        quantile: float = 0.5,
        name: str = "pinball",
        dtype: Any = None,
        *,
        missing: Any = NAN,
    ) -> None:
        super().__init__(name, dtype, missing, quantile=quantile)


@keras.saving.register_keras_serializable(package="masklstm.metrics")
class BinaryCrossentropy(ElementwiseMetric):
    """Mean of binary cross-entropies over the valid elements.

    Formula, with the probability c (`y_pred` clipped to `[epsilon, 1 - epsilon]`, or its sigmoid):
    `metric = sum(w * (-y_true * log(c) - (1 - y_true) * log(1 - c))) / sum(w)`.

    Args:
        name, dtype, missing: As for `masklstm.metrics.MeanSquaredError`.
        from_logits: Whether `y_pred` is the logarithm of the odds instead of a probability.
        label_smoothing: Between 0 and 1; labels are pulled towards 1/2 by this share.

    Raises:
        ValueError: For a `label_smoothing` outside of [0, 1], a `missing` that is neither
            a number nor `"nonfinite"`.

    Example:

    >>> import masklstm
    >>> metric = masklstm.metrics.BinaryCrossentropy(from_logits=True)
    >>> metric.update_state([[1.0], [float("nan")]], [[0.0], [5.0]])
    >>> round(float(metric.result()), 5)
    0.69315

    Source: `keras.metrics.BinaryCrossentropy`.
    """

    def __init__(
        self,
        name: str = "binary_crossentropy",
        dtype: Any = None,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        *,
        missing: Any = NAN,
    ) -> None:
        self.from_logits = from_logits
        self.loss = "binary_crossentropy_from_logits" if from_logits else "binary_crossentropy"
        super().__init__(name, dtype, missing, label_smoothing=label_smoothing)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "from_logits": self.from_logits}


@keras.saving.register_keras_serializable(package="masklstm.metrics")
class BinaryAccuracy(ValueMetric):
    """Share of the valid elements whose thresholded prediction equals the label.

    Formula: `metric = sum(w * (y_true == (y_pred > threshold))) / sum(w)`; NaN predictions make it
    NaN, where Keras takes them for 0.

    Args:
        name, dtype, missing: As for `masklstm.metrics.MeanSquaredError`.
        threshold: Above it a prediction counts as 1, else as 0. It is rounded to the predictions'
            type.

    Raises:
        ValueError: For a `threshold` that is not a finite number, a `missing` that is neither a
            number nor `"nonfinite"`.

    Example:

    >>> import masklstm
    >>> metric = masklstm.metrics.BinaryAccuracy()
    >>> metric.update_state([[1.0], [float("nan")], [0.0]], [[0.8], [0.1], [0.6]])
    >>> float(metric.result())
    0.5

    Source: `keras.metrics.BinaryAccuracy`.
    """

    direction = "up"

    def __init__(
        self,
        name: str = "binary_accuracy",
        dtype: Any = None,
        threshold: float = 0.5,
        *,
        missing: Any = NAN,
    ) -> None:
        super().__init__(name, dtype, missing)
        self.threshold = _arguments.number_or_nan(threshold)
        if not math.isfinite(self.threshold):
            raise _arguments.out_of_domain("threshold", "(-inf, inf)", threshold)

    def values(self, y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
        says_1 = y_pred > tf.constant(self.threshold, y_pred.dtype)
        is_right = tf.cast(y_true, tf.float64) == tf.cast(says_1, tf.float64)
        nan = tf.constant(NAN, tf.float64)
        return tf.where(tf.math.is_nan(y_pred), nan, tf.cast(is_right, tf.float64))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "threshold": self.threshold}


@keras.saving.register_keras_serializable(package="masklstm.metrics")
class R2Score(CoefficientOfDetermination):
    """Coefficient of determination: the share of the labels' variance that predictions explain.

    Formula, for each entry of the last axis, with the weighted mean m of its valid labels:
    `score = 1 - sum(w * (y_true - y_pred)^2) / sum(w * (y_true - m)^2)`. Each has gaps of its own.
    One without a valid label is left out of the averages. Labels that do not vary give 0, or NaN
    where the predictions are exact, as in Keras.

    Args:
        class_aggregation: `"uniform_average"` of the scores, `"variance_weighted_average"`
            (weighted by the denominators above: labels that do not vary do not count, and if none
            vary it is NaN), or `None` for all scores.
        num_regressors: Number p of independent regressors, for the adjusted score
            `1 - (1 - score) * (n - 1) / (n - p - 1)`, where n counts all valid labels. 0, or an n
            that is too small, gives the score itself.
        name, dtype, missing: As for `masklstm.metrics.MeanSquaredError`.

    Raises:
        ValueError: For an unknown `class_aggregation`, a `num_regressors` below 0, a `missing` that
            is neither a number nor `"nonfinite"`, a last axis of unknown length.

    Example:

    >>> import masklstm
    >>> metric = masklstm.metrics.R2Score()
    >>> metric.update_state([[1.0], [4.0], [float("nan")], [3.0]], [[2.0], [4.0], [9.0], [4.0]])
    >>> round(float(metric.result()), 5)
    0.57143

    Source: `keras.metrics.R2Score`, which takes shape `(batch, outputs)` only.
    """

    def __init__(
        self,
        class_aggregation: str | None = "uniform_average",
        num_regressors: int = 0,
        name: str = "r2_score",
        dtype: Any = None,
        *,
        missing: Any = NAN,
    ) -> None:
        super().__init__(class_aggregation, name, dtype, missing)
        if num_regressors < 0:
            raise _arguments.out_of_domain("num_regressors", "[0, inf)", num_regressors)
        self.num_regressors = num_regressors

    def adjusted(self, score: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
        number = tf.cast(tf.reduce_sum(count), tf.float64)
        rest = number - self.num_regressors - 1.0
        adjusted = 1.0 - (1.0 - score) * (number - 1.0) / rest
        return tf.where((self.num_regressors > 0) & (rest > 0), adjusted, score)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "num_regressors": self.num_regressors}


@keras.saving.register_keras_serializable(package="masklstm.metrics")
class NashSutcliffeEfficiency(CoefficientOfDetermination):
    """Nash-Sutcliffe efficiency: 1 for exact predictions, 0 for those as good as the labels' mean.

    Formula, for each series of the last axis, with the weighted mean m of its valid labels:
    `score = 1 - sum(w * (y_true - y_pred)^2) / sum(w * (y_true - m)^2)`. It is the name that
    hydrology has for `masklstm.metrics.R2Score`.

    Args:
        class_aggregation, name, dtype, missing: As for `masklstm.metrics.R2Score`.

    Raises:
        ValueError: For an unknown `class_aggregation`, a `missing` that is neither a number nor
            `"nonfinite"`, a last axis of unknown length.

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
        missing: Any = NAN,
    ) -> None:
        super().__init__(class_aggregation, name, dtype, missing)


@keras.saving.register_keras_serializable(package="masklstm.metrics")
class ValidShare(GapAwareMetric):
    """Share of the labels that are valid: neither missing nor masked out.

    Formula: `metric = number of valid labels / number of labels`

    Args:
        name, dtype, missing: As for `masklstm.metrics.MeanSquaredError`.

    Raises:
        ValueError: For a `missing` that is neither a number nor `"nonfinite"`.

    Example:

    >>> import masklstm
    >>> metric = masklstm.metrics.ValidShare()
    >>> metric.update_state([[1.0], [float("nan")], [3.0], [4.0]], [[2.0], [5.0], [5.0], [4.0]])
    >>> float(metric.result())
    0.75

    Source: not in `keras.metrics`. `masklstm.callbacks.MissingLabels` logs it without this metric.
    """

    direction = None

    def __init__(
        self,
        name: str = "valid_share",
        dtype: Any = None,
        *,
        missing: Any = NAN,
    ) -> None:
        super().__init__(name, dtype, missing)
        self.valid_count = self.add_count("valid_count")
        self.label_count = self.add_count("label_count")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Adds a batch.

        Args:
            y_true: Labels of any shape, class labels too; NaN means missing.
            y_pred: Predictions, of which only a Keras mask matters.
            sample_weight: Ignored: labels are counted.
        """
        y_true, valid = read_labels(y_true, self.missing)
        mask = get_keras_mask(y_pred)
        if mask is not None:
            mask = _arguments.align("mask", tf.cast(mask, tf.bool), y_true)
            valid &= _arguments.broadcast_left(mask, y_true)
        self.valid_count.assign_add(tf.math.count_nonzero(valid))
        self.label_count.assign_add(tf.size(y_true, tf.int64))

    def result(self) -> tf.Tensor:
        """The share; NaN if no label was seen."""
        valid = tf.cast(tf.convert_to_tensor(self.valid_count), tf.float64)
        labels = tf.cast(tf.convert_to_tensor(self.label_count), tf.float64)
        return self.as_result(valid / labels, self.label_count)


@keras.saving.register_keras_serializable(package="masklstm.metrics")
class ValidFraction(ValidShare):
    """`masklstm.metrics.ValidShare` under its earlier name, for code and files that use it.

    Formula: `metric = number of valid labels / number of labels`

    Args:
        name, dtype, missing: As for `masklstm.metrics.MeanSquaredError`.

    Raises:
        ValueError: For a `missing` that is neither a number nor `"nonfinite"`.

    Example:

    >>> import masklstm
    >>> masklstm.metrics.ValidFraction().name
    'valid_fraction'

    Source: not in `keras.metrics`.
    """

    def __init__(
        self,
        name: str = "valid_fraction",
        dtype: Any = None,
        *,
        missing: Any = NAN,
    ) -> None:
        super().__init__(name, dtype, missing=missing)
