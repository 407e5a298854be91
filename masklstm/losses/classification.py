"""Losses of binary classification."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from masklstm._core.arguments import Tensors
from masklstm._core.backend import ElementLoss
from masklstm._core.missing import NAN, is_observed
from masklstm._core.own_weights import along_axis, list_of_numbers, with_length
from masklstm._core.refusals import number_or_nan
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
        feature_weights: Sequence[float] | None,
        step_weights: Sequence[float] | None,
        **parameters: Any,
    ) -> None:
        if axis != -1:
            raise ValueError(
                "Invalid value for argument 'axis'. Expected -1: rows are those of the last axis. "
                f"Received: axis={axis!r}"
            )
        super().__init__(
            reduction,
            name,
            dtype,
            missing,
            balance,
            normalizer,
            feature_weights,
            step_weights,
            **parameters,
        )

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "axis": -1}


@keras.saving.register_keras_serializable(package="masklstm")
class BinaryCrossentropy(_BinaryLoss):
    """Mean of binary cross-entropies over the valid elements.

    Formula, with the probability c (`y_pred` clipped to `[epsilon, 1 - epsilon]`, or its sigmoid):
    `loss = mean(-v * y_true * log(c) - (1 - y_true) * log(1 - c))`, with the positive weight v, or
    1.

    Args:
        from_logits: Whether `y_pred` is the logarithm of the odds instead of a probability. True is
            more exact, since nothing has to be clipped.
        label_smoothing: Between 0 and 1; labels are pulled towards 1/2 by this share.
        axis: Only -1.
        reduction, name, dtype, missing, balance, normalizer, feature_weights, step_weights: As for
            `masklstm.losses.MeanSquaredError`.
        pos_weight: Weight v of the positive labels, a number above 0 or one for each entry of the
            last axis. It counts as a sample weight of `1 + (v - 1) * y_true` would: v for a label 1
            and 1 for a label 0. So a mean divides by the number of labels, and
            `"mean_with_sample_weight"` by the sum of these weights. Labels in between, smoothed
            ones too, have both terms, as in the formula.

    Raises:
        ValueError: For a `label_smoothing` outside of [0, 1], another axis, a `pos_weight` that is
            not above 0 or has not as many numbers as the last axis, or an invalid option.

    Example:

    >>> import masklstm
    >>> loss = masklstm.losses.BinaryCrossentropy(from_logits=True)
    >>> round(float(loss([[1.0], [float("nan")]], [[0.0], [5.0]])), 5)
    0.69315

    Source: `keras.losses.BinaryCrossentropy`; `pos_weight` is that of
    `torch.nn.BCEWithLogitsLoss`.
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
        feature_weights: Sequence[float] | None = None,
        step_weights: Sequence[float] | None = None,
        pos_weight: float | Sequence[float] | None = None,
    ) -> None:
        self.pos_weight = _standardize_pos_weight(pos_weight)
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
            feature_weights,
            step_weights,
            label_smoothing=label_smoothing,
        )

    def _standardized(
        self, y_true: Any, y_pred: Any, sample_weight: Any = None
    ) -> tuple[Tensors, ElementLoss]:
        tensors, loss = super()._standardized(y_true, y_pred, sample_weight)
        if self.pos_weight is None:
            return tensors, loss
        smoothing = loss.parameters["label_smoothing"]
        tensors = _with_pos_weight(tensors, self.pos_weight, smoothing)
        return tensors, loss._replace(parameters={**loss.parameters, "label_smoothing": 0.0})

    def get_config(self) -> dict[str, Any]:
        config = {**super().get_config(), "from_logits": self.from_logits}
        if self.pos_weight is not None:
            config["pos_weight"] = self.pos_weight
        return config


def _standardize_pos_weight(pos_weight: Any) -> float | list[float] | None:
    if pos_weight is None:
        return None
    is_scalar = np.ndim(pos_weight) == 0 and not isinstance(pos_weight, (bool, np.bool_))
    numbers = [number_or_nan(pos_weight)] if is_scalar else list_of_numbers(pos_weight)
    if not (numbers and all(0 < number < float("inf") for number in numbers)):
        raise ValueError(
            "Invalid value for argument 'pos_weight'. Expected a number in (0, inf), a list of "
            f"them for the entries of the last axis, or None. Received: pos_weight={pos_weight!r}"
        )
    return numbers[0] if is_scalar else numbers


def _with_pos_weight(
    tensors: Tensors, pos_weight: float | list[float], smoothing: float
) -> Tensors:
    """The tensors of the plain cross-entropy that are those of the weighted one.

    With w = 1 + (v - 1) t, which is v t + (1 - t):

        -v t log(c) - (1 - t) log(1 - c)  =  w (-t' log(c) - (1 - t') log(1 - c)),   t' = v t / w

    and t' is t for the labels 0 and 1.
    """
    y_true, dtype = tensors.y_true, tensors.computing_dtype
    valid = is_observed(y_true, tensors.missing)
    factor: Any = pos_weight
    if isinstance(pos_weight, list):
        shape = y_true.shape.merge_with(tensors.y_pred.shape)
        factor = along_axis("pos_weight", pos_weight, shape)
        y_true = with_length(y_true, pos_weight)
    positive = tf.constant(factor, dtype)
    label = tf.where(valid, tf.cast(y_true, dtype), tf.zeros([], dtype))
    label = label * (1 - smoothing) + smoothing / 2
    weight = 1 + (positive - 1) * label
    # An infinite label, which is data, must not turn into NaN, which is none.
    label = tf.where(tf.math.is_finite(label), positive * label / weight, label)
    label = tf.where(valid, label, tf.constant(NAN, dtype))
    if tensors.own_weight is not None:
        weight *= tensors.own_weight
    return tensors._replace(y_true=label, missing="nan", own_weight=weight)


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
        reduction, name, dtype, missing, balance, normalizer, feature_weights, step_weights: As for
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
        feature_weights: Sequence[float] | None = None,
        step_weights: Sequence[float] | None = None,
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
            feature_weights,
            step_weights,
            apply_class_balancing=apply_class_balancing,
            alpha=alpha,
            gamma=gamma,
            label_smoothing=label_smoothing,
        )

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "from_logits": self.from_logits}
