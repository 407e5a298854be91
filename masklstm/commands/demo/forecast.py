"""The model and its training. Imports TensorFlow: import it late.

The model in three lines: an LSTM reads a window of inputs row by row; after every row a dense
layer forecasts the target ``horizon`` rows later. So a window has as many labels as rows, and where
some of them are missing it cannot just be dropped: the loss has to skip them.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

import masklstm
from masklstm.commands.demo.evaluation import compare, decimals
from masklstm.commands.demo.examples import Series, Tensor, forecast_windows, training_windows
from masklstm.commands.demo.options import Settings
from masklstm.commands.table import Floats

# Chosen on the validation part of the shipped data.
_LEARNING_RATE = 1e-3
_BATCH_SIZE = 32
# Bounds the memory that forecasts of a long series take.
_FORECASTS_AT_ONCE = 1024


@dataclass(frozen=True)
class Trained:
    """A model with the weights of its best epoch, and the validation RMSE after every epoch."""

    model: keras.Model
    validation_rmse: list[float]
    best_epoch: int


def build_model(features: int, settings: Settings, layers: Any = masklstm.layers) -> keras.Model:
    """The model; its initial weights depend on the seed alone.

    `layers` is the module that its LSTM comes from: masklstm's or Keras's own, which has the same
    weights.
    """
    keras.utils.set_random_seed(settings.seed)
    return keras.Sequential(
        [
            keras.Input((settings.window, features)),
            layers.LSTM(settings.units, return_sequences=True),
            keras.layers.Dense(1),
        ]
    )


def optimizer() -> keras.optimizers.Optimizer:
    """The optimizer of all trainings."""
    return keras.optimizers.Adam(_LEARNING_RATE)


def train_masked(series: Series, settings: Settings, report: Callable[[str], None]) -> Trained:
    """Trains on the labels as they are: masklstm's loss skips the missing ones."""
    inputs, labels = training_windows(series, settings.window, settings.horizon)
    return _train(inputs, labels, masklstm.losses.MeanSquaredError(), series, settings, report)


def train_mean_filled(series: Series, settings: Settings, report: Callable[[str], None]) -> Trained:
    """Trains with Keras's own loss: missing labels become the mean of the others."""
    inputs, labels = training_windows(series, settings.window, settings.horizon)
    mean = np.nanmean(series.labels[settings.horizon : series.split.train], dtype=np.float64)
    filled = np.nan_to_num(labels, nan=float(mean))
    return _train(inputs, filled, keras.losses.MeanSquaredError(), series, settings, report)


def forecast(model: keras.Model, series: Series, rows: slice, settings: Settings) -> Floats:
    """Forecasts every given row, from the window that ends ``horizon`` rows before it."""
    windows = forecast_windows(series, rows, settings.window, settings.horizon)
    pieces = [
        model.predict_on_batch(windows[start : start + _FORECASTS_AT_ONCE])[:, -1, 0]
        for start in range(0, len(windows), _FORECASTS_AT_ONCE)
    ]
    return series.scale.restore(np.concatenate(pieces))


def _train(
    inputs: Tensor,
    labels: Tensor,
    loss: keras.losses.Loss,
    series: Series,
    settings: Settings,
    report: Callable[[str], None],
) -> Trained:
    model = build_model(inputs.shape[-1], settings)
    model.compile(optimizer(), loss=loss)
    # A shuffle with a seed of its own, so that the batches are the same for every loss.
    batches = (
        tf.data.Dataset.from_tensor_slices((inputs, labels))
        .shuffle(len(inputs), seed=settings.seed)
        .batch(_BATCH_SIZE)
    )
    best = KeepBestEpoch(series, settings, report)
    model.fit(batches, epochs=settings.epochs, shuffle=False, verbose=0, callbacks=[best])
    return Trained(model, best.validation_rmse, best.best_epoch)


class KeepBestEpoch(keras.callbacks.Callback):  # type: ignore[misc]
    """Reports every epoch; ends with the weights that forecast the validation part best."""

    def __init__(self, series: Series, settings: Settings, report: Callable[[str], None]) -> None:
        super().__init__()
        self.series = series
        self.settings = settings
        self.report = report
        self.validation_rmse: list[float] = []
        self.best_epoch = 0
        self.best_weights: list[Tensor] = []
        self.began = 0.0

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self.began = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        rows = self.series.split.parts["validation"]
        forecasts = forecast(self.model, self.series, rows, self.settings)
        rmse = compare(self.series.target[rows], forecasts).rmse
        if not self.validation_rmse or rmse < min(self.validation_rmse):
            self.best_epoch = epoch + 1
            self.best_weights = self.model.get_weights()
        self.validation_rmse.append(rmse)
        loss = (logs or {}).get("loss", float("nan"))
        seconds = time.perf_counter() - self.began
        self.report(
            f"epoch {epoch + 1:{len(str(self.settings.epochs))}}/{self.settings.epochs}"
            f"  loss {loss:.4f}  validation RMSE {rmse:.{decimals(self.series)}f}  {seconds:.1f} s"
        )

    def on_train_end(self, logs: dict[str, float] | None = None) -> None:
        self.model.set_weights(self.best_weights)
