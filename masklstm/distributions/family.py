"""What a family of distributions is: its parameters, its support, and what can be computed of it.

Formulas take and give float64 tensors whose shapes are broadcast with each other. A parameter
outside of its domain is NaN when they see it, and so is what they return.
"""

from collections.abc import Sequence
from typing import NamedTuple

import tensorflow as tf

NAN = float("nan")


class Parameter(NamedTuple):
    """A channel of a family's predictions."""

    name: str
    domain: str
    """An open interval: "(-inf, inf)", "(0, inf)" or "(0, 1)"."""

    def checked(self, values: tf.Tensor) -> tf.Tensor:
        """NaN for what lies outside of the domain."""
        if self.domain == "(-inf, inf)":
            return values
        inside = (values > 0) & (values < float(self.domain[:-1].split(", ")[1]))
        return tf.where(inside, values, tf.constant(NAN, values.dtype))


def real(name: str) -> Parameter:
    return Parameter(name, "(-inf, inf)")


def positive(name: str) -> Parameter:
    return Parameter(name, "(0, inf)")


class Family:
    """Base of all families. A subclass describes itself by its attributes and has the formulas."""

    name: str
    parameters: tuple[Parameter, ...]
    support: str = "(-inf, inf)"
    """Where labels can lie: an interval."""
    is_discrete = False
    """Whether labels are whole numbers."""
    has_crps = False
    """Whether `crps` has a formula."""

    @property
    def channels(self) -> int:
        """How many numbers a prediction has."""
        return len(self.parameters)

    def split(self, channels: tf.Tensor) -> list[tf.Tensor]:
        """The parameters, from channels in the last axis."""
        values = tf.unstack(channels, self.channels, axis=-1)
        return [one.checked(value) for one, value in zip(self.parameters, values, strict=True)]

    def mean(self, *parameters: tf.Tensor) -> tf.Tensor:
        """NaN where it is undefined."""
        raise NotImplementedError

    def variance(self, *parameters: tf.Tensor) -> tf.Tensor:
        """Infinite or NaN where it is so."""
        raise NotImplementedError

    def cdf(self, t: tf.Tensor, *parameters: tf.Tensor) -> tf.Tensor:
        """The probability of at most t."""
        raise NotImplementedError

    def survival(self, t: tf.Tensor, *parameters: tf.Tensor) -> tf.Tensor:
        """The probability of more than t: 1 - cdf, with all digits where that is small."""
        raise NotImplementedError

    def quantile(self, q: tf.Tensor, *parameters: tf.Tensor) -> tf.Tensor:
        """The least t with a cdf of at least q."""
        raise NotImplementedError

    def crps(self, t: tf.Tensor, *parameters: tf.Tensor) -> tf.Tensor:
        """The continuous ranked probability score of a label t."""
        raise NotImplementedError

    def draw(
        self, shape: tf.Tensor, seeds: Sequence[tf.Tensor], *parameters: tf.Tensor
    ) -> tf.Tensor:
        """Random numbers in a shape that the parameters are broadcast to; from up to two seeds."""
        raise NotImplementedError

    def sample(self, number: int, seeds: Sequence[tf.Tensor], *parameters: tf.Tensor) -> tf.Tensor:
        """So many random numbers for each place, in a new last axis; from up to three seeds."""
        shape = tf.concat([tf.shape(parameters[0]), [number]], axis=0)
        return self.draw(shape, seeds, *(value[..., None] for value in parameters))


def uniform(shape: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Random numbers between 0 and 1, never one of them."""
    least = 2.0**-53
    return tf.random.stateless_uniform(shape, seed, least, 1.0 - least, tf.float64)


def normal(shape: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    return tf.random.stateless_normal(shape, seed, dtype=tf.float64)


def log_gamma(shape: tf.Tensor, seeds: Sequence[tf.Tensor], concentration: tf.Tensor) -> tf.Tensor:
    """Logarithms of gamma variates of rate 1, which themselves would be 0 for small concentrations.

    A variate of concentration a is one of a + 1 times u^(1 / a), with u uniform.
    """
    concentration = tf.broadcast_to(concentration, shape)
    variates = tf.random.stateless_gamma(shape, seeds[0], concentration + 1.0, dtype=tf.float64)
    other = tf.random.fold_in(seeds[0], 1)
    return tf.math.log(variates) + tf.math.log(uniform(shape, other)) / concentration
