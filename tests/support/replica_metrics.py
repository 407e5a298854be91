"""Evaluates a model on one device and on two replicas, and prints what each metric says.

A process of its own: TensorFlow splits devices only before its first op.
"""

import json
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import tensorflow as tf

from masklstm import metrics
from support.metric_models import all_metrics, compiled, data


def evaluate(strategy, x, y, weight):
    with strategy.scope():
        made = all_metrics()
        model = compiled(made, weighted_metrics=[metrics.R2Score(name="weighted")])
    arguments = {"sample_weight": weight, "batch_size": 8, "verbose": 0}
    model.evaluate(x, y, **arguments)
    logs = model.evaluate(x, y, return_dict=True, **arguments)
    # In a loop of the user's own, with a batch of which one replica has no part.
    dataset = tf.data.Dataset.from_tensor_slices((y, weight)).batch(1)
    with strategy.scope():
        own = metrics.R2Score(name="own_loop")
    step = tf.function(lambda y, weight: own.update_state(y, y * 0.5 + 0.1, weight))
    for batch in strategy.experimental_distribute_dataset(dataset):
        strategy.run(step, batch)
    return {**logs, "own_loop": own.result()}, {
        metric.name: type(metric).__name__ for metric in made
    }


def main():
    tf.config.set_logical_device_configuration(
        tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
    )
    x, y, weight = data(np.random.default_rng(5))
    y[16:20] = np.nan  # in one batch, one replica has no label
    several = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    one, names = evaluate(tf.distribute.get_strategy(), x, y, weight)
    both, _ = evaluate(several, x, y, weight)
    for key, value in one.items():
        row = {"metric": names.get(key, key), "name": key}
        row |= {"one": np.asarray(value).tolist(), "several": np.asarray(both[key]).tolist()}
        print("RESULT", json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
