"""Keras losses that skip missing labels. Names and arguments are those of `keras.losses`.

Every class takes three more keyword arguments than Keras's: `missing`, a number that means "no
label" in addition to NaN (a sentinel such as -999), or `"nonfinite"` to skip infinite labels too;
`balance` and `normalizer`, which change what a mean is taken over: see `masklstm.ops.masked_loss`.
`Masked` makes any other Keras loss skip what has no label; `Sum` adds up several losses of one
output.

With no missing label the numbers are Keras's. With gaps, a mean is one mean over all valid
elements: those whose label is not missing and whose Keras mask, if the predictions carry one, is
True. Under `tf.distribute` it is the mean over the valid elements of the whole global batch.
"""

from typing import TYPE_CHECKING, Any

import keras

from masklstm import _names
from masklstm._loss_bases import NAN, ElementwiseLoss
from masklstm._masked import Masked
from masklstm._weighted_sum import Sum

__all__ = [
    "BinaryCrossentropy",
    "BinaryFocalCrossentropy",
    "Huber",
    "LogCosh",
    "Masked",
    "MeanAbsoluteError",
    "MeanAbsolutePercentageError",
    "MeanSquaredError",
    "MeanSquaredLogarithmicError",
    "Pinball",
    "Poisson",
    "Sum",
]


if not TYPE_CHECKING:  # a checker would take any name for one that there is

    def __getattr__(name: str) -> Any:
        raise _names.unknown_name(__name__, name)


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

    Raises:
        ValueError: For an unknown reduction or balance, a `missing` that is neither a number nor
            `"nonfinite"`, a `normalizer` that is not above 0.

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
    ) -> None:
        super().__init__(reduction, name, dtype, missing, balance, normalizer)


@keras.saving.register_keras_serializable(package="masklstm")
class MeanAbsoluteError(ElementwiseLoss):
    """Mean of absolute errors over the valid elements.

    Formula: `loss = mean(abs(y_pred - y_true))`. The gradient is 0 where they are equal.

    Args:
        reduction, name, dtype, missing, balance, normalizer: As for
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
    ) -> None:
        super().__init__(reduction, name, dtype, missing, balance, normalizer)


@keras.saving.register_keras_serializable(package="masklstm")
class Huber(ElementwiseLoss):
    """Mean of Huber losses over the valid elements: squared for small errors, linear for large.

    Formula, with `e = y_pred - y_true`: `e^2 / 2` where `abs(e) <= delta`, else
    `delta * (abs(e) - delta / 2)`.

    Args:
        delta: Where the loss changes from quadratic to linear; a number above 0.
        reduction, name, dtype, missing, balance, normalizer: As for
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
    ) -> None:
        super().__init__(reduction, name, dtype, missing, balance, normalizer, delta=delta)


@keras.saving.register_keras_serializable(package="masklstm")
class LogCosh(ElementwiseLoss):
    """Mean of log(cosh(error)) over the valid elements: like a Huber loss, but smooth.

    Formula: `loss = mean(log(cosh(y_pred - y_true)))`, computed so that neither small nor large
    errors lose digits.

    Args:
        reduction, name, dtype, missing, balance, normalizer: As for
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
    ) -> None:
        super().__init__(reduction, name, dtype, missing, balance, normalizer)


@keras.saving.register_keras_serializable(package="masklstm")
class MeanAbsolutePercentageError(ElementwiseLoss):
    """Mean of absolute errors in percent of the label, over the valid elements.

    Formula: `loss = 100 * mean(abs(y_pred - y_true) / max(abs(y_true), epsilon))` with
    `keras.config.epsilon()`, read when the loss is called.

    Args:
        reduction, name, dtype, missing, balance, normalizer: As for
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
    ) -> None:
        super().__init__(reduction, name, dtype, missing, balance, normalizer)


@keras.saving.register_keras_serializable(package="masklstm")
class MeanSquaredLogarithmicError(ElementwiseLoss):
    """Mean of squared differences of logarithms over the valid elements.

    Formula: `loss = mean((log(1 + y_pred) - log(1 + y_true))^2)`, both at least
    `keras.config.epsilon()`, read when the loss is called.

    Args:
        reduction, name, dtype, missing, balance, normalizer: As for
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
    ) -> None:
        super().__init__(reduction, name, dtype, missing, balance, normalizer)


@keras.saving.register_keras_serializable(package="masklstm")
class Poisson(ElementwiseLoss):
    """Mean of the Poisson losses over the valid elements.

    Formula: `loss = mean(y_pred - y_true * log(y_pred + epsilon))` with `keras.config.epsilon()`,
    read when the loss is called.

    Args:
        reduction, name, dtype, missing, balance, normalizer: As for
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
    ) -> None:
        super().__init__(reduction, name, dtype, missing, balance, normalizer)


@keras.saving.register_keras_serializable(package="masklstm")
class Pinball(ElementwiseLoss):
    """Mean of the pinball (quantile) losses over the valid elements.

    Formula, with `d = y_true - y_pred`: `loss = mean(max(quantile * d, (quantile - 1) * d))`. Its
    minimum is the quantile of the labels.

    Args:
        quantile: The quantile to predict, between 0 and 1 exclusive; 0.5 predicts the median.
        reduction, name, dtype, missing, balance, normalizer: As for
            `masklstm.losses.MeanSquaredError`.

    Raises:
        ValueError: For a `quantile` outside of (0, 1), or an invalid option.

    Example:

    >>> import masklstm
    >>> loss = masklstm.losses.Pinball(quantile=0.75)
    >>> float(loss([[1.0], [float("nan")]], [[3.0], [5.0]]))
    0.5

    Source: R. Koenker, G. Bassett, "Regression Quantiles", 1978; not in `keras.losses`.
    """

    loss = "pinball"

    def __init__(
        self,
        quantile: float = 0.5,
        reduction: str | None = "sum_over_batch_size",
        name: str = "pinball",
        dtype: Any = None,
        *,
        missing: Any = NAN,
        balance: str | None = None,
        normalizer: float | None = None,
    ) -> None:
        super().__init__(reduction, name, dtype, missing, balance, normalizer, quantile=quantile)


class _BinaryLoss(ElementwiseLoss):
    """Base of the losses whose Keras classes have an `axis`, along which rows are averaged."""

    def __init__(
        self,
        axis: int,
        reduction: str | None,
        name: str,
        dtype: Any,
        missing: Any,
        balance: str | None,
        normalizer: float | None,
        **parameters: Any,
    ) -> None:
        if axis != -1:
            raise ValueError(
                "Invalid value for argument 'axis'. Expected -1: rows are those of the last axis. "
                f"Received: axis={axis!r}"
            )
        super().__init__(reduction, name, dtype, missing, balance, normalizer, **parameters)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "axis": -1}


@keras.saving.register_keras_serializable(package="masklstm")
class BinaryCrossentropy(_BinaryLoss):
    """Mean of binary cross-entropies over the valid elements.

    Formula, with the probability c (`y_pred` clipped to `[epsilon, 1 - epsilon]`, or its sigmoid):
    `loss = mean(-y_true * log(c) - (1 - y_true) * log(1 - c))`.

    Args:
        from_logits: Whether `y_pred` is the logarithm of the odds instead of a probability. True is
            more exact, since nothing has to be clipped.
        label_smoothing: Between 0 and 1; labels are pulled towards 1/2 by this share.
        axis: Only -1.
        reduction, name, dtype, missing, balance, normalizer: As for
            `masklstm.losses.MeanSquaredError`.

    Raises:
        ValueError: For a `label_smoothing` outside of [0, 1], another axis, or an invalid
            option.

    Example:

    >>> import masklstm
    >>> loss = masklstm.losses.BinaryCrossentropy(from_logits=True)
    >>> round(float(loss([[1.0], [float("nan")]], [[0.0], [5.0]])), 5)
    0.69315

    Source: `keras.losses.BinaryCrossentropy`.
    """

    loss = "binary_crossentropy"
    loss_from_logits = "binary_crossentropy_from_logits"

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str = "binary_crossentropy",
        dtype: Any = None,
        *,
        missing: Any = NAN,
        balance: str | None = None,
        normalizer: float | None = None,
    ) -> None:
        self.from_logits = from_logits
        if from_logits:
            self.loss = self.loss_from_logits
        super().__init__(
            axis,
            reduction,
            name,
            dtype,
            missing,
            balance,
            normalizer,
            label_smoothing=label_smoothing,
        )

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "from_logits": self.from_logits}


@keras.saving.register_keras_serializable(package="masklstm")
class BinaryFocalCrossentropy(_BinaryLoss):
    """Mean of focal binary cross-entropies over the valid elements.

    Formula, with the probability q of the wrong class, `y_true * (1 - c) + (1 - y_true) * c`, and c
    as for `masklstm.losses.BinaryCrossentropy`: `loss = mean(a * q^gamma * crossentropy)`. With
    class balancing, a is `y_true * alpha + (1 - y_true) * (1 - alpha)`, otherwise 1.

    Args:
        apply_class_balancing: Whether to weigh the classes.
        alpha: Weight of class 1, between 0 and 1.
        gamma: How strongly easy elements lose weight; at least 0.
        from_logits: Whether `y_pred` is the logarithm of the odds instead of a probability. True is
            more exact, since nothing has to be clipped.
        label_smoothing: Between 0 and 1; labels are pulled towards 1/2 by this share.
        axis: Only -1.
        reduction, name, dtype, missing, balance, normalizer: As for
            `masklstm.losses.MeanSquaredError`.

    Raises:
        ValueError: For a number outside of its domain, another axis, or an invalid
            option.

    Example:

    >>> import masklstm
    >>> loss = masklstm.losses.BinaryFocalCrossentropy(gamma=1.0)
    >>> round(float(loss([[1.0], [float("nan")]], [[0.5], [5.0]])), 5)
    0.34657

    Source: `keras.losses.BinaryFocalCrossentropy`; T.-Y. Lin and others, "Focal Loss for Dense
    Object Detection", 2017.
    """

    loss = "binary_focal_crossentropy"
    loss_from_logits = "binary_focal_crossentropy_from_logits"

    def __init__(
        self,
        apply_class_balancing: bool = False,
        alpha: float = 0.25,
        gamma: float = 2.0,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str = "binary_focal_crossentropy",
        dtype: Any = None,
        *,
        missing: Any = NAN,
        balance: str | None = None,
        normalizer: float | None = None,
    ) -> None:
        self.from_logits = from_logits
        if from_logits:
            self.loss = self.loss_from_logits
        super().__init__(
            axis,
            reduction,
            name,
            dtype,
            missing,
            balance,
            normalizer,
            apply_class_balancing=apply_class_balancing,
            alpha=alpha,
            gamma=gamma,
            label_smoothing=label_smoothing,
        )

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "from_logits": self.from_logits}
