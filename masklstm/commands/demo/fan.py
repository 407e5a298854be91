"""A forecast of whole distributions, from the same labels with gaps. Imports TensorFlow."""

from dataclasses import dataclass

import keras
import numpy as np

import masklstm
from masklstm.commands.demo import forecast
from masklstm.commands.demo.examples import Series, forecast_windows, training_windows
from masklstm.commands.demo.options import Settings
from masklstm.commands.table import Floats

FAMILY, COMPONENTS = "gaussian", 3
LEVELS = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95)
_AT_ONCE = 1024


@dataclass(frozen=True)
class Fan:
    """Quantiles of the test rows, and how often the labels lie between the outermost two.

    Attributes:
        quantiles: Shape `(rows, levels)`, in the data's unit.
        coverage: The share of the observed rows between the first and the last level.
    """

    quantiles: Floats
    coverage: float


def forecast_distributions(series: Series, settings: Settings) -> Fan:
    """Trains a mixture of three normal distributions by the likelihood of the labels that are
    there, and forecasts the test part.
    """
    inputs, labels = training_windows(series, settings.window, settings.horizon)
    keras.utils.set_random_seed(settings.seed)
    model = keras.Sequential(
        [
            keras.Input((settings.window, inputs.shape[-1])),
            masklstm.layers.LSTM(settings.units, return_sequences=True),
            masklstm.layers.Distribution(FAMILY, components=COMPONENTS),
        ]
    )
    loss = masklstm.losses.NegativeLogLikelihood(FAMILY, COMPONENTS)
    model.compile(forecast.optimizer(), loss=loss)
    # Fewer epochs than the others: likelihoods overfit sooner.
    epochs = -(-settings.epochs // 2)
    model.fit(inputs, labels, batch_size=32, epochs=epochs, shuffle=True, verbose=0)
    rows = series.split.parts["test"]
    windows = forecast_windows(series, rows, settings.window, settings.horizon)
    parameters = np.concatenate(
        [
            model.predict_on_batch(windows[start : start + _AT_ONCE])[:, -1, 0]
            for start in range(0, len(windows), _AT_ONCE)
        ]
    )
    found = masklstm.distributions.quantile(FAMILY, parameters, list(LEVELS), COMPONENTS)
    quantiles = series.scale.restore(np.asarray(found))
    observed = series.target[rows]
    is_there = ~np.isnan(observed)
    inside = (observed >= quantiles[:, 0]) & (observed <= quantiles[:, -1])
    return Fan(quantiles, float(inside[is_there].mean()))
