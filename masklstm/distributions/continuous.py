"""Families of labels that are any real numbers, positive ones, or shares."""

import functools
import math
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from masklstm.distributions import incomplete_gamma
from masklstm.distributions.family import (
    NAN,
    Family,
    Parameter,
    log_gamma,
    normal,
    positive,
    real,
    uniform,
)
from masklstm.distributions.inversion import Function, find_root

_SQRT_HALF = math.sqrt(0.5)
_MOST = 708.0  # the exponentials of this number and of its negative are numbers


def _distance(cdf: tf.Tensor, survival: tf.Tensor, q: tf.Tensor, rest: tf.Tensor) -> tf.Tensor:
    """How far a cdf is above q, seen from the nearer end; `rest` is 1 - q, with all its digits."""
    return tf.where(q <= 0.5, cdf - q, rest - survival)


class LocationScale(Family):
    """Base of the families of location + scale * z, where z has a distribution of its own."""

    parameters: tuple[Parameter, ...] = (real("location"), positive("scale"))
    has_crps = True

    def standard_crps(self, z: tf.Tensor, *shape: tf.Tensor) -> tf.Tensor:
        raise NotImplementedError

    def standard_cdf(self, z: tf.Tensor, *shape: tf.Tensor) -> tf.Tensor:
        raise NotImplementedError

    def standard_survival(self, z: tf.Tensor, *shape: tf.Tensor) -> tf.Tensor:
        return self.standard_cdf(-z, *shape)

    def standard_quantile(self, q: tf.Tensor, *shape: tf.Tensor) -> tf.Tensor:
        raise NotImplementedError

    def standard_draw(
        self, shape: tf.Tensor, seeds: Sequence[tf.Tensor], *parameters: tf.Tensor
    ) -> tf.Tensor:
        return self.standard_quantile(uniform(shape, seeds[0]), *parameters)

    def mean(self, *parameters: tf.Tensor) -> tf.Tensor:
        location, scale = parameters
        return location + 0.0 * scale  # NaN where the scale is none

    def cdf(self, t: tf.Tensor, *parameters: tf.Tensor) -> tf.Tensor:
        location, scale, *shape = parameters
        return self.standard_cdf((t - location) / scale, *shape)

    def survival(self, t: tf.Tensor, *parameters: tf.Tensor) -> tf.Tensor:
        location, scale, *shape = parameters
        return self.standard_survival((t - location) / scale, *shape)

    def quantile(self, q: tf.Tensor, *parameters: tf.Tensor) -> tf.Tensor:
        location, scale, *shape = parameters
        return location + scale * self.standard_quantile(q, *shape)

    def crps(self, t: tf.Tensor, *parameters: tf.Tensor) -> tf.Tensor:
        location, scale, *shape = parameters
        return scale * self.standard_crps((t - location) / scale, *shape)

    def draw(
        self, shape: tf.Tensor, seeds: Sequence[tf.Tensor], *parameters: tf.Tensor
    ) -> tf.Tensor:
        location, scale, *others = parameters
        return location + scale * self.standard_draw(shape, seeds, *others)


class Gaussian(LocationScale):
    name = "gaussian"
    parameters = (real("mean"), positive("scale"))

    def variance(self, *parameters: tf.Tensor) -> tf.Tensor:
        location, scale = parameters
        return scale * scale + 0.0 * location

    def standard_cdf(self, z: tf.Tensor, *shape: tf.Tensor) -> tf.Tensor:
        return 0.5 * tf.math.erfc(-_SQRT_HALF * z)

    def standard_quantile(self, q: tf.Tensor, *shape: tf.Tensor) -> tf.Tensor:
        return tf.math.ndtri(q)

    def standard_crps(self, z: tf.Tensor, *shape: tf.Tensor) -> tf.Tensor:
        density = tf.exp(-0.5 * z * z) / math.sqrt(2.0 * math.pi)
        return z * tf.math.erf(_SQRT_HALF * z) + 2.0 * density - 1.0 / math.sqrt(math.pi)

    def standard_draw(
        self, shape: tf.Tensor, seeds: Sequence[tf.Tensor], *parameters: tf.Tensor
    ) -> tf.Tensor:
        return normal(shape, seeds[0])


class Laplace(LocationScale):
    name = "laplace"

    def variance(self, *parameters: tf.Tensor) -> tf.Tensor:
        location, scale = parameters
        return 2.0 * scale * scale + 0.0 * location

    def standard_cdf(self, z: tf.Tensor, *shape: tf.Tensor) -> tf.Tensor:
        tail = 0.5 * tf.exp(-tf.abs(z))
        return tf.where(z < 0, tail, 1.0 - tail)

    def standard_quantile(self, q: tf.Tensor, *shape: tf.Tensor) -> tf.Tensor:
        tail = tf.math.log(2.0 * tf.minimum(q, 1.0 - q))
        return tf.where(q < 0.5, tail, -tail)

    def standard_crps(self, z: tf.Tensor, *shape: tf.Tensor) -> tf.Tensor:
        distance = tf.abs(z)
        return distance + tf.exp(-distance) - 0.75


class AsymmetricLaplace(LocationScale):
    """With a third parameter, tau: the location is the tau-quantile."""

    name = "asymmetric_laplace"
    parameters = (real("location"), positive("scale"), Parameter("asymmetry", "(0, 1)"))
    has_crps = False

    def mean(self, *parameters: tf.Tensor) -> tf.Tensor:
        location, scale, tau = parameters
        return location + scale * (1.0 - 2.0 * tau) / (tau * (1.0 - tau))

    def variance(self, *parameters: tf.Tensor) -> tf.Tensor:
        location, scale, tau = parameters
        spread = scale / (tau * (1.0 - tau))
        return spread * spread * (1.0 - 2.0 * tau * (1.0 - tau)) + 0.0 * location

    def standard_cdf(self, z: tf.Tensor, *shape: tf.Tensor) -> tf.Tensor:
        (tau,) = shape
        below = tau * tf.exp((1.0 - tau) * tf.minimum(z, 0.0))
        above = (1.0 - tau) * tf.exp(-tau * tf.maximum(z, 0.0))
        return tf.where(z < 0, below, 1.0 - above)

    def standard_survival(self, z: tf.Tensor, *shape: tf.Tensor) -> tf.Tensor:
        return self.standard_cdf(-z, 1.0 - shape[0])

    def standard_quantile(self, q: tf.Tensor, *shape: tf.Tensor) -> tf.Tensor:
        (tau,) = shape
        below = tf.math.log(q / tau) / (1.0 - tau)
        above = -tf.math.log((1.0 - q) / (1.0 - tau)) / tau
        return tf.where(q < tau, below, above)


class StudentT(LocationScale):
    """The square of z is that of a beta variate w: z^2 = degrees * w / (1 - w)."""

    name = "student_t"
    parameters = (real("location"), positive("scale"), positive("degrees"))

    def mean(self, *parameters: tf.Tensor) -> tf.Tensor:
        location, scale, degrees = parameters
        return tf.where(degrees > 1, location + 0.0 * scale, NAN * location)

    def variance(self, *parameters: tf.Tensor) -> tf.Tensor:
        location, scale, degrees = parameters
        square = scale * scale + 0.0 * location
        infinite = tf.where(degrees > 1, math.inf * square, NAN * square)
        return tf.where(degrees > 2, square * degrees / (degrees - 2.0), infinite)

    def standard_cdf(self, z: tf.Tensor, *shape: tf.Tensor) -> tf.Tensor:
        (degrees,) = shape
        z, degrees = _alike(z, degrees)
        square = tf.minimum(z * z, 1e300)
        half = 0.5 * tf.ones_like(z)
        share, rest = square / (degrees + square), degrees / (degrees + square)
        near = 0.5 - 0.5 * tf.math.betainc(half, 0.5 * degrees, share)
        far = 0.5 * tf.math.betainc(0.5 * degrees, half, rest)
        tail = tf.where(near < 0.2, far, near)  # each has more digits there
        return tf.where(z < 0, tail, 1.0 - tail)

    def standard_quantile(self, q: tf.Tensor, *shape: tf.Tensor) -> tf.Tensor:
        q, degrees = _alike(q, shape[0])
        outside = 2.0 * tf.minimum(q, 1.0 - q)
        logit = _logit_of_beta(tf.abs(2.0 * q - 1.0), outside, 0.5 * tf.ones_like(q), 0.5 * degrees)
        distance = tf.sqrt(degrees) * tf.exp(0.5 * logit)
        distance = tf.where(outside == 0, math.inf * degrees, distance)
        distance = tf.where(outside == 1, 0.0 * degrees, distance)
        return tf.where(q < 0.5, -distance, distance)

    def standard_crps(self, z: tf.Tensor, *shape: tf.Tensor) -> tf.Tensor:
        (degrees,) = shape
        half = 0.5 * tf.ones_like(degrees)
        log_beta = _log_beta(half, 0.5 * degrees)
        square = degrees + z * z
        log_density = -0.5 * (degrees + 1.0) * tf.math.log1p(z * z / degrees) - log_beta
        density = tf.exp(log_density) / tf.sqrt(degrees)
        spread = tf.exp(_log_beta(half, degrees - 0.5) - 2.0 * log_beta) * tf.sqrt(degrees)
        inside = 1.0 - 2.0 * self.standard_cdf(-tf.abs(z), degrees)
        score = tf.abs(z) * inside + 2.0 * (density * square - spread) / (degrees - 1.0)
        return tf.where(degrees > 1, score, NAN * score)  # as the mean

    def standard_draw(
        self, shape: tf.Tensor, seeds: Sequence[tf.Tensor], *parameters: tf.Tensor
    ) -> tf.Tensor:
        half = 0.5 * parameters[0]
        log_share = log_gamma(shape, seeds[1:], half) - tf.math.log(half)
        return normal(shape, seeds[0]) * tf.exp(-0.5 * log_share)


class LogNormal(Family):
    """The exponential of a gaussian."""

    name = "lognormal"
    parameters = (real("location"), positive("scale"))
    support = "(0, inf)"
    _logarithm = Gaussian()

    def mean(self, *parameters: tf.Tensor) -> tf.Tensor:
        location, scale = parameters
        return tf.exp(location + 0.5 * scale * scale)

    def variance(self, *parameters: tf.Tensor) -> tf.Tensor:
        location, scale = parameters
        square = scale * scale
        return tf.math.expm1(square) * tf.exp(2.0 * location + square)

    def cdf(self, t: tf.Tensor, *parameters: tf.Tensor) -> tf.Tensor:
        return self._logarithm.cdf(tf.math.log(tf.maximum(t, 0.0)), *parameters)

    def survival(self, t: tf.Tensor, *parameters: tf.Tensor) -> tf.Tensor:
        return self._logarithm.survival(tf.math.log(tf.maximum(t, 0.0)), *parameters)

    def quantile(self, q: tf.Tensor, *parameters: tf.Tensor) -> tf.Tensor:
        return tf.exp(self._logarithm.quantile(q, *parameters))

    def draw(
        self, shape: tf.Tensor, seeds: Sequence[tf.Tensor], *parameters: tf.Tensor
    ) -> tf.Tensor:
        return tf.exp(self._logarithm.draw(shape, seeds, *parameters))


class Gamma(Family):
    name = "gamma"
    parameters = (positive("concentration"), positive("rate"))
    support = "(0, inf)"

    def mean(self, *parameters: tf.Tensor) -> tf.Tensor:
        concentration, rate = parameters
        return concentration / rate

    def variance(self, *parameters: tf.Tensor) -> tf.Tensor:
        concentration, rate = parameters
        return concentration / rate / rate

    def cdf(self, t: tf.Tensor, *parameters: tf.Tensor) -> tf.Tensor:
        concentration, rate = parameters
        return incomplete_gamma.lower(*_alike(concentration, rate * tf.maximum(t, 0.0)))

    def survival(self, t: tf.Tensor, *parameters: tf.Tensor) -> tf.Tensor:
        concentration, rate = parameters
        return incomplete_gamma.upper(*_alike(concentration, rate * tf.maximum(t, 0.0)))

    def quantile(self, q: tf.Tensor, *parameters: tf.Tensor) -> tf.Tensor:
        q, concentration, rate = _alike(q, *parameters)
        rest = 1.0 - q

        def distance(logarithm: tf.Tensor) -> tf.Tensor:
            t = tf.exp(logarithm)
            below = incomplete_gamma.lower(concentration, t)
            return _distance(below, incomplete_gamma.upper(concentration, t), q, rest)

        t = tf.exp(_find_logarithm(distance, q)) / rate
        return _with_ends(t, q, 0.0, math.inf)

    def draw(
        self, shape: tf.Tensor, seeds: Sequence[tf.Tensor], *parameters: tf.Tensor
    ) -> tf.Tensor:
        concentration, rate = parameters
        return tf.exp(log_gamma(shape, seeds, concentration)) / rate


class Beta(Family):
    name = "beta"
    parameters = (positive("concentration1"), positive("concentration0"))
    support = "(0, 1)"

    def mean(self, *parameters: tf.Tensor) -> tf.Tensor:
        a, b = parameters
        return a / (a + b)

    def variance(self, *parameters: tf.Tensor) -> tf.Tensor:
        a, b = parameters
        return a / (a + b) * (b / (a + b)) / (a + b + 1.0)

    def cdf(self, t: tf.Tensor, *parameters: tf.Tensor) -> tf.Tensor:
        a, b = parameters
        share = tf.clip_by_value(t, 0.0, 1.0)
        return tf.math.betainc(*_alike(a, b, share)) + 0.0 * (a + b)  # at the ends NaN is lost

    def survival(self, t: tf.Tensor, *parameters: tf.Tensor) -> tf.Tensor:
        a, b = parameters
        return self.cdf(1.0 - t, b, a)

    def quantile(self, q: tf.Tensor, *parameters: tf.Tensor) -> tf.Tensor:
        q, a, b = _alike(q, *parameters)
        t = tf.math.sigmoid(_logit_of_beta(q, 1.0 - q, a, b))
        return _with_ends(t, q, 0.0, 1.0)

    def draw(
        self, shape: tf.Tensor, seeds: Sequence[tf.Tensor], *parameters: tf.Tensor
    ) -> tf.Tensor:
        a, b = parameters
        return tf.math.sigmoid(log_gamma(shape, seeds, a) - log_gamma(shape, seeds[1:], b))


def _alike(*tensors: tf.Tensor) -> Any:
    """In one shape: not every op broadcasts."""
    shape = functools.reduce(tf.broadcast_dynamic_shape, map(tf.shape, tensors))
    return [tf.broadcast_to(tensor, shape) for tensor in tensors]


def _log_beta(a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
    return tf.math.lgamma(a) + tf.math.lgamma(b) - tf.math.lgamma(a + b)


def _with_ends(t: tf.Tensor, q: tf.Tensor, low: float, high: float) -> tf.Tensor:
    """The quantiles of 0 and 1 are the ends of the support."""
    is_nan = tf.math.is_nan(t)
    t = tf.where((q == 0) & ~is_nan, low * tf.ones_like(t), t)
    return tf.where((q == 1) & ~is_nan, high * tf.ones_like(t), t)


def _logit_of_beta(p: tf.Tensor, rest: tf.Tensor, a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
    """log(w / (1 - w)) of the p-quantile w of a beta distribution; `rest` is 1 - p."""

    def distance(logit: tf.Tensor) -> tf.Tensor:
        below = tf.math.betainc(a, b, tf.math.sigmoid(logit))
        above = tf.math.betainc(b, a, tf.math.sigmoid(-logit))
        return _distance(below, above, p, rest)

    return _find_logarithm(distance, p)


def _find_logarithm(distance: Function, like: tf.Tensor) -> tf.Tensor:
    """The root of a function of logarithms; infinite where its exponential is not a number."""
    most = _MOST * tf.ones_like(like)
    root = find_root(distance, -most, most)
    return tf.where(tf.abs(root) < most, root, root * math.inf)
