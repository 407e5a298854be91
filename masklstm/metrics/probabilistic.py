"""Metrics of predicted distributions: several channels for each label."""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from masklstm._core.arguments import standardize_tensors
from masklstm._core.backend import ElementLoss
from masklstm._core.channels import split_channels
from masklstm._core.missing import NAN, is_observed
from masklstm._core.refusals import number_or_nan, out_of_domain, unknown_name
from masklstm._core.totals import MaskedSums
from masklstm.distributions import ensembles
from masklstm.distributions.catalogue import FAMILIES, find_distribution
from masklstm.metrics.means import MeanOverValid


class ChannelMetric(MeanOverValid):
    """Base of the means of a number, not negative, that is made of a label's channels."""

    channels: int | None = None
    """How many there are; None for any number."""

    def sums(self, y_true: Any, y_pred: tf.Tensor, sample_weight: Any, mask: Any) -> MaskedSums:
        tensors, channels = split_channels(y_true, y_pred, None, None, self.missing, self.channels)
        observed = is_observed(tensors.y_true, tensors.missing)
        labels = tf.cast(tensors.y_true, tf.float64)
        labels = tf.where(observed, labels, tf.ones_like(labels))
        values = self.values(labels, tf.cast(channels, tf.float64))
        # Values that are not negative are their own distance from 0.
        labels = tf.where(observed, tf.zeros_like(values), tf.constant(NAN, tf.float64))
        tensors = standardize_tensors(labels, values, sample_weight, mask, NAN)
        return self.sums_of(tensors, ElementLoss("absolute_error", {}))

    def values(self, y_true: tf.Tensor, channels: tf.Tensor) -> tf.Tensor:
        """One float64 for each element."""
        raise NotImplementedError


@keras.saving.register_keras_serializable(package="masklstm.metrics")
class Coverage(ChannelMetric):
    """Share of the valid labels within the central interval of their predicted distributions.

    Formula: `metric = sum(w * [lower <= y_true <= upper]) / sum(w)`, where lower and upper are the
    `(1 - level) / 2` and `(1 + level) / 2` quantiles. Of calibrated forecasts it is near `level`
    (above it for counts, whose intervals contain whole numbers).

    Args:
        level: The probability of the interval, between 0 and 1 exclusive.
        family: The family that the predictions are parameters of, as for
            `masklstm.distributions.quantile`. None: the predictions are quantiles, two or more in
            rising order, of which the first and the last are the ends of the interval; `level` then
            only says what to expect.
        components: The number of components of a mixture.
        name, dtype, class_aggregation, by, names, missing: As for
            `masklstm.metrics.MeanSquaredError`.

    Call arguments:
        y_true: Labels, shape `(batch, ..., features)`; NaN means missing.
        y_pred: Channels, shape `(batch, ..., features, k)`.
        sample_weight: Weights, aligned with the labels from the left.

    Raises:
        ValueError: For a `level` outside of (0, 1), an unknown family, a `missing` that is neither
            a number nor `"nonfinite"`.

    Example:

    >>> import masklstm
    >>> metric = masklstm.metrics.Coverage(0.9, family="gaussian")
    >>> metric.update_state([[1.0], [float("nan")], [2.0]], [[[0.0, 1.0]]] * 3)  # 1.64 is the end
    >>> float(metric.result())
    0.5

    Source: T. Gneiting, F. Balabdaoui, A. E. Raftery, "Probabilistic Forecasts, Calibration and
    Sharpness", 2007; not in `keras.metrics`.
    """

    direction = None  # both ways are worse

    def __init__(
        self,
        level: float = 0.9,
        family: str | None = None,
        components: int = 1,
        name: str = "coverage",
        dtype: Any = None,
        *,
        class_aggregation: str | None = "pooled",
        by: str | None = None,
        names: Sequence[Any] | None = None,
        missing: Any = NAN,
    ) -> None:
        super().__init__(name, dtype, missing, class_aggregation, by, names)
        if not 0 < number_or_nan(level) < 1:
            raise out_of_domain("level", "(0, 1)", level)
        self.level = float(level)
        self.family = family
        self.components = components
        self._distribution = None
        if family is not None:
            self._distribution = find_distribution(family, components)
            self.channels = self._distribution.channels

    def values(self, y_true: tf.Tensor, channels: tf.Tensor) -> tf.Tensor:
        if self._distribution is None:
            inside = (channels[..., 0] <= y_true) & (y_true <= channels[..., -1])
            is_nan = tf.reduce_any(tf.math.is_nan(channels), -1)
        else:
            # A label is above a quantile where its cdf is above the level: no search is needed.
            parameters = self._distribution.split(channels)
            below = self._distribution.cdf(y_true, *parameters)
            before = below
            if self._distribution.is_discrete:
                before = self._distribution.cdf(tf.math.ceil(y_true) - 1.0, *parameters)
            tail = 0.5 * (1.0 - self.level)
            inside = (below >= tail) & (before <= 1.0 - tail)
            is_nan = tf.math.is_nan(below)
        return tf.where(is_nan, tf.constant(NAN, tf.float64), tf.cast(inside, tf.float64))

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "level": self.level,
            "family": self.family,
            "components": self.components,
        }


_WITH_CRPS = tuple(name for name, family in FAMILIES.items() if family.has_crps)


@keras.saving.register_keras_serializable(package="masklstm.metrics")
class CRPS(ChannelMetric):
    """Mean of the continuous ranked probability scores over the valid elements.

    Formula: `metric = sum(w * integral((cdf(t) - [t >= y_true])^2)) / sum(w)`, in the labels' unit;
    of a forecast that is sure of one number it is the absolute error. With
    `z = (y_true - location) / scale`:

    - `"gaussian"`: `scale * (z * (2 Phi(z) - 1) + 2 phi(z) - 1 / sqrt(pi))`
    - `"laplace"`: `scale * (abs(z) + exp(-abs(z)) - 3 / 4)`
    - `"student_t"`: the form of A. Jordan, F. Krueger, S. Lerch, "Evaluating Probabilistic
      Forecasts with scoringRules", 2019; NaN for at most 1 degree of freedom.
    - `"ensemble"`: `mean(abs(x - y_true)) - mean(abs(x - x')) / 2` over the members x and x'.

    Other distributions are scored as ensembles, by samples of `masklstm.distributions.sample`.

    Args:
        family: One of these four: what the predictions are.
        name, dtype, class_aggregation, by, names, missing: As for
            `masklstm.metrics.MeanSquaredError`.

    Call arguments:
        y_true: Labels, shape `(batch, ..., features)`; NaN means missing.
        y_pred: Channels or members, shape `(batch, ..., features, k)`.
        sample_weight: Weights, aligned with the labels from the left.

    Raises:
        ValueError: For another family, a `missing` that is neither a number nor `"nonfinite"`.

    Example:

    >>> import masklstm
    >>> metric = masklstm.metrics.CRPS("ensemble")
    >>> metric.update_state([[1.0], [float("nan")]], [[[0.0, 4.0]], [[5.0, 5.0]]])
    >>> float(metric.result())  # (1 + 3) / 2 - 2 / 2
    1.0

    Source: T. Gneiting, A. E. Raftery, "Strictly Proper Scoring Rules, Prediction, and Estimation",
    2007; not in `keras.metrics`.
    """

    def __init__(
        self,
        family: str = "gaussian",
        name: str = "crps",
        dtype: Any = None,
        *,
        class_aggregation: str | None = "pooled",
        by: str | None = None,
        names: Sequence[Any] | None = None,
        missing: Any = NAN,
    ) -> None:
        super().__init__(name, dtype, missing, class_aggregation, by, names)
        if family != "ensemble" and family not in _WITH_CRPS:
            raise unknown_name("family", family, (*_WITH_CRPS, "ensemble"))
        self.family = family
        self.channels = None if family == "ensemble" else FAMILIES[family].channels

    def values(self, y_true: tf.Tensor, channels: tf.Tensor) -> tf.Tensor:
        if self.family == "ensemble":
            return ensembles.crps(channels - y_true[..., None])
        family = FAMILIES[self.family]
        return family.crps(y_true, *family.split(channels))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "family": self.family}
