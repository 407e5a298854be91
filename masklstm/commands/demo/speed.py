"""How long an epoch takes with masklstm's LSTM and with Keras's. Imports TensorFlow."""

import time
from dataclasses import dataclass

import keras

import masklstm
from masklstm.commands.demo import forecast
from masklstm.commands.demo.examples import Series, training_windows
from masklstm.commands.demo.options import Settings

_ROUNDS = 3


@dataclass(frozen=True)
class Seconds:
    """The shortest epoch of several, by turns, after one that is not counted."""

    ours: float
    keras: float

    @property
    def ratio(self) -> float:
        return self.keras / self.ours


def time_epochs(series: Series, settings: Settings) -> Seconds:
    """Trains the same model with either layer."""
    inputs, labels = training_windows(series, settings.window, settings.horizon)
    shortest = []
    models = []
    for layers in (masklstm.layers, keras.layers):
        model = forecast.build_model(inputs.shape[-1], settings, layers)
        model.compile(forecast.optimizer(), loss=masklstm.losses.MeanSquaredError())
        models.append(model)
        shortest.append(float("inf"))
    for each_round in range(1 + _ROUNDS):
        for place, model in enumerate(models):
            began = time.perf_counter()
            model.fit(inputs, labels, batch_size=32, verbose=0)
            if each_round:
                shortest[place] = min(shortest[place], time.perf_counter() - began)
    return Seconds(*shortest)
