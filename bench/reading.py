"""Times reading and inspecting a table of a million rows beside pandas' own reading.

    python -m bench.reading [--rows N]

Both by turns in one process; the shortest of several rounds, in seconds of the processor.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pandas

import masklstm

COLUMNS = "abcd"


def write(path: Path, rows: int) -> None:
    """Hours and four columns of numbers, of which a tenth is missing."""
    rng = np.random.default_rng(0)
    table = {"time": np.datetime64("1900-01-01T00") + np.arange(rows)}
    for name in COLUMNS:
        values = np.round(rng.normal(size=rows), 3)
        table[name] = np.where(rng.random(rows) < 0.1, np.nan, values)
    pandas.DataFrame(table).to_csv(path, index=False)


def shortest(rounds: int, *functions: Callable[[], object]) -> list[float]:
    seconds = [float("inf")] * len(functions)
    for _ in range(rounds):
        for place, function in enumerate(functions):
            began = time.process_time()
            function()
            seconds[place] = min(seconds[place], time.process_time() - began)
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "table.csv"
        write(path, arguments.rows)

        def ours() -> object:
            table = masklstm.data.read_table(path, verbose=False)
            return str(masklstm.inspect(table[list(COLUMNS)], times=table["time"]))

        plain, theirs, own = shortest(
            arguments.rounds,
            lambda: pandas.read_csv(path),
            lambda: pandas.read_csv(path, parse_dates=["time"]),
            ours,
        )
        print(f"{arguments.rows:,} rows, {path.stat().st_size / 1e6:.0f} MB")
    print(f"pandas.read_csv                    {plain:.3f} s")
    print(f"pandas.read_csv, times as times    {theirs:.3f} s")
    print(f"read_table and inspect             {own:.3f} s: {own / plain:.2f} times as long")


if __name__ == "__main__":
    main()
