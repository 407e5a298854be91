"""Families of labels that are whole numbers."""

import math
from collections.abc import Sequence

import tensorflow as tf

from masklstm.distributions import incomplete_gamma
from masklstm.distributions.family import NAN, Family, log_gamma, positive, real, uniform
from masklstm.distributions.inversion import smallest_integer


class Counts(Family):
    """Base of the families of the numbers 0, 1, 2, ..."""

    support = "[0, inf)"
    is_discrete = True

    def cdf_of_count(self, k: tf.Tensor, *parameters: tf.Tensor) -> tf.Tensor:
        """For whole numbers from 0 on."""
        raise NotImplementedError

    def survival_of_count(self, k: tf.Tensor, *parameters: tf.Tensor) -> tf.Tensor:
        raise NotImplementedError

    def cdf(self, t: tf.Tensor, *parameters: tf.Tensor) -> tf.Tensor:
        value = self.cdf_of_count(tf.math.floor(tf.maximum(t, 0.0)), *parameters)
        return tf.where(t < 0, 0.0 * value, value)

    def survival(self, t: tf.Tensor, *parameters: tf.Tensor) -> tf.Tensor:
        value = self.survival_of_count(tf.math.floor(tf.maximum(t, 0.0)), *parameters)
        return tf.where(t < 0, 1.0 + 0.0 * value, value)

    def quantile(self, q: tf.Tensor, *parameters: tf.Tensor) -> tf.Tensor:
        mean, variance = self.mean(*parameters), self.variance(*parameters)
        q = q + tf.zeros_like(mean)

        def reaches(k: tf.Tensor) -> tf.Tensor:
            below, above = self.cdf(k, *parameters), self.survival(k, *parameters)
            # What is NaN is none of the loop's business.
            return tf.where(q <= 0.5, below >= q, above <= 1.0 - q) | tf.math.is_nan(below + q)

        k = smallest_integer(reaches, mean + 8.0 * tf.sqrt(variance))
        k = tf.where(q == 1, math.inf * tf.ones_like(k), k)
        return tf.where(tf.math.is_nan(mean + variance + q), NAN * tf.ones_like(k), k)


class Poisson(Counts):
    name = "poisson"
    parameters = (positive("rate"),)

    def mean(self, *parameters: tf.Tensor) -> tf.Tensor:
        return parameters[0]

    def variance(self, *parameters: tf.Tensor) -> tf.Tensor:
        return parameters[0]

    def cdf_of_count(self, k: tf.Tensor, *parameters: tf.Tensor) -> tf.Tensor:
        (rate,) = parameters
        return incomplete_gamma.upper(k + 1.0 + tf.zeros_like(rate), rate + tf.zeros_like(k))

    def survival_of_count(self, k: tf.Tensor, *parameters: tf.Tensor) -> tf.Tensor:
        (rate,) = parameters
        return incomplete_gamma.lower(k + 1.0 + tf.zeros_like(rate), rate + tf.zeros_like(k))

    def draw(
        self, shape: tf.Tensor, seeds: Sequence[tf.Tensor], *parameters: tf.Tensor
    ) -> tf.Tensor:
        (rate,) = parameters
        return _poisson(shape, seeds[0], tf.broadcast_to(rate, shape))


class NegativeBinomial(Counts):
    """A Poisson whose rate has a gamma distribution of concentration n = 1 / dispersion."""

    name = "negative_binomial"
    parameters = (positive("mean"), positive("dispersion"))

    def mean(self, *parameters: tf.Tensor) -> tf.Tensor:
        mean, dispersion = parameters
        return mean + 0.0 * dispersion

    def variance(self, *parameters: tf.Tensor) -> tf.Tensor:
        mean, dispersion = parameters
        return mean + dispersion * mean * mean

    def cdf_of_count(self, k: tf.Tensor, *parameters: tf.Tensor) -> tf.Tensor:
        mean, dispersion = parameters
        zero = 0.0 * mean * dispersion + tf.zeros_like(k)
        share = 1.0 / (1.0 + mean * dispersion)
        return tf.math.betainc(1.0 / dispersion + zero, k + 1.0 + zero, share + zero)

    def survival_of_count(self, k: tf.Tensor, *parameters: tf.Tensor) -> tf.Tensor:
        mean, dispersion = parameters
        zero = 0.0 * mean * dispersion + tf.zeros_like(k)
        rest = mean * dispersion / (1.0 + mean * dispersion)
        return tf.math.betainc(k + 1.0 + zero, 1.0 / dispersion + zero, rest + zero)

    def draw(
        self, shape: tf.Tensor, seeds: Sequence[tf.Tensor], *parameters: tf.Tensor
    ) -> tf.Tensor:
        mean, dispersion = parameters
        rate = tf.exp(log_gamma(shape, seeds[1:], 1.0 / dispersion)) * dispersion * mean
        return _poisson(shape, seeds[0], rate)


class Bernoulli(Family):
    name = "bernoulli"
    parameters = (real("logit"),)
    support = "[0, 1]"
    is_discrete = True

    def mean(self, *parameters: tf.Tensor) -> tf.Tensor:
        return tf.math.sigmoid(parameters[0])

    def variance(self, *parameters: tf.Tensor) -> tf.Tensor:
        (logit,) = parameters
        return tf.math.sigmoid(logit) * tf.math.sigmoid(-logit)

    def cdf(self, t: tf.Tensor, *parameters: tf.Tensor) -> tf.Tensor:
        return self._of_steps(t, tf.math.sigmoid(-parameters[0]), 0.0)

    def survival(self, t: tf.Tensor, *parameters: tf.Tensor) -> tf.Tensor:
        return self._of_steps(t, tf.math.sigmoid(parameters[0]), 1.0)

    def _of_steps(self, t: tf.Tensor, between: tf.Tensor, below: float) -> tf.Tensor:
        """A number below 0, between 0 and 1, and from there on; NaN stays."""
        between = between + tf.zeros_like(t)
        nothing = 0.0 * (between + t)
        value = tf.where(t < 0, below + nothing, between + nothing)
        return tf.where(t >= 1, 1.0 - below + nothing, value)

    def quantile(self, q: tf.Tensor, *parameters: tf.Tensor) -> tf.Tensor:
        (logit,) = parameters
        is_one = tf.where(q <= 0.5, q > tf.math.sigmoid(-logit), 1.0 - q < tf.math.sigmoid(logit))
        return tf.cast(is_one, tf.float64) + 0.0 * (q + logit)

    def draw(
        self, shape: tf.Tensor, seeds: Sequence[tf.Tensor], *parameters: tf.Tensor
    ) -> tf.Tensor:
        (logit,) = parameters
        return tf.cast(uniform(shape, seeds[0]) < tf.math.sigmoid(logit), tf.float64) + 0.0 * logit


def _poisson(shape: tf.Tensor, seed: tf.Tensor, rate: tf.Tensor) -> tf.Tensor:
    """Poisson variates. TensorFlow's op does not come back from a rate that is not finite."""
    is_finite = tf.math.is_finite(rate)
    drawn = tf.random.stateless_poisson(
        shape, seed, tf.where(is_finite, rate, tf.ones_like(rate)), tf.float64
    )
    return tf.where(is_finite, drawn, rate)
