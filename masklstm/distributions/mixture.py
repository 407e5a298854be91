"""Mixtures of several distributions of one family."""

from collections.abc import Sequence

import tensorflow as tf

from masklstm.distributions.family import Family, Parameter, real, uniform
from masklstm.distributions.inversion import find_root


class Mixture(Family):
    """Channels are the logits of the weights, then all first parameters, all second ones, ...

    Every parameter has a last axis for the components.
    """

    def __init__(self, component: Family, components: int) -> None:
        self.name = component.name
        self.parameters: tuple[Parameter, ...] = (real("logit"), *component.parameters)
        self.support = component.support
        self.is_discrete = component.is_discrete
        self._component = component
        self._components = components

    @property
    def channels(self) -> int:
        return self._components * len(self.parameters)

    def split(self, channels: tf.Tensor) -> list[tf.Tensor]:
        blocks = tf.split(channels, len(self.parameters), axis=-1)
        return [one.checked(block) for one, block in zip(self.parameters, blocks, strict=True)]

    def mean(self, *parameters: tf.Tensor) -> tf.Tensor:
        logits, *others = parameters
        return _averaged(logits, self._component.mean(*others))

    def variance(self, *parameters: tf.Tensor) -> tf.Tensor:
        logits, *others = parameters
        means = self._component.mean(*others)
        distances = means - _averaged(logits, means)[..., None]
        return _averaged(logits, self._component.variance(*others) + distances * distances)

    def cdf(self, t: tf.Tensor, *parameters: tf.Tensor) -> tf.Tensor:
        logits, *others = parameters
        return _averaged(logits, self._component.cdf(t[..., None], *others))

    def survival(self, t: tf.Tensor, *parameters: tf.Tensor) -> tf.Tensor:
        logits, *others = parameters
        return _averaged(logits, self._component.survival(t[..., None], *others))

    def quantile(self, q: tf.Tensor, *parameters: tf.Tensor) -> tf.Tensor:
        each = self._component.quantile(q[..., None], *parameters[1:])

        def distance(t: tf.Tensor) -> tf.Tensor:
            below, above = self.cdf(t, *parameters), self.survival(t, *parameters)
            return tf.where(q <= 0.5, below - q, 1.0 - q - above)

        # It lies between those of the components; where these are infinite, so is it.
        low, high = tf.reduce_min(each, -1), tf.reduce_max(each, -1)
        return tf.where(tf.math.is_finite(low + high), find_root(distance, low, high), low + high)

    def sample(self, number: int, seeds: Sequence[tf.Tensor], *parameters: tf.Tensor) -> tf.Tensor:
        logits, *others = parameters
        weights = tf.nn.softmax(logits)
        ends = tf.cumsum(weights, axis=-1)[..., :-1]
        shape = tf.concat([tf.shape(logits)[:-1], [number]], axis=0)
        place = uniform(shape, seeds[2])[..., None] > ends[..., None, :]
        chosen = tf.math.count_nonzero(place, -1, dtype=tf.int32)
        axes = logits.shape.rank - 1
        of_chosen = (tf.gather(value, chosen, axis=axes, batch_dims=axes) for value in others)
        drawn = self._component.draw(shape, seeds, *of_chosen)
        return drawn + 0.0 * tf.reduce_sum(weights, -1, keepdims=True)  # a NaN weight shows


def _averaged(logits: tf.Tensor, values: tf.Tensor) -> tf.Tensor:
    return tf.reduce_sum(tf.nn.softmax(logits) * values, axis=-1)
