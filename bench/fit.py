"""`python -m bench.fit`: steps of `model.fit` with each loss, and the loss's share of the step; and
with masklstm's LSTM in the place of Keras's.

The models are real LSTMs; the labels have gaps. In each round every loss trains for a few steps,
in random order. The share is what the loss and its gradient take by themselves, in a tf.function of
their own without the cost of calling it, in the same round.
"""

import argparse
import json
import multiprocessing
import os
import random
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
import tensorflow as tf
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

import masklstm
from bench import fit_table, worker
from bench.fit_table import KERAS, OURS, WHERE
from bench.run import RESULTS, machine
from bench.saving import save_text

MISSING_SHARE = 0.3


@dataclass(frozen=True)
class Model:
    """An LSTM that forecasts `outputs` numbers at every step."""

    name: str
    steps: int
    inputs: int
    outputs: int
    units: int
    batch: int

    def build(self, layers: Any) -> keras.Model:
        keras.utils.set_random_seed(0)
        return keras.Sequential(
            [
                keras.Input((self.steps, self.inputs)),
                layers.LSTM(self.units, return_sequences=True),
                keras.layers.Dense(self.outputs),
            ]
        )


MODELS = (
    Model("the demo's", steps=48, inputs=12, outputs=1, units=32, batch=32),
    Model("512 series", steps=24, inputs=512, outputs=512, units=64, batch=256),
    Model("long sequences", steps=512, inputs=8, outputs=8, units=32, batch=32),
)


def where_loss(y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
    valid = ~tf.math.is_nan(y_true)
    error = tf.where(valid, y_pred - tf.where(valid, y_true, 0.0), 0.0)
    count = tf.reduce_sum(tf.cast(valid, tf.float32))
    return tf.math.divide_no_nan(tf.reduce_sum(tf.square(error)), count)


class ByElement(keras.losses.MeanSquaredError):  # type: ignore[misc]
    """Keras's loss with a last axis of its own for each number, so that weights are by element."""

    def __call__(
        self, y_true: tf.Tensor, y_pred: tf.Tensor, sample_weight: tf.Tensor | None = None
    ) -> tf.Tensor:
        return super().__call__(y_true[..., None], y_pred[..., None], sample_weight)


def losses() -> dict[str, Any]:
    return {
        OURS: masklstm.losses.MeanSquaredError(),
        WHERE: where_loss,
        KERAS: ByElement(reduction="mean_with_sample_weight"),
    }


def batches(model: Model, name: str, steps: int) -> tuple[np.ndarray, ...]:
    """An epoch's inputs and labels, and where the loss needs them, weights."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((model.batch * steps, model.steps, model.inputs), dtype=np.float32)
    y = x[:, :, : model.outputs].cumsum(axis=1) / np.float32(np.sqrt(model.steps))
    valid = rng.random(y.shape, dtype=np.float32) >= MISSING_SHARE
    if name == KERAS:
        return x, np.where(valid, y, np.float32(0)), valid.astype(np.float32)
    return x, np.where(valid, y, np.float32(np.nan))


def fit(
    model: Model, name: str, steps: int, layers: Any = keras.layers
) -> Callable[[], keras.callbacks.History]:
    """A function that trains for one epoch."""
    network = model.build(layers)
    network.compile(keras.optimizers.Adam(1e-3), loss=losses()[name])
    data = tf.data.Dataset.from_tensor_slices(batches(model, name, steps))
    data = data.batch(model.batch, drop_remainder=True).cache()
    return partial(network.fit, data, verbose=0)


def loss_alone(model: Model, name: str, steps: int) -> Callable[[], float]:
    """The loss and its gradient as often as an epoch has steps, within one call of a function."""
    loss = losses()[name]
    _, labels, *weights = (tf.constant(x[: model.batch]) for x in batches(model, name, steps))
    y_pred = tf.where(tf.math.is_nan(labels), 0.0, labels) + 0.1

    @tf.function
    def run() -> tf.Tensor:
        total = 0.0
        for _ in tf.range(steps):
            tf.autograph.experimental.set_loop_options(parallel_iterations=1)
            with tf.GradientTape() as tape:
                tape.watch(y_pred)
                value = loss(labels, y_pred, *weights)
            total += tape.gradient(value, y_pred)[0, 0, 0]
        return total

    run()
    return lambda: float(run())


def peak_bytes(model: Model, name: str, steps: int) -> int:
    """The most memory of a process that does nothing but train."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_train_and_tell, (model, name, steps))


def _train_and_tell(model: Model, name: str, steps: int) -> int:
    fit(model, name, steps)()
    return worker.resident("VmHWM")


def measure_model(
    model: Model, rounds: int, steps: int, advance: Callable[[], None]
) -> dict[str, Any]:
    trains = {name: fit(model, name, steps) for name in losses()}
    trains[fit_table.LAYER] = fit(model, OURS, steps, masklstm.layers)
    first_losses = {name: float(train().history["loss"][0]) for name, train in trains.items()}
    spread = max(first_losses.values()) - min(first_losses.values())
    if not spread <= 1e-3 * abs(first_losses[OURS]):
        raise worker.WrongResultError(f"{model.name}: the losses differ: {first_losses}")

    alone = {fit_table.alone(name): loss_alone(model, name, steps) for name in losses()}
    runs = {**trains, **alone, "A/A": trains[OURS]}
    generator = random.Random(0)
    samples = []
    for _ in range(rounds):
        seconds = {}
        for name in generator.sample(list(runs), len(runs)):
            begin = time.perf_counter()
            runs[name]()
            seconds[name] = (time.perf_counter() - begin) / steps
        samples.append([float(f"{seconds[name]:.5g}") for name in runs])
        advance()
    return {
        "model": asdict(model),
        "losses of the first epoch": first_losses,
        "peak_bytes": {name: peak_bytes(model, name, steps) for name in losses()},
        "columns": list(runs),
        "seconds": samples,
    }


def show(result: dict[str, Any], console: Console) -> None:
    header, *rows = fit_table.table(result)
    table = Table(*header, title="Steps of model.fit", title_justify="left")
    for row in rows:
        table.add_row(*row)
    console.print(table)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.fit", description=__doc__)
    parser.add_argument("--rounds", type=int, default=20, help="per model (default: %(default)s)")
    parser.add_argument("--steps", type=int, default=10, help="of an epoch (default: %(default)s)")
    parser.add_argument(
        "--out", type=Path, default=RESULTS / "fit.json", help="default: %(default)s"
    )
    options = parser.parse_args()
    console = Console()
    result: dict[str, Any] = {"machine": machine(), "rounds": options.rounds, "models": []}
    with Progress(console=console) as progress:
        for model in MODELS:
            task = progress.add_task(model.name, total=options.rounds)
            result["models"].append(
                measure_model(model, options.rounds, options.steps, partial(progress.advance, task))
            )
    save_text(options.out, json.dumps(result, indent=1) + "\n")
    show(result, console)
    console.print(f"saved {options.out}", soft_wrap=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
