"""What the examples share: the data, training, and how its outcome is reported."""

import argparse
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np

from masklstm.commands.demo.examples import prepare
from masklstm.commands.demo.options import SHIPPED_DATA, SHIPPED_TARGET
from masklstm.commands.table import read_table

NAN = float("nan")
ARRAY = [[1, 2, NAN, 4], [5, NAN, 7, 8], [9, 10, 11, NAN]]
_STEPS = 24


def small_array() -> tuple[np.ndarray, np.ndarray]:
    """Three series of four steps, as inputs and as labels: `(3, 4, 1)`."""
    array = np.array(ARRAY, "float32")[..., None]
    return array, array


def beijing(windows: int = 240) -> tuple[np.ndarray, np.ndarray]:
    """Hourly PM2.5 in windows of a day, standardised: the hours, and as labels the next hours."""
    series = prepare(read_table(SHIPPED_DATA), SHIPPED_TARGET, window=_STEPS, horizon=1)
    hours = np.arange(windows * _STEPS).reshape(windows, _STEPS)
    return series.labels[hours][..., None], series.labels[hours + 1][..., None]


def fill_inputs(x):
    # masklstm.layers.Impute() within the model does the same, and tells it what was missing.
    return np.nan_to_num(x, nan=0.0)


def train(
    model: keras.Model, loss: Any, x: np.ndarray, y: np.ndarray, **arguments: Any
) -> tuple[keras.Model, list[float]]:
    """The model, and its loss after every epoch."""
    small = len(x) < 32
    model.compile(keras.optimizers.Adam(0.03 if small else 0.01), loss=loss)
    epochs = 60 if small else 12
    return model, model.fit(x, y, epochs=epochs, verbose=0, **arguments).history["loss"]


@dataclass
class Outcome:
    """What became of one answer on one set of data."""

    data: str
    answer: str
    model: keras.Model
    losses: list[float]

    @property
    def loss(self) -> str:
        if not np.isfinite(self.losses).all():
            return "nan"
        return "falls" if self.losses[-1] < self.losses[0] else "does not fall"

    @property
    def weights(self) -> str:
        finite = all(np.isfinite(weight).all() for weight in self.model.get_weights())
        return "finite" if finite else "nan"


def try_all(
    answers: dict[str, Callable[..., tuple[keras.Model, list[float]]]],
    data: dict[str, tuple[np.ndarray, np.ndarray]],
) -> list[Outcome]:
    """Trains every answer on all data, each from the same initial weights."""
    outcomes = []
    for data_name, (x, y) in data.items():
        for name, answer in answers.items():
            keras.utils.set_random_seed(0)
            outcomes.append(Outcome(data_name, name, *answer(x, y)))
    return outcomes


def main(
    description: str,
    run: Callable[[], list[Outcome]],
    compare: Callable[[list[Outcome]], dict[str, dict[str, float]]] | None = None,
    arguments: list[str] | None = None,
) -> list[Outcome]:
    """An example as a command: runs it and prints the outcome."""
    formatter = argparse.RawDescriptionHelpFormatter
    argparse.ArgumentParser(description=description, formatter_class=formatter).parse_args(
        arguments
    )
    outcomes = run()
    for outcome in outcomes:
        print(
            f"{outcome.data:11}  {outcome.answer:24}  loss {outcome.losses[0]:.3g} to "
            f"{outcome.losses[-1]:.3g}, weights {outcome.weights}"
        )
    for figure, values in (compare(outcomes) if compare else {}).items():
        print(f"\n{figure}")
        for answer, value in values.items():
            print(f"  {answer:24}  {value:.2f}")
    return outcomes
