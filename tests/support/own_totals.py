"""Losses made of other totals, of one's own and of masklstm's: on one device, and on three unequal
replicas.

    python own_totals.py        prints the value and gradient of each, as JSON

A process of its own: TensorFlow splits devices only before its first op.
"""

import json
import os
from typing import NamedTuple

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import tensorflow as tf

from masklstm import losses, metrics, ops
from masklstm.losses.base import GapAwareLoss


class RootMeanSquaredError(GapAwareLoss):
    def __init__(self):
        super().__init__("mean", "root_mean_squared_error", "float64")

    def totals(self, y_true, y_pred, sample_weight=None):
        return ops.masked_sums(y_true, y_pred, "squared_error", sample_weight)

    def of_totals(self, totals):
        return tf.sqrt(super().of_totals(totals))


class SumsOfSquares(NamedTuple):
    errors: tf.Tensor
    labels: tf.Tensor
    squares: tf.Tensor
    count: tf.Tensor


class Inefficiency(GapAwareLoss):
    """1 minus the Nash-Sutcliffe efficiency: errors over the spread of the labels."""

    def __init__(self):
        super().__init__("mean", "inefficiency", "float64")

    @property
    def totals_spec(self):
        number = tf.TensorSpec((), tf.float64)
        return SumsOfSquares(number, number, number, tf.TensorSpec((), tf.int64))

    def totals(self, y_true, y_pred, sample_weight=None):
        errors = ops.masked_sums(y_true, y_pred, "squared_error", sample_weight)
        nothing = tf.zeros_like(y_pred)
        squares = ops.masked_sums(y_true, nothing, "squared_error").loss_sum
        observed = ~tf.math.is_nan(y_true)
        labels = tf.reduce_sum(tf.where(observed, y_true, tf.zeros_like(y_true)))
        return SumsOfSquares(errors.loss_sum, labels, squares, errors.valid_count)

    def of_totals(self, totals):
        count = tf.cast(totals.count, tf.float64)
        return totals.errors / (totals.squares - totals.labels**2 / count)


WEIGHTS = [1.0, 0.5, 2.0]
LOSSES = (
    RootMeanSquaredError,
    Inefficiency,
    lambda: losses.Huber(balance="feature", dtype="float64", feature_weights=WEIGHTS),
    lambda: losses.RootMeanSquaredError(name="rmse", dtype="float64", feature_weights=WEIGHTS),
    lambda: losses.NashSutcliffeEfficiency(dtype="float64"),
    lambda: losses.KlingGuptaEfficiency(dtype="float64", reduction="mean_with_sample_weight"),
    lambda: losses.ConcordanceCorrelation(dtype="float64", balance="sample"),
    lambda: losses.NegativeLogLikelihood("gaussian", dtype="float64", balance="feature"),
    lambda: losses.Pinball([0.1, 0.8], "mean_with_sample_weight", "quantiles", dtype="float64"),
    lambda: losses.CRPS("ensemble", dtype="float64"),
)
WITH_CHANNELS = ("negative_log_likelihood", "quantiles", "crps")
SHARES = (2, 5, 5)

rng = np.random.default_rng(0)
y_true = np.where(rng.random((12, 3)) < 0.5, np.nan, rng.normal(size=(12, 3)))
y_true[2:4] = np.nan
x, weight = rng.normal(size=(12, 3)), rng.random((12, 1))


def predictions(loss, numbers):
    """Of one number for each label, or two."""
    return tf.stack([numbers, tf.exp(numbers)], -1) if loss.name in WITH_CHANNELS else numbers


def value_and_gradients(loss, samples):
    """By a factor of the predictions and by an exponent of the weights."""
    factor, exponent = tf.constant(0.3, tf.float64), tf.constant(1.0, tf.float64)
    with tf.GradientTape() as tape:
        tape.watch([factor, exponent])
        y_pred = predictions(loss, factor * tf.gather(x, samples))
        value = loss(tf.gather(y_true, samples), y_pred, tf.gather(weight, samples) ** exponent)
    gradients = tape.gradient(value, [factor, exponent], unconnected_gradients="zero")
    return tf.stack([value, *gradients])


def replicas(loss, strategy):
    """The sum over the replicas, as their strategy adds gradients up."""
    ends = np.cumsum(SHARES)

    def share(context):
        number = context.replica_id_in_sync_group
        return tf.range(ends[number] - SHARES[number], ends[number])

    data = strategy.experimental_distribute_values_from_function(share)
    step = tf.function(lambda samples: value_and_gradients(loss, samples))
    return strategy.reduce("SUM", strategy.run(step, (data,)), axis=None)


def epoch(loss):
    """The loss as a metric over unequal batches."""
    metric = metrics.Loss(loss)
    for batch in (slice(0, 2), slice(2, 12)):
        y_pred = predictions(loss, 0.3 * x[batch])
        metric.update_state(y_true[batch], y_pred, weight[batch])
    return metric.result()


def main():
    devices = [tf.config.LogicalDeviceConfiguration()] * len(SHARES)
    tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], devices)
    strategy = tf.distribute.MirroredStrategy([f"CPU:{n}" for n in range(len(SHARES))])
    for make in LOSSES:
        loss = make()
        row = {
            "name": loss.name,
            "one": value_and_gradients(loss, tf.range(12)).numpy().tolist(),
            "several": replicas(loss, strategy).numpy().tolist(),
            "epoch": float(epoch(loss)),
        }
        print("RESULT", json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
