"""The continuous ranked probability score of a normal distribution, or of an ensemble."""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from masklstm._core.arguments import Tensors, predictions_to_tensor
from masklstm._core.backend import ElementLoss
from masklstm._core.keras_compat import get_keras_mask
from masklstm._core.missing import NAN
from masklstm._core.refusals import unknown_name
from masklstm.distributions import ensembles
from masklstm.losses.base import ElementwiseLoss

_DISTRIBUTIONS = ("gaussian", "ensemble")


@keras.saving.register_keras_serializable(package="masklstm")
class CRPS(ElementwiseLoss):
    """Mean of the continuous ranked probability scores at the valid labels, in the labels' unit.

    Formula for `"gaussian"`, with z = (y_true - mean) / scale, F and f the standard normal
    distribution function and density: `scale (z (2 F(z) - 1) + 2 f(z) - 1 / sqrt(pi))`; for
    `"ensemble"`, with members x and x': `mean(abs(x - y_true)) - mean(abs(x - x')) / 2`, the second
    mean over all pairs. Of a distribution that is one number both are the absolute error.

    Args:
        distribution: `"gaussian"`: the last axis of `y_pred` has mean and scale, as of
            `masklstm.layers.Distribution("gaussian")`. `"ensemble"`: it has the members, in any
            order; TensorFlow's ops compute their scores. Members that are equal, to each other
            or to the label, have no slope against each other.
        reduction, name, dtype, missing, balance, normalizer, feature_weights, step_weights: As for
            `masklstm.losses.MeanSquaredError`.

    Call arguments:
        y_true: Labels, shape `(batch, ..., features)`; NaN means missing.
        y_pred: Shape `(batch, ..., features, channels)`. The features' axis may be missing in
            either where there is only one.
        sample_weight: Weights, aligned with the labels from the left.

    Raises:
        ValueError: For an unknown distribution or an invalid option.

    Example:

    >>> import masklstm
    >>> loss = masklstm.losses.CRPS("gaussian")
    >>> round(float(loss([[1.0], [float("nan")]], [[[1.0, 2.0]], [[5.0, 1.0]]])), 5)
    0.46739
    >>> loss = masklstm.losses.CRPS("ensemble")
    >>> float(loss([[1.0], [float("nan")]], [[[0.0, 1.0, 5.0, 2.0]], [[5.0, 1.0, 2.0, 3.0]]]))
    0.5

    Source: T. Gneiting, A. Raftery, "Strictly Proper Scoring Rules, Prediction, and Estimation",
    2007, equations 5 and 21.
    """

    loss = "gaussian_crps"

    def __init__(
        self,
        distribution: str = "gaussian",
        reduction: str | None = "sum_over_batch_size",
        name: str = "crps",
        dtype: Any = None,
        *,
        missing: Any = NAN,
        balance: str | None = None,
        normalizer: float | None = None,
        feature_weights: Sequence[float] | None = None,
        step_weights: Sequence[float] | None = None,
    ) -> None:
        if distribution not in _DISTRIBUTIONS:
            raise unknown_name("distribution", distribution, _DISTRIBUTIONS)
        self.distribution = distribution
        super().__init__(
            reduction,
            name,
            dtype,
            missing,
            balance,
            normalizer,
            feature_weights,
            step_weights,
        )

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "distribution": self.distribution}

    def _standardized(
        self, y_true: Any, y_pred: Any, sample_weight: Any = None
    ) -> tuple[Tensors, ElementLoss]:
        if self.distribution == "gaussian":
            return super()._standardized(y_true, y_pred, sample_weight)
        mask = get_keras_mask(y_pred)
        y_pred = predictions_to_tensor(y_pred)
        members = y_pred.shape[-1] if y_pred.shape.rank else None
        if not members:
            raise ValueError(
                "Expected y_pred to have a last axis of a known number of members. "
                f"Received: y_pred with shape {y_pred.shape}"
            )
        tensors = self._tensors(y_true, y_pred, sample_weight, mask, members)
        valid = tensors.valid()
        scores = tf.cast(_scores(tensors, valid), tensors.computing_dtype)
        # The scores are not negative: they are their own absolute errors from 0, which the op
        # reduces like any other.
        labels = tf.where(valid, tf.zeros_like(scores), tf.constant(NAN, scores.dtype))
        reduced = tensors._replace(y_true=labels, y_pred=scores, mask=None, missing="nan")
        return reduced, ElementLoss("absolute_error", {})


def _scores(tensors: Tensors, valid: tf.Tensor) -> tf.Tensor:
    """Of each label, in float64; what must not count is replaced before."""

    def where_valid(valid: tf.Tensor, x: tf.Tensor) -> tf.Tensor:
        x = tf.cast(x, tf.float64)
        return tf.where(valid, x, tf.zeros_like(x))

    label = where_valid(valid, tensors.y_true)[..., tf.newaxis]
    members = where_valid(valid[..., tf.newaxis], tensors.y_pred)
    return ensembles.crps(members - label)
