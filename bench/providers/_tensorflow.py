"""What the TensorFlow providers share."""

from collections.abc import Callable

import numpy as np
import tensorflow as tf

Loss = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]


def compiled(loss: Loss, y_true: np.ndarray, y_pred: np.ndarray, gradient: bool, **options):
    """A function without arguments that runs the loss, and its gradient, in a graph."""

    def forward(y_true: tf.Tensor, y_pred: tf.Tensor):
        return (loss(y_true, y_pred),)

    def forward_and_gradient(y_true: tf.Tensor, y_pred: tf.Tensor):
        with tf.GradientTape() as tape:
            tape.watch(y_pred)
            value = loss(y_true, y_pred)
        return value, tape.gradient(value, y_pred)

    function = tf.function(forward_and_gradient if gradient else forward, **options)
    tensors = tf.constant(y_true), tf.constant(y_pred)

    def run():
        results = function(*tensors)
        results[0].numpy()  # waits
        return results

    return run


def where_loss(y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
    """The masked mean that a careful user writes: NaN selected away before any arithmetic."""
    valid = ~tf.math.is_nan(y_true)
    error = tf.where(valid, y_pred - tf.where(valid, y_true, 0.0), 0.0)
    count = tf.reduce_sum(tf.cast(valid, tf.float32))
    return tf.math.divide_no_nan(tf.reduce_sum(tf.square(error)), count)
