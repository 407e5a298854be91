"""The losses of several predictions for each label, from their definitions."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from masklstm.reference.elements import pinball
from masklstm.reference.registry import loss_with_channels

_LOG_2_PI = 1.8378770664093453


def _or_nan(is_inside: tf.Tensor, x: tf.Tensor) -> tf.Tensor:
    """Outside of its domain there is no distribution."""
    return tf.where(is_inside, x, tf.constant(float("nan"), x.dtype))


def _positive(x: tf.Tensor) -> tf.Tensor:
    return _or_nan(x > 0, x)


def _not_negative(x: tf.Tensor) -> tf.Tensor:
    return _or_nan(x >= 0, x)


@loss_with_channels(2)
def gaussian_nll(y_true: tf.Tensor, mean: tf.Tensor, scale: tf.Tensor) -> tf.Tensor:
    variance = tf.square(_positive(scale))
    return 0.5 * (_LOG_2_PI + tf.math.log(variance) + tf.square(y_true - mean) / variance)


@loss_with_channels(2)
def laplace_nll(y_true: tf.Tensor, location: tf.Tensor, scale: tf.Tensor) -> tf.Tensor:
    return tf.math.log(2 * _positive(scale)) + tf.abs(y_true - location) / scale


@loss_with_channels(3)
def student_t_nll(
    y_true: tf.Tensor, location: tf.Tensor, scale: tf.Tensor, degrees: tf.Tensor
) -> tf.Tensor:
    n = _positive(degrees)
    z = (y_true - location) / _positive(scale)
    normalizer = tf.math.lgamma((n + 1) / 2) - tf.math.lgamma(n / 2)
    log_of_root = 0.5 * tf.math.log(n * np.pi)
    return log_of_root + tf.math.log(scale) - normalizer + (n + 1) / 2 * tf.math.log1p(z * z / n)


@loss_with_channels(3)
def asymmetric_laplace_nll(
    y_true: tf.Tensor, location: tf.Tensor, scale: tf.Tensor, asymmetry: tf.Tensor
) -> tf.Tensor:
    above = tf.nn.relu(y_true - location)
    below = tf.nn.relu(location - y_true)
    rest = _positive(1 - asymmetry)
    distance = (_positive(asymmetry) * above + rest * below) / _positive(scale)
    return tf.math.log(scale / (asymmetry * rest)) + distance


@loss_with_channels(2)
def lognormal_nll(y_true: tf.Tensor, location: tf.Tensor, scale: tf.Tensor) -> tf.Tensor:
    log_label = tf.math.log(_positive(y_true))
    return log_label + gaussian_nll(log_label, location, scale)


@loss_with_channels(2)
def gamma_nll(y_true: tf.Tensor, concentration: tf.Tensor, rate: tf.Tensor) -> tf.Tensor:
    a, b, t = _positive(concentration), _positive(rate), _positive(y_true)
    return tf.math.lgamma(a) - a * tf.math.log(b) - (a - 1) * tf.math.log(t) + b * t


@loss_with_channels(2)
def beta_nll(y_true: tf.Tensor, concentration1: tf.Tensor, concentration0: tf.Tensor) -> tf.Tensor:
    a, b = _positive(concentration1), _positive(concentration0)
    log_beta = tf.math.lgamma(a) + tf.math.lgamma(b) - tf.math.lgamma(a + b)
    t, rest = _positive(y_true), _positive(1 - y_true)
    return log_beta - (a - 1) * tf.math.log(t) - (b - 1) * tf.math.log(rest)


@loss_with_channels(2)
def negative_binomial_nll(y_true: tf.Tensor, mean: tf.Tensor, dispersion: tf.Tensor) -> tf.Tensor:
    t, m = _not_negative(y_true), _positive(mean)
    r = 1 / tf.maximum(_not_negative(dispersion), 1e-100)
    log_choices = tf.math.lgamma(t + r) - tf.math.lgamma(r) - tf.math.lgamma(t + 1)
    return -log_choices + r * tf.math.log1p(m / r) + t * (tf.math.log(r + m) - tf.math.log(m))


@loss_with_channels(1)
def poisson_nll(y_true: tf.Tensor, rate: tf.Tensor) -> tf.Tensor:
    t = _not_negative(y_true)
    return _not_negative(rate) - tf.math.xlogy(t, rate) + tf.math.lgamma(t + 1)


@loss_with_channels(1)
def bernoulli_nll(y_true: tf.Tensor, logit: tf.Tensor) -> tf.Tensor:
    t, rest = _not_negative(y_true), _not_negative(1 - y_true)
    return t * tf.math.softplus(-logit) + rest * tf.math.softplus(logit)


@loss_with_channels(1, power="(1, 2)")
def tweedie_deviance(y_true: tf.Tensor, mean: tf.Tensor, power: float = 1.5) -> tf.Tensor:
    t, m = _not_negative(y_true), _positive(mean)
    of_label = tf.pow(t, 2 - power) / ((1 - power) * (2 - power))
    of_both = t * tf.pow(m, 1 - power) / (1 - power)
    return 2 * (of_label - of_both + tf.pow(m, 2 - power) / (2 - power))


def _mixture(
    of_component: Callable[..., tf.Tensor], y_true: tf.Tensor, channels: Any, components: float
) -> tf.Tensor:
    number = int(components)
    logits, *of_family = (channels[i : i + number] for i in range(0, len(channels), number))
    logits = tf.stack(logits, -1)
    losses = [of_component(y_true, *parameters) for parameters in zip(*of_family, strict=True)]
    log_weights = tf.nn.log_softmax(logits)
    return -tf.reduce_logsumexp(log_weights - tf.stack(losses, -1), -1)


_COMPONENTS = "the whole numbers of [1, 32]"


@loss_with_channels(lambda components=2: int(components) * 3, components=_COMPONENTS)
def gaussian_mixture_nll(y_true: tf.Tensor, *channels: tf.Tensor, components: int = 2) -> tf.Tensor:
    return _mixture(gaussian_nll, y_true, channels, components)


@loss_with_channels(lambda components=2: int(components) * 3, components=_COMPONENTS)
def laplace_mixture_nll(y_true: tf.Tensor, *channels: tf.Tensor, components: int = 2) -> tf.Tensor:
    return _mixture(laplace_nll, y_true, channels, components)


@loss_with_channels(lambda components=2: int(components) * 4, components=_COMPONENTS)
def asymmetric_laplace_mixture_nll(
    y_true: tf.Tensor, *channels: tf.Tensor, components: int = 2
) -> tf.Tensor:
    return _mixture(asymmetric_laplace_nll, y_true, channels, components)


@loss_with_channels(lambda quantile=0.5: np.size(quantile), quantile="(0, 1)")
def pinball_set(
    y_true: tf.Tensor, *channels: tf.Tensor, quantile: float | Sequence[float] = 0.5
) -> tf.Tensor:
    levels = zip(channels, np.reshape(quantile, [-1]), strict=True)
    return tf.add_n([pinball(y_true, p, q) for p, q in levels]) / len(channels)


@loss_with_channels(2)
def gaussian_crps(y_true: tf.Tensor, mean: tf.Tensor, scale: tf.Tensor) -> tf.Tensor:
    s = _positive(scale)
    z = (y_true - mean) / s
    density = tf.exp(-0.5 * tf.square(z)) / np.sqrt(2 * np.pi)
    return s * (z * tf.math.erf(z / np.sqrt(2)) + 2 * density - 1 / np.sqrt(np.pi))
