"""`python -m bench.channels`: likelihoods and sets of quantiles, forward with the gradient.

All run in one process, once in each round, in random order; what counts are the medians of the
ratios within a round. Values and gradients are first compared with the reference in float64.
"""

import argparse
import json
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from rich.console import Console
from rich.progress import track
from rich.table import Table

from bench.channels import tables
from bench.channels.providers import CASES, PROVIDERS, arrays
from bench.run import RESULTS, machine
from bench.saving import save_text
from masklstm import reference

TOLERANCE = 1e-4  # of the largest number; the others compute in float32


def check(case: str, run: Callable[..., Any]) -> None:
    """Raises ValueError for a wrong value or gradient."""
    parameters, _ = CASES[case]
    y_true, y_pred = arrays(case, 2**12)
    exact = tf.constant(y_pred.astype(np.float64))
    with tf.GradientTape() as tape:
        tape.watch(exact)
        wanted = reference.masked_loss(y_true, exact, case, **parameters)
    slopes = tape.gradient(wanted, exact).numpy()
    value, gradient = run(tf.constant(y_true), tf.constant(y_pred))
    for found, expected in ((value, wanted.numpy()), (gradient, slopes)):
        if np.max(np.abs(np.asarray(found) - expected)) > TOLERANCE * np.max(np.abs(expected)):
            raise ValueError(f"{case}: a wrong result")


def seconds_of(run: Callable[..., Any], tensors: list[tf.Tensor]) -> float:
    begin = time.perf_counter()
    value, gradient = run(*tensors)
    value.numpy()
    gradient.numpy()  # waits; on a CPU it copies nothing
    return time.perf_counter() - begin


def measured(case: str, elements: int, rounds: int) -> dict[str, Any]:
    runs = {name: make(case) for name, make in PROVIDERS.items()}
    for run in runs.values():
        check(case, run)
    tensors = [tf.constant(x) for x in arrays(case, elements)]
    columns = [*runs, "A/A"]
    runs["A/A"] = runs["masklstm"]
    for run in runs.values():
        seconds_of(run, tensors)  # traces, and fills the allocator
    generator = random.Random(0)
    samples = []
    for _ in track(range(rounds), case, transient=True):
        seconds = {c: seconds_of(runs[c], tensors) for c in generator.sample(columns, len(columns))}
        samples.append([seconds[column] for column in columns])
    return {"case": case, "elements": elements, "columns": columns, "seconds": samples}


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m bench.channels",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--rounds", type=int, default=20, help="of each loss (default: 20)")
    parser.add_argument("--elements", type=int, default=2**22, help="labels (default: 2^22)")
    parser.add_argument(
        "--out", type=Path, default=RESULTS / "channels.json", help="where the results go"
    )
    arguments = parser.parse_args()
    results = [measured(case, arguments.elements, arguments.rounds) for case in CASES]
    save_text(
        arguments.out,
        json.dumps({"machine": machine(), "rounds": arguments.rounds, "results": results}, indent=1)
        + "\n",
    )
    console = Console()
    header, table = tables.rows(results)
    shown = Table(*header, title="times as long as masklstm, forward with the gradient")
    for row in table:
        shown.add_row(*row)
    console.print(shown)
    for line in tables.missed(results):
        console.print(f"missed: {line}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
