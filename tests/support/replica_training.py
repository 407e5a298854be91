"""Trains on one device and on several replicas, and prints how far apart they end.

    python replica_training.py NUMBER     of logical devices in this process

A process of its own: TensorFlow splits devices only before its first op. worker_checks.py does the
same on the workers of a cluster.
"""

import json
import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
import tensorflow as tf

from masklstm import distributed, losses

GLOBAL_BATCH = 8

rng = np.random.default_rng(3)
x = rng.normal(size=(28, 5, 2)).astype("float32")
y = np.cumsum(x, axis=1)
y[rng.random(y.shape) < 0.3] = np.nan
y[:8, :, 0] = np.nan  # unequal gaps
y[16:20] = np.nan  # in one batch, the first half has no label
y[1:3] = np.nan
weight = rng.random((28, 5)).astype("float32")
classes = np.where(np.isnan(y[..., 0]), -1, y[..., 0] > 0).astype("float32")


def dataset(labels, with_weight=True):
    """28 samples: the last batch has 4, which three replicas cannot share evenly."""
    arrays = (x, labels, weight) if with_weight else (x, labels)
    data = tf.data.Dataset.from_tensor_slices(arrays).batch(GLOBAL_BATCH)
    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
    return data.with_options(options)


class Model(distributed.ReplicaTraining, keras.Sequential):
    pass


def train(strategy, loss, labels=y, with_weight=True):
    """The weights after two epochs, the reported losses, and what `evaluate` says."""
    keras.utils.set_random_seed(1)
    with strategy.scope():
        model = Model(
            [
                keras.Input((5, 2)),
                keras.layers.LSTM(3, return_sequences=True),
                keras.layers.Dense(2, activation="softmax" if labels is classes else None),
            ]
        )
        model.compile(keras.optimizers.SGD(0.1), loss=loss)
    data = dataset(labels, with_weight)
    history = model.fit(data, epochs=2, verbose=0).history["loss"]
    evaluated = model.evaluate(data, verbose=0)
    weights = np.concatenate([w.ravel() for w in model.get_weights()])
    return weights, np.array([*history, evaluated])


def gradient_by_weight(strategy, loss):
    """Of the replicas together, by weights that every replica has."""
    scale = tf.constant([0.5, 2.0, 1.0])

    @tf.function
    def step(y_true, y_pred):
        with tf.GradientTape() as tape:
            tape.watch(scale)
            value = loss(y_true, y_pred, scale * tf.ones([tf.shape(y_true)[0], 3]))
        return tape.gradient(value, scale), value

    y_pred = np.zeros((8, 3, 2), "float32")
    data = tf.data.Dataset.from_tensor_slices((y[8:16, :3], y_pred)).batch(8)
    (batch,) = strategy.experimental_distribute_dataset(data)
    gradient, value = strategy.run(step, batch)
    return [strategy.reduce("SUM", x, axis=None).numpy() for x in (gradient, value)]


def report(name, one, several):
    """One line: the greatest differences of weights and of reported losses, and their sizes."""
    row = {"name": name}
    for key, a, b in zip(("weights", "losses"), one, several, strict=True):
        row[key] = {"difference": float(np.max(np.abs(a - b))), "size": float(np.max(np.abs(a)))}
    row["reported"] = [float(np.ravel(side[1])[-1]) for side in (one, several)]
    print("RESULT", json.dumps(row), flush=True)


def cases():
    """Name, loss and labels."""
    for reduction in ("sum_over_batch_size", "mean_with_sample_weight", "sum"):
        yield reduction, losses.MeanSquaredError(reduction=reduction), y
    for balance in ("sample", "timestep", "feature"):
        yield f"balance={balance}", losses.Huber(balance=balance), y
    yield (
        "balance, mean_with_sample_weight",
        losses.Huber(balance="sample", reduction="mean_with_sample_weight"),
        y,
    )
    yield "normalizer", losses.MeanSquaredError(normalizer=50.0), y
    yield "Masked", losses.Masked("SparseCategoricalCrossentropy"), classes


def main():
    number = int(sys.argv[1])
    tf.config.set_logical_device_configuration(
        tf.config.list_physical_devices("CPU")[0],
        [tf.config.LogicalDeviceConfiguration()] * number,
    )
    several = tf.distribute.MirroredStrategy([f"CPU:{i}" for i in range(number)])
    one = tf.distribute.get_strategy()
    # What is added up differs between the forms, not how many replicas add it up.
    everything = number == 2
    for name, loss, labels in cases():
        if everything or name in ("sum_over_batch_size", "mean_with_sample_weight"):
            report(name, train(one, loss, labels), train(several, loss, labels))
        if everything and name in ("sum_over_batch_size", "mean_with_sample_weight"):
            results = (gradient_by_weight(s, loss) for s in (one, several))
            report(f"gradient_by_weight, {name}", *results)
    if number == 3:
        # Keras's own way: zeros for the gaps, and weights that are 0 there.
        weight[...] *= ~np.isnan(y).any(axis=-1)
        filled = np.nan_to_num(y)
        for reduction in ("sum_over_batch_size", "mean_with_sample_weight"):
            loss = keras.losses.MeanSquaredError(reduction=reduction)
            results = (train(s, loss, filled) for s in (one, several))
            report(f"Keras, {reduction}", *results)


if __name__ == "__main__":
    main()
