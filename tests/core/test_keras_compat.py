"""What reaches into TensorFlow's and Keras's own parts."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from masklstm import layers, losses
from masklstm._core import keras_compat

NAN = float("nan")


def test_gradients_of_a_function_are_those_of_an_eager_call():
    """A tape around a function finds true ops of its graph, one within it stand-ins for them."""
    y_true, y_pred = tf.constant([[1.0, NAN], [2.0, 3.0]]), tf.constant([[2.0, 1.0], [5.0, 1.0]])
    loss = losses.MeanSquaredError()

    def gradient(function):
        with tf.GradientTape() as tape:
            tape.watch(y_pred)
            value = function(y_true, y_pred)
        return tape.gradient(value, y_pred).numpy().tolist()

    expected = gradient(loss)
    assert expected == pytest.approx(np.array([[2 / 3, 0], [2, -4 / 3]]))
    assert gradient(tf.function(loss)) == pytest.approx(np.array(expected))
    with tf.Graph().as_default():
        wanted = tf.gradients(loss(tf.identity(y_true.numpy()), tf.identity(y_pred.numpy())), [])
        assert wanted == []


def test_gradients_of_layers_in_a_function():
    layer = layers.LSTM(3)
    x = tf.constant(np.random.default_rng(0).normal(size=(2, 4, 3)), tf.float32)
    layer(x)

    def gradients(function):
        with tf.GradientTape() as tape:
            value = tf.reduce_sum(function(x))
        return tape.gradient(value, layer.trainable_variables)

    for one, other in zip(gradients(layer), gradients(tf.function(layer)), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


def test_a_mask_is_kept():
    x = tf.ones((2, 3))
    assert keras_compat.get_keras_mask(keras_compat.cast_keeping_mask(x, tf.float64)) is None
    mask = tf.constant([True, False])
    x._keras_mask = mask
    cast = keras_compat.cast_keeping_mask(x, tf.float64)
    assert cast.dtype == tf.float64
    assert keras_compat.get_keras_mask(cast) is mask


def test_the_versions_that_serve_workers(monkeypatch):
    for version, serves in {"3.9.2": False, "3.10.0": True, "3.11.0": True, "4.0": True}.items():
        monkeypatch.setattr(keras, "__version__", version)
        assert keras_compat.serves_workers() is serves
