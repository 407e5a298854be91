"""Forecasts the flow of three rivers, on as many workers as TF_CONFIG lists

Every worker runs this program with each count-th window of the training part as its share. A step
is that of one process which takes the windows of all workers as one batch, whatever the gaps of
each share; the losses and metrics that are printed are those of all shares.

The first worker writes `forecast.keras` and `history.json` into the folder of the results. After an
interruption the same command goes on from the end of the last complete epoch; `history.json` has
the epochs since then.
"""

import argparse
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import tensorflow as tf

from masklstm import data, distributed, layers, losses, metrics

RIVERS = Path(__file__).resolve().parents[2] / "docs" / "notebooks" / "stations.csv.gz"
INPUTS = ["rain", "temperature", "flow"]
COLUMNS: dict[str, Any] = {"inputs": INPUTS, "targets": "flow", "time": "time", "group": "station"}


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("--csv", default=str(RIVERS), metavar="FILE", help="default: %(default)s")
    made.add_argument(
        "--out",
        default="several_machines_out",
        metavar="FOLDER",
        help="of the results, and of what an interrupted training goes on with; on several "
        "machines one that all of them see. Default: %(default)s",
    )
    made.add_argument("--epochs", type=int, default=4, help="default: %(default)s")
    made.add_argument(
        "--batch-size",
        type=int,
        default=480,
        help="windows of all workers together, a multiple of their number. Default: %(default)s",
    )
    return made


def train(csv: str, out: str, epochs: int, batch_size: int) -> dict[str, list[float]]:
    """Trains on this worker's share; returns what was logged of each epoch, of all shares."""
    # Before anything else of TensorFlow's: it joins the others.
    strategy = tf.distribute.MultiWorkerMirroredStrategy()
    index, count = distributed.shard(strategy)
    if batch_size % count:
        raise SystemExit(
            f"Expected --batch-size to be a multiple of the {count} workers. Received: {batch_size}"
        )
    is_first = index == 0

    table = data.read_table(csv, group="station", missing=-999, verbose=is_first)
    training, validation, _ = data.split(table, time="time")

    def share(part: data.Part, **options: Any) -> data.Windows:
        # Their number and order are those of the table: no window twice, none lost.
        options |= {"part": part, "shard": (index, count), "batch_size": batch_size // count}
        return data.windows(table, length=48, horizon=6, **COLUMNS, **options)

    keras.utils.set_random_seed(0)
    with strategy.scope():
        scale, of_flow = layers.Normalization(), layers.Normalization()
        # Of the whole training part, on each worker: a share would have scales of its own.
        scale.adapt(training.of(table)[INPUTS])
        of_flow.adapt(training.of(table)[["flow"]])
        steps = [layers.Impute("last"), layers.LSTM(16), keras.layers.Dense(1)]
        plain = keras.Sequential([keras.Input((48, 3)), scale, *steps, of_flow.inverse()])
        model = distributed.Model(plain.inputs, plain.outputs)
        model.compile(
            keras.optimizers.Adam(1e-2),
            loss=losses.MeanSquaredError(),
            metrics=[metrics.NashSutcliffeEfficiency(name="nse")],
        )
    history = model.fit(
        share(training, shuffle=True, seed=0),
        validation_data=share(validation),
        epochs=epochs,
        verbose=2 if is_first else 0,
        callbacks=[distributed.BackupAndRestore(Path(out) / "backup")],
    ).history
    if is_first:
        plain.save(Path(out) / "forecast.keras")  # which needs no other machine
        (Path(out) / "history.json").write_text(json.dumps(history, indent=2) + "\n")
        print(f"{out}/forecast.keras, {out}/history.json", flush=True)
    return dict(history)


def main(arguments: Sequence[str] | None = None) -> None:
    train(**vars(parser().parse_args(arguments)))


if __name__ == "__main__":
    main()
