"""Run by test_replicas.py: prints how far two replicas are from one device."""

import keras
import numpy as np
import tensorflow as tf

from masklstm import losses

rng = np.random.default_rng(3)
x = rng.normal(size=(32, 5, 2)).astype("float32")
y = np.cumsum(x, axis=1)
y[rng.random(y.shape) < 0.3] = np.nan
y[:8, :, 0] = np.nan  # unequal gaps
y[16:20] = np.nan  # in a batch of 8 on two replicas, one that has no label
weight = rng.random((32, 5)).astype("float32")


def train(strategy, loss):
    keras.utils.set_random_seed(1)
    with strategy.scope():
        lstm = keras.layers.LSTM(3, return_sequences=True)
        model = keras.Sequential([lstm, keras.layers.Dense(2)])
        model.compile(keras.optimizers.SGD(0.1), loss=loss)
    data = tf.data.Dataset.from_tensor_slices((x, y, weight)).batch(8)
    model.fit(data, epochs=2, verbose=0)
    return np.concatenate([w.ravel() for w in model.get_weights()])


def gradient_by_weight(strategy, loss):
    """Of the replicas together, by weights that every replica has."""
    scale = tf.constant([0.5, 2.0, 1.0])

    @tf.function
    def step(y_true, y_pred):
        with tf.GradientTape() as tape:
            tape.watch(scale)
            value = loss(y_true, y_pred, scale * tf.ones([tf.shape(y_true)[0], 3]))
        return tape.gradient(value, scale)

    y_pred = np.zeros((8, 3, 2), "float32")
    data = tf.data.Dataset.from_tensor_slices((y[8:16, :3], y_pred)).batch(8)
    (batch,) = strategy.experimental_distribute_dataset(data)
    return strategy.reduce("SUM", strategy.run(step, batch), axis=None).numpy()


def main():
    tf.config.set_logical_device_configuration(
        tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
    )
    for reduction in ("sum_over_batch_size", "mean_with_sample_weight"):
        loss = losses.MeanSquaredError(reduction=reduction)
        for function in (train, gradient_by_weight):
            one = function(tf.distribute.get_strategy(), loss)
            two = function(tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]), loss)
            print("RESULT", function.__name__, np.max(np.abs(one - two)), np.max(np.abs(one)))


if __name__ == "__main__":
    main()
