"""Losses of binary classification."""

from typing import Any

import keras

from masklstm._core.missing import NAN
from masklstm.losses.base import ElementwiseLoss


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
