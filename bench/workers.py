"""What the exact mean over several workers costs in a training step.

    python -m bench.workers [--workers 1 2 3] [--out docs/distributed-costs.md]

Starts local processes as workers. In each round every loss trains for some steps, in turn, on the
same labels without gaps (with gaps Keras's own is NaN); Keras's mean is that of each worker's own
labels, averaged, so with gaps it would be another one. The sums over workers of a step are counted
in its graph. Then the time on paper for more workers than there are here.
"""

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

from bench.saving import save_text

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

PAGE = Path(__file__).parents[1] / "docs" / "distributed-costs.md"
BATCH, LENGTH, FEATURES, UNITS = 64, 48, 8, 32
STEPS = 50
MARK = "RESULT "


def run_worker(rounds: int) -> None:
    """One of the processes; the first one prints what was measured."""
    import keras
    import numpy as np
    import tensorflow as tf

    from masklstm import distributed, layers, losses
    from masklstm.distributed.sharding import Share

    strategy = tf.distribute.MultiWorkerMirroredStrategy()
    index, workers = distributed.shard(strategy)
    rng = np.random.default_rng(index)
    x = rng.normal(size=(BATCH, LENGTH, FEATURES)).astype("float32")
    y = np.cumsum(x[..., :1], axis=1)

    class Again(keras.utils.PyDataset):  # type: ignore[misc]  # Keras has no types
        def __len__(self) -> int:
            return STEPS

        def __getitem__(self, number: int) -> Any:
            return x, y

    steps: dict[str, tuple[Any, Any]] = {}
    for name, loss in (
        ("Keras's", keras.losses.MeanSquaredError()),
        ("masklstm's", losses.MeanSquaredError()),
    ):
        with strategy.scope():
            inputs = keras.Input((LENGTH, FEATURES))
            hidden = layers.LSTM(UNITS, return_sequences=True)(inputs)
            model = distributed.Model(inputs, keras.layers.Dense(1)(hidden))
            model.compile("sgd", loss=loss, jit_compile=False)
            model.optimizer.build(model.trainable_variables)
        model.fit(Again(), verbose=0)
        steps[name] = model.train_function, iter(Share(Again(), strategy).dataset())

    def seconds(name: str) -> float:
        step, batches = steps[name]
        began = time.perf_counter()
        for _ in range(STEPS):
            logs = step(batches)
        float(logs["loss"])
        return (time.perf_counter() - began) / STEPS

    for name in steps:
        seconds(name)
    times: dict[str, list[float]] = {name: [] for name in steps}
    for number in range(rounds):
        for name in list(steps) if number % 2 else list(steps)[::-1]:
            times[name].append(seconds(name))
    ratios = [b / a for a, b in zip(*times.values(), strict=True)]
    result = {
        "seconds": {name: statistics.median(each) for name, each in times.items()},
        "ratio": statistics.median(ratios),
        "ratios": [min(ratios), max(ratios)],
        "sums": {name: _sums(*each, model.count_params()) for name, each in steps.items()},
        "latency": _latency(strategy, tf.zeros([3], tf.float64)) if workers > 1 else 0.0,
        "parameters": model.count_params(),
    }
    if index == 0:
        print(MARK + json.dumps(result), flush=True)


def _sums(step: Any, batches: Any, parameters: int) -> list[int]:
    """The bytes of each sum over workers in the graph of a step; none for a single one."""
    if not hasattr(step, "get_concrete_function"):  # Keras's own
        return []
    graph = step.get_concrete_function(batches).graph
    found = []
    for op in graph.get_operations():
        if op.type.startswith("Collective"):
            *parts, _ = op.inputs[0].op.inputs  # side by side, each made flat, along an axis
            sizes = [part.op.inputs[0].shape.num_elements() for part in parts]
            # The graph does not say how large a gradient is: it is as large as its parameter.
            elements = parameters if None in sizes else sum(sizes)
            found.append(elements * op.inputs[0].dtype.size)
    return found


def _latency(strategy: Any, value: Any) -> float:
    """Seconds of a sum over workers, one behind the other."""
    import tensorflow as tf

    count = 50

    def on_replica() -> Any:
        total = value
        for _ in range(count):
            total = tf.distribute.get_replica_context().all_reduce("SUM", total) / 2
        return total

    sums = tf.function(lambda: strategy.run(on_replica), autograph=False)
    sums()
    rounds = []
    for _ in range(20):
        began = time.perf_counter()
        sums()
        rounds.append((time.perf_counter() - began) / count)
    return statistics.median(rounds)


class Measured(NamedTuple):
    workers: int
    seconds: dict[str, float]
    ratio: float
    ratios: list[float]
    sums: dict[str, list[int]]
    latency: float
    parameters: int


def measure(workers: int, rounds: int) -> Measured:
    sys.path.insert(0, str(PAGE.parents[1] / "examples" / "several_machines"))
    from start import configs

    command = [sys.executable, "-m", "bench.workers", "--as-worker", "--rounds", str(rounds)]
    with ExitStack() as stack:
        processes = [
            subprocess.Popen(
                command,
                env={**os.environ, "TF_CONFIG": config},
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            for config in configs(workers)
        ]
        for process in processes:
            stack.callback(process.kill)
        output = [process.communicate(timeout=900) for process in processes]
    for process, (_, errors) in zip(processes, output, strict=True):
        if process.returncode:
            raise SystemExit(errors)
    (line,) = [line for line in output[0][0].splitlines() if line.startswith(MARK)]
    return Measured(workers, **json.loads(line.removeprefix(MARK)))


def page(measured: Sequence[Measured]) -> str:
    first = measured[0]
    sums = measured[-1].sums
    of_loss, of_gradients = min(sums["masklstm's"]), max(sums["masklstm's"])
    return "\n".join(
        [
            "# What the exact mean over workers costs",
            "",
            "Printed by `python -m bench.workers`, on "
            f"{os.cpu_count()} cores; the workers are processes of one machine, so a message takes "
            "less time than over a network, and more than two of them share the cores.",
            "",
            f"A step of an LSTM of {UNITS} units and a batch of {BATCH} windows of {LENGTH} steps "
            f"for each worker ({first.parameters:,} parameters), with Keras's mean squared error, "
            "which averages the workers' own means, and with masklstm's, which is that of all "
            "labels. Both train with `masklstm.distributed.Model`: Keras's own `fit` fails on "
            "several workers.",
            "",
            "| workers | ms a step, Keras's | masklstm's | paired ratio (least, most) | a sum of "
            "24 bytes, ms |",
            "| ---: | ---: | ---: | ---: | ---: |",
            *(_row(each) for each in measured),
            "",
            "## Sums over workers in a step",
            "",
            "Counted in the graph of the training step, with their bytes:",
            "",
            "| loss | sums | bytes |",
            "| --- | ---: | --- |",
            *(
                f"| {name} | {len(each)} | {', '.join(f'{size:,}' for size in sorted(each))} |"
                for name, each in sums.items()
            ),
            "",
            f"One is that of the gradients, {of_gradients:,} bytes, which every such training "
            f"has. The exact mean adds one of {of_loss} bytes: the sum of the losses, the sum "
            "of the weights and the number of labels, float64, side by side. Metrics add none: "
            "they are added up when an epoch ends.",
            "",
            "## On paper, up to 1,024 workers",
            "",
            "A sum of b bytes over n workers takes `h(n) (a + b / (n w))` as a ring, h(n) = 2 (n - "
            "1), and `h(n) (a + b / w)` as a tree, h(n) = 2 log2(n): a is the time of a message "
            "between two workers, w the bandwidth of one. What the exact mean adds to a step is "
            "the sum of 24 bytes; it cannot overlap with anything, since the gradients need it. "
            f"Assumed: {PAPER_PARAMETERS:,} float32 parameters, {PAPER_STEP * 1e3:.0f} ms of "
            "computing for a step, equal on all workers; no worker that is late; a network whose "
            "messages do not disturb each other. TensorFlow's CPU sums are rings, NCCL's small "
            "ones are trees.",
            "",
            "| workers | network | sum as | gradients, ms | exact mean, ms | share of the step |",
            "| ---: | --- | --- | ---: | ---: | ---: |",
            *_on_paper(),
            "",
            f"As a tree it takes {_shares('tree')} of the step; as a ring over TCP "
            f"{_shares('ring', 'TCP')}, where the gradients' own messages take longer than that: "
            "more devices for each worker, or NCCL, help both. The steps that were measured above "
            "are far shorter than this one, and the share is larger.",
            "",
        ]
    )


def _row(each: Measured) -> str:
    keras_s, ours = (f"{each.seconds[name] * 1e3:.2f}" for name in ("Keras's", "masklstm's"))
    least, most = each.ratios
    latency = f"{each.latency * 1e3:.3f}" if each.workers > 1 else "none"
    return (
        f"| {each.workers} | {keras_s} | {ours} | {each.ratio:.3f} ({least:.3f}, {most:.3f}) | "
        f"{latency} |"
    )


PAPER_PARAMETERS, PAPER_STEP = 1_000_000, 0.05
# Seconds of a message, bytes a second.
NETWORKS = {"TCP, 10 Gbit/s": (100e-6, 1.25e9), "InfiniBand, 100 Gbit/s": (5e-6, 12.5e9)}


class OnPaper(NamedTuple):
    workers: int
    network: str
    shape: str
    gradients: float
    mean: float
    share: float


def _shares(shape: str, network: str = "") -> str:
    found = [
        each.share
        for each in _estimates()
        if each.shape == shape and each.network.startswith(network)
    ]
    return f"{min(found):.1%} to {max(found):.1%}"


def _on_paper() -> list[str]:
    return [
        f"| {each.workers:,} | {each.network} | {each.shape} | {each.gradients * 1e3:.2f} | "
        f"{each.mean * 1e3:.3f} | {each.share:.1%} |"
        for each in _estimates()
    ]


def _estimates() -> list[OnPaper]:
    rows = []
    for workers in (8, 64, 256, 1024):
        for network, (message, bandwidth) in NETWORKS.items():
            for shape in ("ring", "tree"):
                ring = shape == "ring"
                hops = 2 * (workers - 1) if ring else 2 * math.log2(workers)
                parts = workers if ring else 1
                gradients, mean = (
                    hops * (message + size / (parts * bandwidth))
                    for size in (4 * PAPER_PARAMETERS, 24)
                )
                share = mean / (PAPER_STEP + gradients + mean)
                rows.append(OnPaper(workers, network, shape, gradients, mean, share))
    return rows


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--out", type=Path, default=PAGE, help="default: %(default)s")
    parser.add_argument("--as-worker", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if given.as_worker:
        run_worker(given.rounds)
        return
    measured = []
    for workers in given.workers:
        print(f"{workers} worker{'s' * (workers > 1)} ...", file=sys.stderr, flush=True)
        measured.append(measure(workers, given.rounds))
    save_text(given.out, page(measured))
    print(given.out.read_text())


if __name__ == "__main__":
    main()
