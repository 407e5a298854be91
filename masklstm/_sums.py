"""Sums of plain tensors in an order that depends on nothing but their shape.

TensorFlow's own sums cut a tensor into as many parts as there are threads, which changes the last
bits of a result. The native op does not: the weights of elements whose loss is of no interest are
added up by it.
"""

import tensorflow as tf

from masklstm import _native

_ATTRIBUTES = {"loss": "squared_error", "parameters": "", "missing": "nan"}


def total(x: tf.Tensor) -> tf.Tensor:
    """The sum of all elements of a float64 tensor."""
    if _native.backend == "reference":
        return tf.reduce_sum(x)
    zeros = tf.zeros_like(x)
    return _native.ops.masklstm_masked_loss(
        zeros, zeros, [x], [], Tloss=tf.float64, reduction="sum_of_elements", **_ATTRIBUTES
    ).weight_sum


def total_along(x: tf.Tensor, axes: list[int]) -> tf.Tensor:
    """The sums of a float64 tensor of known rank along some axes, which are dropped."""
    if _native.backend == "reference":
        return tf.reduce_sum(x, axes)
    kept = [axis for axis in range(x.shape.rank) if axis not in axes]
    shape = tf.shape(x)
    kept_shape = tf.gather(shape, tf.constant(kept, tf.int32))
    rest = tf.reduce_prod(tf.gather(shape, tf.constant(axes, tf.int32)))
    rows = tf.reshape(tf.transpose(x, [*kept, *axes]), [tf.reduce_prod(kept_shape), rest])
    zeros = tf.zeros_like(rows)
    sums = _native.ops.masklstm_masked_group_sums(
        zeros, zeros, [rows], [], balance="sample", **_ATTRIBUTES
    ).weight_sum
    return tf.reshape(sums, kept_shape)
