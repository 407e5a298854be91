"""Metrics of binary classification."""

import math
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from masklstm._core.missing import NAN
from masklstm._core.refusals import number_or_nan, out_of_domain
from masklstm.metrics.means import ElementwiseMetric, ValueMetric


@keras.saving.register_keras_serializable(package="masklstm.metrics")
class BinaryCrossentropy(ElementwiseMetric):
    """Mean of binary cross-entropies over the valid elements.

    Formula, with the probability c (`y_pred` clipped to `[epsilon, 1 - epsilon]`, or its sigmoid):
    `metric = sum(w * (-y_true * log(c) - (1 - y_true) * log(1 - c))) / sum(w)`.

    Args:
        name, dtype, class_aggregation, by, names, missing: As for
            `masklstm.metrics.MeanSquaredError`.
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
        class_aggregation: str | None = "pooled",
        by: str | None = None,
        names: Sequence[Any] | None = None,
        missing: Any = NAN,
    ) -> None:
        self.from_logits = from_logits
        self.loss = "binary_crossentropy_from_logits" if from_logits else "binary_crossentropy"
        super().__init__(
            name, dtype, missing, class_aggregation, by, names, label_smoothing=label_smoothing
        )

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "from_logits": self.from_logits}


@keras.saving.register_keras_serializable(package="masklstm.metrics")
class BinaryAccuracy(ValueMetric):
    """Share of the valid elements whose thresholded prediction equals the label.

    Formula: `metric = sum(w * (y_true == (y_pred > threshold))) / sum(w)`; NaN predictions make it
    NaN, where Keras takes them for 0.

    Args:
        name, dtype, class_aggregation, by, names, missing: As for
            `masklstm.metrics.MeanSquaredError`.
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
        class_aggregation: str | None = "pooled",
        by: str | None = None,
        names: Sequence[Any] | None = None,
        missing: Any = NAN,
    ) -> None:
        super().__init__(name, dtype, missing, class_aggregation, by, names)
        self.threshold = number_or_nan(threshold)
        if not math.isfinite(self.threshold):
            raise out_of_domain("threshold", "(-inf, inf)", threshold)

    def values(self, y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
        says_1 = y_pred > tf.constant(self.threshold, y_pred.dtype)
        is_right = tf.cast(y_true, tf.float64) == tf.cast(says_1, tf.float64)
        nan = tf.constant(NAN, tf.float64)
        return tf.where(tf.math.is_nan(y_pred), nan, tf.cast(is_right, tf.float64))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "threshold": self.threshold}
