"""The score of an ensemble: members instead of a formula."""

import tensorflow as tf


def crps(errors: tf.Tensor) -> tf.Tensor:
    """mean|e| - mean|e - e'| / 2 over the members, the last axis, of members minus label.

    The mean over all pairs is one over the members in order, each times the number of those below
    it minus the number of those above. Members that are equal have no slope against each other.
    """
    number = tf.shape(errors)[-1]
    members = tf.cast(number, errors.dtype)
    rows = tf.stop_gradient(tf.reshape(errors, [-1, number]))
    ordered = tf.sort(rows, axis=-1)
    below = tf.searchsorted(ordered, rows, side="left")
    not_above = tf.searchsorted(ordered, rows, side="right")
    rank = tf.reshape(below + not_above - number, tf.shape(errors))
    rank = tf.cast(rank, errors.dtype) / members
    return tf.reduce_mean(tf.abs(errors), -1) - tf.reduce_mean(errors * rank, -1)
