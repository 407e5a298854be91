"""Three ways to train on labels with gaps, seed by seed. Imports TensorFlow: import it late."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import keras
import numpy as np

from masklstm.commands.demo import forecast
from masklstm.commands.demo.evaluation import Errors, compare, decimals
from masklstm.commands.demo.examples import Series, Tensor, training_windows
from masklstm.commands.demo.forecast import Trained
from masklstm.commands.demo.options import Settings
from masklstm.commands.demo.removal import remove
from masklstm.commands.table import Floats

MASKED, FILLED, PLAIN = "masked", "mean-filled", "plain Keras"


@dataclass
class Way:
    """What became of one way.

    Attributes:
        errors: Of the test part, seed by seed.
        forecasts: Of the test rows, with the first seed.
        trained: With the first seed.
    """

    errors: list[Errors] = field(default_factory=list)
    forecasts: Floats | None = None
    trained: Trained | None = None


def with_labels_removed(series: Series, settings: Settings, seed: int) -> Series:
    """The series with more of the training part's labels removed, in blocks, as where a sensor
    fails for days. Validation and test part keep theirs, and the inputs stay as they are.
    """
    labels = remove(
        series.labels.astype(np.float64),
        slice(settings.horizon, series.split.train),
        settings.remove,
        settings.block,
        np.random.default_rng(seed),
    )
    return replace(series, labels=labels.astype(np.float32))


def train_ways(series: Series, settings: Settings, say: Callable[[str], None]) -> dict[str, Way]:
    """Trains with masked and with mean-filled labels, with every seed: the same labels removed,
    the same initial weights, the same order of the batches.
    """
    ways = {MASKED: Way(), FILLED: Way()}
    trainers = {MASKED: forecast.train_masked, FILLED: forecast.train_mean_filled}
    rows = series.split.parts["test"]
    places = decimals(series)
    for number in range(settings.seeds):
        seed = settings.seed + number
        own = replace(settings, seed=seed)
        gappy = with_labels_removed(series, settings, seed)
        for name, way in ways.items():
            began = time.perf_counter()
            trained = trainers[name](gappy, own, lambda _: None)
            forecasts = forecast.forecast(trained.model, series, rows, own)
            way.errors.append(compare(series.target[rows], forecasts))
            if way.trained is None:
                way.trained, way.forecasts = trained, forecasts
            say(
                f"seed {number + 1}/{settings.seeds}  {name:11}  "
                f"best epoch {trained.best_epoch:2} of {settings.epochs}  "
                f"test RMSE {way.errors[-1].rmse:.{places}f}  "
                f"{time.perf_counter() - began:.1f} s"
            )
    return ways


def plain_keras_fails(series: Series, settings: Settings) -> tuple[float, float]:
    """Keras's own loss on the labels as they are: the loss after the first epoch, and the share of
    the weights that are NaN then.
    """
    inputs, labels = training_windows(
        with_labels_removed(series, settings, settings.seed), settings.window, settings.horizon
    )
    model = forecast.build_model(inputs.shape[-1], settings, keras.layers)
    model.compile(forecast.optimizer(), loss="mean_squared_error")
    loss = model.fit(inputs, labels, batch_size=32, epochs=1, verbose=0).history["loss"][0]
    weights: Tensor = np.concatenate([weight.ravel() for weight in model.get_weights()])
    return float(loss), float(np.isnan(weights).mean())
