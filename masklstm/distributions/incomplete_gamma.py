"""The regularized incomplete gamma functions, for concentrations of every size.

TensorFlow's own are right to 1e-9 or better up to 1e5, and wrong from 3e5 on, where their series
end too early. There they are almost those of a gaussian: N. M. Temme, "The asymptotic expansion of
the incomplete gamma functions", 1979.
"""

import functools
import math

import tensorflow as tf

_LARGE = 1e5
# Of Temme's first two corrections, in powers of eta; the others are below 1e-16 from 1e5 on.
_FIRST = (-1 / 3, 1 / 12, -2 / 135, 1 / 864, 1 / 2835, -139 / 777600, 1 / 25515, -571 / 261273600)
_SECOND = (-1 / 540, -1 / 288)


def lower(a: tf.Tensor, x: tf.Tensor) -> tf.Tensor:
    """P(a, x): the cdf at x of a gamma variate of concentration a; both of one shape."""
    small = tf.math.igamma(tf.where(a > _LARGE, tf.ones_like(a), a), x)
    return tf.where(a > _LARGE, _of_large(a, x, -1.0), small)


def upper(a: tf.Tensor, x: tf.Tensor) -> tf.Tensor:
    """Q(a, x) = 1 - P(a, x), with all digits where that is small."""
    small = tf.math.igammac(tf.where(a > _LARGE, tf.ones_like(a), a), x)
    return tf.where(a > _LARGE, _of_large(a, x, 1.0), small)


def _of_large(a: tf.Tensor, x: tf.Tensor, sign: float) -> tf.Tensor:
    """Q for the sign 1, P for -1."""
    distance = (x - a) / a
    exponent = tf.maximum(distance - tf.math.log1p(distance), 0.0)  # eta^2 / 2
    eta = tf.sign(distance) * tf.sqrt(2.0 * exponent)
    near = tf.clip_by_value(eta, -0.5, 0.5)  # beyond, the exponential is 0
    correction = _polynomial(_FIRST, near) + _polynomial(_SECOND, near) / a
    correction *= tf.exp(-a * exponent) / tf.sqrt(2.0 * math.pi * a)
    return 0.5 * tf.math.erfc(sign * eta * tf.sqrt(0.5 * a)) + sign * correction


def _polynomial(coefficients: tuple[float, ...], x: tf.Tensor) -> tf.Tensor:
    return functools.reduce(
        lambda value, coefficient: value * x + coefficient, reversed(coefficients), tf.zeros_like(x)
    )
