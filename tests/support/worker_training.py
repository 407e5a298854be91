"""Trains on the workers of TF_CONFIG, or in one process with their whole batches.

    python -m support.worker_training FOLDER COUNT CASE ...

Every `COUNT`-th sample from the second one on has no label at all: so has the second of that
many workers. FOLDER gets a file of each worker: the weights after 20 steps, what was logged of
each epoch and what `evaluate` says, for each case.
"""

import json
import os
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

STEPS, LENGTH = 10, 6
EPOCHS = 2


def cases():
    """Name: loss, metrics, recurrent layer and last layer."""
    import keras

    from masklstm import layers, losses, metrics

    return {
        "mean": (
            losses.MeanSquaredError(),
            [metrics.MeanAbsoluteError(), metrics.R2Score(), metrics.KlingGuptaEfficiency()],
            layers.LSTM,
            keras.layers.Dense(2),
        ),
        "weighted": (
            losses.Huber(reduction="mean_with_sample_weight", balance="feature"),
            [metrics.RootMeanSquaredError(), metrics.ValidShare()],
            layers.GRU,
            keras.layers.Dense(2),
        ),
        "likelihood": (
            losses.NegativeLogLikelihood("student_t"),
            [metrics.CRPS("student_t"), metrics.Coverage(0.5, "student_t")],
            layers.LSTM,
            layers.Distribution("student_t", features=2),
        ),
        "classes": (
            losses.Masked(keras.losses.SparseCategoricalCrossentropy(from_logits=True)),
            [metrics.Masked("sparse_categorical_accuracy")],
            layers.GRU,
            keras.layers.Dense(3),
        ),
    }


def samples(count, batch):
    """19 whole batches and one that the workers cannot share evenly."""
    import numpy as np

    rng = np.random.default_rng(4)
    number = STEPS * batch - batch // 2 - 1
    x = rng.normal(size=(number, LENGTH, 2)).astype("float32")
    y = np.cumsum(x, axis=1)
    y[rng.random(y.shape) < rng.random((number, 1, 2))] = np.nan  # unequal gaps
    y[1::count] = np.nan
    weight = rng.random((number, LENGTH)).astype("float32")
    return x, y, weight


def run(folder, count, names):
    import keras
    import numpy as np
    import tensorflow as tf

    from masklstm import callbacks, distributed

    strategy = tf.distribute.get_strategy()
    if "TF_CONFIG" in os.environ:
        strategy = tf.distribute.MultiWorkerMirroredStrategy()
    index, workers = distributed.shard(strategy)
    batch = 4 * count
    x, y, weight = samples(count, batch)

    class Share(keras.utils.PyDataset):
        def __init__(self, *arrays):
            super().__init__()
            self.arrays = [array[index::workers] for array in arrays]
            self.size = batch // workers

        def __len__(self):
            return -(-len(self.arrays[0]) // self.size)

        def __getitem__(self, number):
            chosen = slice(number * self.size, (number + 1) * self.size)
            return tuple(array[chosen] for array in self.arrays)

    results = {}
    for name in names:
        keras.utils.set_random_seed(1)
        labels = y
        if name == "classes":
            labels = np.where(np.isnan(y[..., 0]), -1, y[..., 0] > 0).astype("float32")
        with strategy.scope():
            loss, metrics, recurrent, last = cases()[name]
            inputs = keras.Input((LENGTH, 2))
            outputs = last(recurrent(4, return_sequences=True)(inputs))
            model = distributed.Model(inputs, outputs)
            model.compile(keras.optimizers.Adam(0.01), loss=loss, metrics=metrics)
        data = Share(x, labels, weight)
        watch = [callbacks.MissingLabels()] if name == "mean" else []
        history = model.fit(
            data, epochs=EPOCHS, verbose=0, shuffle=False, callbacks=watch, validation_data=data
        ).history
        results[name] = {
            "weights": np.concatenate([each.ravel() for each in model.get_weights()]).tolist(),
            "history": history,
            "evaluated": model.evaluate(data, verbose=0, return_dict=True),
            "steps": int(model.optimizer.iterations.numpy()),
        }
    path = Path(folder) / f"worker-{index}-of-{workers}.json"
    path.write_text(json.dumps(results))


if __name__ == "__main__":
    run(sys.argv[1], int(sys.argv[2]), sys.argv[3:])
