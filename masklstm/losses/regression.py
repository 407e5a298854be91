"""Losses of regression. `MeanSquaredError` says what all of them have in common."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from masklstm._core.missing import NAN
from masklstm.losses.base import ElementwiseLoss


@keras.saving.register_keras_serializable(package="masklstm")
class MeanSquaredError(ElementwiseLoss):
    """Mean of squared errors over the valid elements.

    Formula: `loss = mean((y_pred - y_true)^2)`

    Args:
        reduction: `"sum_over_batch_size"` or `"mean"` (the default: divide by the number of valid
            elements), `"mean_with_sample_weight"` (divide by their weights), `"sum"` (of the row
            means), `"none"` or `None` (the row means).
        name: Name of the loss.
        dtype: Type of the computation and of the result; `keras.backend.floatx()` by default.
        missing: A number that means "no label" in addition to NaN, or `"nonfinite"`.
        balance: `"sample"`, `"timestep"` or `"feature"`: those that have a label count equally,
            however many gaps they have.
        normalizer: A number to divide by instead of the mean's own divisor. For gradients that are
            accumulated over several batches: the number of their valid labels, divided by the
            number of batches if the optimizer averages, as Keras's do with
            `gradient_accumulation_steps` (docs/losses.md has the details).
        feature_weights: A number for each entry of the last axis, 0 or above: exactly a
            `sample_weight` of shape `(1, ..., 1, features)`, which multiplies others.
        step_weights: A number for each entry of the second axis, 0 or above: exactly a
            `sample_weight` of shape `(1, steps, 1, ..., 1)`, which multiplies others.

    Raises:
        ValueError: For an unknown reduction or balance, a `missing` that is neither a number nor
            `"nonfinite"`, a `normalizer` that is not above 0, weights that are no such numbers or,
            when the loss is called, not as many as the axis has entries.

    Example:

    >>> import masklstm
    >>> loss = masklstm.losses.MeanSquaredError()
    >>> float(loss([[1.0], [float("nan")], [3.0]], [[2.0], [5.0], [5.0]]))
    2.5

    Source: `keras.losses.MeanSquaredError`.
    """

    loss = "squared_error"

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str = "mean_squared_error",
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


@keras.saving.register_keras_serializable(package="masklstm")
class MeanAbsoluteError(ElementwiseLoss):
    """Mean of absolute errors over the valid elements.

    Formula: `loss = mean(abs(y_pred - y_true))`. The gradient is 0 where they are equal.

    Args:
        reduction, name, dtype, missing, balance, normalizer, feature_weights, step_weights: As for
            `masklstm.losses.MeanSquaredError`.

    Raises:
        ValueError: For an invalid option.

    Example:

    >>> import masklstm
    >>> loss = masklstm.losses.MeanAbsoluteError()
    >>> float(loss([[1.0], [float("nan")], [3.0]], [[2.0], [5.0], [5.0]]))
    1.5

    Source: `keras.losses.MeanAbsoluteError`.
    """

    loss = "absolute_error"

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str = "mean_absolute_error",
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


@keras.saving.register_keras_serializable(package="masklstm")
class Huber(ElementwiseLoss):
    """Mean of Huber losses over the valid elements: squared for small errors, linear for large.

    Formula, with `e = y_pred - y_true`: `e^2 / 2` where `abs(e) <= delta`, else
    `delta * (abs(e) - delta / 2)`.

    Args:
        delta: Where the loss changes from quadratic to linear; a number above 0.
        reduction, name, dtype, missing, balance, normalizer, feature_weights, step_weights: As for
            `masklstm.losses.MeanSquaredError`.

    Raises:
        ValueError: For a `delta` that is not above 0, or an invalid option.

    Example:

    >>> import masklstm
    >>> loss = masklstm.losses.Huber(delta=1.0)
    >>> float(loss([[1.0], [float("nan")], [3.0]], [[2.0], [5.0], [5.0]]))
    1.0

    Source: `keras.losses.Huber`; P. J. Huber, "Robust Estimation of a Location Parameter", 1964.
    """

    loss = "huber"

    def __init__(
        self,
        delta: float = 1.0,
        reduction: str | None = "sum_over_batch_size",
        name: str = "huber_loss",
        dtype: Any = None,
        *,
        missing: Any = NAN,
        balance: str | None = None,
        normalizer: float | None = None,
        feature_weights: Sequence[float] | None = None,
        step_weights: Sequence[float] | None = None,
    ) -> None:
        super().__init__(
            reduction,
            name,
            dtype,
            missing,
            balance,
            normalizer,
            feature_weights,
            step_weights,
            delta=delta,
        )


@keras.saving.register_keras_serializable(package="masklstm")
class LogCosh(ElementwiseLoss):
    """Mean of log(cosh(error)) over the valid elements: like a Huber loss, but smooth.

    Formula: `loss = mean(log(cosh(y_pred - y_true)))`, computed so that neither small nor large
    errors lose digits.

    Args:
        reduction, name, dtype, missing, balance, normalizer, feature_weights, step_weights: As for
            `masklstm.losses.MeanSquaredError`.

    Raises:
        ValueError: For an invalid option.

    Example:

    >>> import masklstm
    >>> loss = masklstm.losses.LogCosh()
    >>> round(float(loss([[1.0], [float("nan")]], [[2.0], [5.0]])), 5)
    0.43378

    Source: `keras.losses.LogCosh`.
    """

    loss = "log_cosh"

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str = "log_cosh",
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


@keras.saving.register_keras_serializable(package="masklstm")
class MeanAbsolutePercentageError(ElementwiseLoss):
    """Mean of absolute errors in percent of the label, over the valid elements.

    Formula: `loss = 100 * mean(abs(y_pred - y_true) / max(abs(y_true), epsilon))` with
    `keras.config.epsilon()`, read when the loss is called.

    Args:
        reduction, name, dtype, missing, balance, normalizer, feature_weights, step_weights: As for
            `masklstm.losses.MeanSquaredError`.

    Raises:
        ValueError: For an invalid option.

    Example:

    >>> import masklstm
    >>> loss = masklstm.losses.MeanAbsolutePercentageError()
    >>> float(loss([[2.0], [float("nan")]], [[3.0], [5.0]]))
    50.0

    Source: `keras.losses.MeanAbsolutePercentageError`.
    """

    loss = "absolute_percentage_error"

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str = "mean_absolute_percentage_error",
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


@keras.saving.register_keras_serializable(package="masklstm")
class MeanSquaredLogarithmicError(ElementwiseLoss):
    """Mean of squared differences of logarithms over the valid elements.

    Formula: `loss = mean((log(1 + y_pred) - log(1 + y_true))^2)`, both at least
    `keras.config.epsilon()`, read when the loss is called.

    Args:
        reduction, name, dtype, missing, balance, normalizer, feature_weights, step_weights: As for
            `masklstm.losses.MeanSquaredError`.

    Raises:
        ValueError: For an invalid option.

    Example:

    >>> import masklstm
    >>> loss = masklstm.losses.MeanSquaredLogarithmicError()
    >>> round(float(loss([[0.0], [float("nan")]], [[1.0], [5.0]])), 5)
    0.48045

    Source: `keras.losses.MeanSquaredLogarithmicError`.
    """

    loss = "squared_logarithmic_error"

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str = "mean_squared_logarithmic_error",
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


@keras.saving.register_keras_serializable(package="masklstm")
class Poisson(ElementwiseLoss):
    """Mean of the Poisson losses over the valid elements.

    Formula: `loss = mean(y_pred - y_true * log(y_pred + epsilon))` with `keras.config.epsilon()`,
    read when the loss is called.

    Args:
        reduction, name, dtype, missing, balance, normalizer, feature_weights, step_weights: As for
            `masklstm.losses.MeanSquaredError`.

    Raises:
        ValueError: For an invalid option.

    Example:

    >>> import masklstm
    >>> loss = masklstm.losses.Poisson()
    >>> round(float(loss([[1.0], [float("nan")]], [[2.0], [5.0]])), 5)
    1.30685

    Source: `keras.losses.Poisson`.
    """

    loss = "poisson"

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str = "poisson",
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


@keras.saving.register_keras_serializable(package="masklstm")
class Pinball(ElementwiseLoss):
    """Mean of the pinball (quantile) losses over the valid elements.

    Formula, with `d = y_true - y_pred`: `loss = mean(max(quantile * d, (quantile - 1) * d))`. Its
    minimum is the quantile of the labels. Of several quantiles it is the mean of their losses.

    Args:
        quantile: The quantile to predict, between 0 and 1 exclusive; 0.5 predicts the median. Or a
            sequence of up to 128 of them: `y_pred` then has a last axis with a prediction for each.
        reduction, name, dtype, missing, balance, normalizer, feature_weights, step_weights: As for
            `masklstm.losses.MeanSquaredError`.

    Raises:
        ValueError: For a `quantile` outside of (0, 1), or an invalid option.

    Example:

    >>> import masklstm
    >>> loss = masklstm.losses.Pinball(quantile=0.75)
    >>> float(loss([[1.0], [float("nan")]], [[3.0], [5.0]]))
    0.5
    >>> loss = masklstm.losses.Pinball(quantile=[0.25, 0.75])  # the middle half
    >>> float(loss([[1.0], [float("nan")]], [[[0.0, 3.0]], [[5.0, 5.0]]]))
    0.375

    Source: R. Koenker, G. Bassett, "Regression Quantiles", 1978; not in `keras.losses`.
    """

    loss = "pinball"
    loss_of_several = "pinball_set"

    def __init__(
        self,
        quantile: float | Sequence[float] = 0.5,
        reduction: str | None = "sum_over_batch_size",
        name: str = "pinball",
        dtype: Any = None,
        *,
        missing: Any = NAN,
        balance: str | None = None,
        normalizer: float | None = None,
        feature_weights: Sequence[float] | None = None,
        step_weights: Sequence[float] | None = None,
    ) -> None:
        if np.ndim(quantile) == 1:
            self.loss = self.loss_of_several
            quantile = [float(level) for level in quantile]  # type: ignore[union-attr]
        super().__init__(
            reduction,
            name,
            dtype,
            missing,
            balance,
            normalizer,
            feature_weights,
            step_weights,
            quantile=quantile,
        )
