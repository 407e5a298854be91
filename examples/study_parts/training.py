"""One training and its errors. Imports TensorFlow: import it late.

Design:

a) Whatever is not the method is the same for all methods of a seed: the removed labels, the initial
   weights, the number of gradient steps, and, unless windows are dropped, the windows' order.
b) A window may begin in every hour, so that dropping windows keeps as many as can be.
c) The weights that are tested are those with the smallest error on the validation labels that are
   left: removed as in the training part, imputed for nobody.
d) A process builds one model for each loss and gives it new weights for each training: TensorFlow
   takes longer to trace a model than to train it for some hundred steps.
"""

import dataclasses
import functools
import time
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

import masklstm
from masklstm.commands.demo import forecast, options
from masklstm.commands.demo.evaluation import Errors, compare, persistence
from masklstm.commands.demo.examples import Series, prepare
from masklstm.commands.demo.removal import remove
from masklstm.commands.table import Floats, read_table
from study_parts.design import MASKED, PATTERNS, Design, Training
from study_parts.methods import labels_to_train_on, windows_to_train_on


def use_one_thread() -> None:
    """Trainings run side by side: each process keeps to one core."""
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)


@functools.cache
def load_series(design: Design) -> Series:
    """The demo's series, with nothing removed."""
    source = options.shipped_source()
    return prepare(read_table(source.path), source.target, design.window, design.horizon)


def persistence_errors(design: Design) -> Errors:
    """The yardstick that does not learn: the last value known when the forecast is made."""
    series = load_series(design)
    rows = series.split.parts["test"]
    return compare(series.target[rows], persistence(series, rows, design.horizon))


def train(training: Training, design: Design) -> dict[str, Any]:
    """Trains once; the errors are ``None`` where the method has no window to train on."""
    whole = load_series(design)
    series = remove_labels(whole, training, design)
    rows = label_rows(series, design)
    labels = labels_to_train_on(training.method, series.target[rows])
    starts = windows_to_train_on(training.method, labels, design.window)
    record = {
        "windows": len(starts),
        "label_rmse": imputation_error(whole.target[rows], series.target[rows], labels),
        "rmse": None,
        "mae": None,
    }
    if len(starts):
        learner = load_learner(training.method == MASKED, design)
        record |= learner.train(series, labels, starts, training.seed)
        test = whole.split.parts["test"]
        errors = compare(whole.target[test], learner.forecast(series, test))
        record |= dataclasses.asdict(errors)
    return record


def label_rows(series: Series, design: Design) -> slice:
    """The rows that are labels of the training part: an input lies the horizon before each."""
    return slice(design.horizon, series.split.train)


def remove_labels(series: Series, training: Training, design: Design) -> Series:
    """Removes labels of the training and of the validation part; inputs stay as they are."""
    block = 1 if training.condition.pattern == PATTERNS[0] else design.block_hours
    target = series.target
    parts = (label_rows(series, design), series.split.parts["validation"])
    for number, rows in enumerate(parts):
        generator = np.random.default_rng((training.seed, number))
        target = remove(target, rows, training.condition.percent / 100, block, generator)
    return dataclasses.replace(series, target=target)


def imputation_error(observed: Floats, left: Floats, labels: Floats) -> float | None:
    """RMSE of the imputed labels where what was removed is known."""
    removed = np.where(np.isnan(left), observed, np.nan)
    imputed = ~np.isnan(removed) & ~np.isnan(labels)
    return compare(removed[imputed], labels[imputed]).rmse if imputed.any() else None


@functools.cache
def load_learner(masked: bool, design: Design) -> "Learner":
    """The model of this process with masklstm's loss, or with Keras's own."""
    losses = masklstm.losses if masked else keras.losses
    return Learner(losses.MeanSquaredError(), load_series(design).inputs, design)


class Learner:
    """A model that is compiled once and trained many times, each time from new weights."""

    def __init__(self, loss: keras.losses.Loss, inputs: NDArray[np.float32], design: Design):
        self.design = design
        self.inputs = tf.constant(inputs)
        self.model = self._new_model(seed=0)
        self.model.compile(keras.optimizers.Adam(design.learning_rate), loss)
        self.model.optimizer.build(self.model.trainable_variables)
        self.fresh_optimizer = [variable.numpy() for variable in self.model.optimizer.variables]
        # Traced before the clock runs.
        labels = np.zeros(len(inputs) - design.horizon)
        first_batch = self._batches(labels, np.zeros(design.batch_size, int))
        self.model.fit(first_batch, shuffle=False, verbose=0)

    def train(
        self, series: Series, labels: Floats, starts: NDArray[np.intp], seed: int
    ) -> dict[str, Any]:
        """Trains from new weights, and leaves those that forecast the validation part best."""
        design = self.design
        self.model.set_weights(self._new_model(seed).get_weights())
        for variable, value in zip(
            self.model.optimizer.variables, self.fresh_optimizer, strict=True
        ):
            variable.assign(value)
        order = windows_in_order(starts, design.steps * design.batch_size, seed)
        clock = Stopwatch()
        best = forecast.KeepBestEpoch(series, self._settings(seed), report=lambda _: None)
        self.model.fit(
            self._batches(series.scale.standardise(labels), order),
            epochs=design.steps // design.validate_every,
            steps_per_epoch=design.validate_every,
            shuffle=False,
            callbacks=[clock, best],
            verbose=0,
        )
        return {
            "validation_rmse": min(best.validation_rmse),
            "best_step": best.best_epoch * design.validate_every,
            "seconds": clock.seconds,
        }

    def forecast(self, series: Series, rows: slice) -> Floats:
        """Forecasts every given row."""
        return forecast.forecast(self.model, series, rows, self._settings(seed=0))

    def _new_model(self, seed: int) -> keras.Model:
        layers = keras.layers if self.design.keras_layer else masklstm.layers
        return forecast.build_model(self.inputs.shape[-1], self._settings(seed), layers)

    def _settings(self, seed: int) -> options.Settings:
        design = self.design
        return options.Settings(design.horizon, design.window, 1, design.units, seed)

    def _batches(self, labels: Floats, order: NDArray[np.intp]) -> tf.data.Dataset:
        """Windows of inputs and labels, in the given order; label i belongs to input i."""
        targets = tf.constant(labels[:, None], tf.float32)
        steps = tf.range(self.design.window, dtype=tf.int64)

        def cut(starts: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            rows = starts[:, None] + steps
            return tf.gather(self.inputs, rows), tf.gather(targets, rows)

        return tf.data.Dataset.from_tensor_slices(order).batch(self.design.batch_size).map(cut)


def windows_in_order(starts: NDArray[np.intp], number: int, seed: int) -> NDArray[np.intp]:
    """As many windows as asked for: pass after pass over all of them, each in a new order."""
    generator = np.random.default_rng(seed)
    passes = -(-number // len(starts))
    return np.concatenate([generator.permutation(starts) for _ in range(passes)])[:number]


class Stopwatch(keras.callbacks.Callback):  # type: ignore[misc]
    """Seconds spent on gradient steps, if it is the first callback."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds = 0.0

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self.began = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self.seconds += time.perf_counter() - self.began
