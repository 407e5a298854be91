"""Inverses of increasing functions that have no formula: of all elements of a tensor at once."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf

Function = Callable[[tf.Tensor], tf.Tensor]

_MOST_STEPS = 200
_TOLERANCE = 4 * 2.0**-52


def find_root(function: Function, low: tf.Tensor, high: tf.Tensor) -> tf.Tensor:
    """Where an increasing function is 0, between two bounds; the bound next to it if it is beyond.

    T. R. Chandrupatla, "A new hybrid quadratic/bisection algorithm for finding the zero of a
    nonlinear function without using derivatives", 1997: the interval is halved, or cut where an
    inverse parabola through three points is 0 if that can be trusted.
    """

    def is_open(state: tuple[tf.Tensor, ...]) -> tf.Tensor:
        """Where a is the newest point, and the root lies between a and b."""
        a, b, _, of_a, of_b, _, _ = state
        is_wide = tf.abs(b - a) > _TOLERANCE * tf.minimum(tf.abs(a), tf.abs(b))
        return is_wide & (of_a != 0) & (of_b != 0)

    def body(*state: tf.Tensor) -> tuple[tf.Tensor, ...]:
        a, b, _, of_a, of_b, _, share = state
        x = a + share * (b - a)
        of_x = function(x)
        same_side = tf.sign(of_x) == tf.sign(of_a)
        c, of_c = tf.where(same_side, a, b), tf.where(same_side, of_a, of_b)
        new_b, of_new_b = tf.where(same_side, b, a), tf.where(same_side, of_b, of_a)
        new_share = _next_share(x, new_b, c, of_x, of_new_b, of_c)
        new = (x, new_b, c, of_x, of_new_b, of_c, new_share)
        going_on = is_open(state)
        return tuple(tf.where(going_on, n, old) for n, old in zip(new, state, strict=True))

    of_low, of_high = function(low), function(high)
    low, high = low + tf.zeros_like(of_low), high + tf.zeros_like(of_high)
    state = (
        low,
        high,
        low,
        of_low,
        of_high,
        of_low,
        tf.fill(tf.shape(low), low.dtype.as_numpy_dtype(0.5)),
    )
    a, b, _, of_a, of_b, _, _ = tf.while_loop(
        lambda *state: tf.reduce_any(is_open(state)),
        body,
        state,
        maximum_iterations=_MOST_STEPS,
    )
    root = tf.where(tf.abs(of_a) < tf.abs(of_b), a, b)
    root = tf.where(of_low >= 0, low, tf.where(of_high <= 0, high, root))
    return tf.where(tf.math.is_nan(of_low + of_high), of_low + of_high, root)


def _next_share(
    a: tf.Tensor, b: tf.Tensor, c: tf.Tensor, of_a: tf.Tensor, of_b: tf.Tensor, of_c: tf.Tensor
) -> tf.Tensor:
    """How far from a to b the next point lies."""
    along, up = (a - b) / (c - b), (of_a - of_b) / (of_c - of_b)
    parabola = of_a / (of_b - of_a) * of_c / (of_b - of_c)
    parabola += (c - a) / (b - a) * of_a / (of_c - of_a) * of_b / (of_c - of_b)
    trusted = (up * up < along) & ((1 - up) * (1 - up) < 1 - along)
    share = tf.where(trusted & tf.math.is_finite(parabola), parabola, 0.5 * tf.ones_like(a))
    # Each step moves by a rounding error at least, so that the far end moves as well.
    least = tf.minimum(0.5 * _TOLERANCE * tf.abs(a) / tf.abs(b - a), 0.5)
    return tf.clip_by_value(share, least, 1 - least)


def smallest_integer(reaches: Function, start: tf.Tensor) -> tf.Tensor:
    """The smallest integer from 0 on that reaches something, as all larger ones do.

    `start` is a first guess of a number that does; it is doubled until it does.
    """

    def grown(high: tf.Tensor) -> tuple[tf.Tensor]:
        return (tf.where(reaches(high), high, 2.0 * high + 1.0),)

    high = tf.maximum(tf.math.ceil(start), 1.0)
    high = high + tf.zeros_like(tf.cast(reaches(high), high.dtype))
    (high,) = tf.while_loop(
        lambda high: tf.reduce_any(~reaches(high) & (high < 2.0**53)), grown, (high,)
    )

    def narrowed(low: tf.Tensor, high: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        middle = tf.math.floor(0.5 * (low + high))
        reached = reaches(middle)
        return tf.where(reached, low, middle), tf.where(reached, middle, high)

    state: Any = (-tf.ones_like(high), high)
    _, high = tf.while_loop(
        lambda low, high: tf.reduce_any((high - low > 1) & (high < 2.0**53)),
        narrowed,
        state,
        maximum_iterations=_MOST_STEPS,
    )
    return tf.maximum(high, 0.0)
