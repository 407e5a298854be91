"""Sums of plain tensors in an order that depends on nothing but their shape.

TensorFlow's own sums cut a tensor into as many parts as there are threads, which changes the last
bits of a result. The native op does not: it adds up the weights of elements whose loss is ignored.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from masklstm._core import library

_ATTRIBUTES = {"loss": "squared_error", "parameters": "", "missing": "nan"}


def total(x: tf.Tensor) -> tf.Tensor:
    """The sum of all elements of a float64 tensor."""
    if library.backend == "reference":
        return tf.reduce_sum(x)
    zeros = tf.zeros_like(x)
    return library.ops.masklstm_masked_loss(
        zeros, zeros, [x], [], Tloss=tf.float64, reduction="sum_of_elements", **_ATTRIBUTES
    ).weight_sum


def total_along(x: tf.Tensor, axes: list[int]) -> tf.Tensor:
    """The sums of a float64 tensor of known rank along some axes, which are dropped."""
    if library.backend == "reference":
        return tf.reduce_sum(x, axes)
    is_summed = np.isin(range(x.shape.rank), axes)
    kept = tf.constant(np.flatnonzero(~is_summed), tf.int32)
    return tf.reshape(_totals(x, is_summed), tf.gather(tf.shape(x), kept))


def total_of_rows(x: tf.Tensor) -> tf.Tensor:
    """The sums of a float64 tensor of known rank along its last axis, which is dropped.

    Their gradient is repeated as it is; that of `total_along` goes through the native op's.
    """

    @tf.custom_gradient  # type: ignore[untyped-decorator]
    def totals(x: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
        sums = tf.ensure_shape(total_along(x, [x.shape.rank - 1]), x.shape[:-1])
        return sums, lambda upstream: spread(upstream, tf.shape(x))

    return totals(x)


def total_to(x: tf.Tensor, shape: list[int] | tf.Tensor) -> tf.Tensor:
    """The sums of a float64 tensor along the axes that have length 1 in `shape`, in that shape.

    `shape` has as many axes as the tensor. Where it is only known when the graph runs, the order of
    the additions is the same.
    """
    if isinstance(shape, list) and 1 not in shape:
        return tf.where(tf.equal(x, 0.0), tf.zeros_like(x), x)  # +0.0, as sums are
    is_summed = np.equal(shape, 1) if isinstance(shape, list) else tf.equal(shape, 1)
    return tf.reshape(_totals(x, is_summed), shape)


def _totals(x: tf.Tensor, is_summed: Any) -> tf.Tensor:
    """The sums along some axes, as a vector."""
    lengths = tf.shape(x)
    number = tf.reduce_prod(tf.where(is_summed, 1, lengths))
    length = tf.reduce_prod(tf.where(is_summed, lengths, 1))
    rows = tf.reshape(tf.transpose(x, _summed_last(is_summed)), [number, length])
    zeros = tf.zeros_like(rows)
    return library.ops.masklstm_masked_group_sums(
        zeros, zeros, [rows], [], balance="sample", **_ATTRIBUTES
    ).weight_sum


def _summed_last(is_summed: Any) -> Any:
    """The order of the axes in which those that are summed come last."""
    if isinstance(is_summed, np.ndarray):
        return np.argsort(is_summed, kind="stable")
    summed = tf.cast(is_summed, tf.int32)
    kept = 1 - summed
    place = tf.where(is_summed, tf.reduce_sum(kept) + tf.cumsum(summed) - 1, tf.cumsum(kept) - 1)
    return tf.math.invert_permutation(place)


def spread(x: tf.Tensor, shape: tf.Tensor) -> tf.Tensor:
    """Repeats a float64 tensor, aligned from the left, along the axes that are missing or 1.

    As TensorFlow's broadcasting, whose gradient is a sum: this one's is one of ours.
    """

    @tf.custom_gradient  # type: ignore[untyped-decorator]
    def repeated(x: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
        missing_axes = tf.ones([tf.size(shape) - tf.rank(x)], tf.int32)
        aligned = tf.concat([tf.shape(x), missing_axes], axis=0)

        def gradient(upstream: tf.Tensor) -> tf.Tensor:
            return tf.reshape(total_to(upstream, aligned), tf.shape(x))

        return tf.broadcast_to(tf.reshape(x, aligned), shape), gradient

    return repeated(x)
