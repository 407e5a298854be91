"""`python -m bench.run`: masked losses timed against what a user could pick instead."""

import argparse
import json
import os
import platform
import subprocess
import sys
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np

import masklstm
from bench import harness
from bench.cases import QUICK, Case
from bench.providers import PROVIDERS

RESULTS = Path(__file__).parent / "results"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.run", description=__doc__)
    parser.add_argument("--rounds", type=int, default=30, help="per case (default: %(default)s)")
    parser.add_argument(
        "--out", type=Path, default=RESULTS / "quick.json", help="default: %(default)s"
    )
    arguments = parser.parse_args()
    if arguments.rounds < 3:
        parser.error(f"--rounds: expected at least 3. Received: {arguments.rounds}")

    print(*(f"{name}: {value}" for name, value in machine().items()), sep="\n")
    print("\nTimes as long as masklstm, median of paired rounds [95% interval]")
    names = [provider.NAME for provider in PROVIDERS]
    print(f"{'':26}{'':>12}", *(f"{name:>22}" for name in [*names[1:], "A/A"]), sep="")

    rows, failed = [], False
    for case in QUICK:
        row = measure_case(case, arguments.rounds)
        failed |= bool(row["wrong"])
        rows.append(row)
        print_row(case, row, names)
    result = {
        "machine": machine(),
        "rounds": arguments.rounds,
        "providers": {provider.NAME: provider.DESCRIPTION for provider in PROVIDERS},
        "cases": rows,
    }
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(result, indent=1) + "\n")
    print(f"\nsaved {arguments.out}")
    return 1 if failed else 0


def measure_case(case: Case, rounds: int) -> dict:
    y_true, y_pred = case.arrays()
    runs, wrong = {}, {}
    for provider in PROVIDERS:
        run = provider.make(y_true, y_pred, case.gradient)
        try:
            harness.check(provider.NAME, run, case)
        except harness.WrongResultError as error:
            wrong[provider.NAME] = str(error)
        else:
            runs[provider.NAME] = run
    samples = []
    for sample in harness.measure(runs, rounds):
        samples.append(sample)
        progress(f"{case.name}: round {len(samples)} of {rounds}")
    progress("")
    base = next(iter(runs))
    return {
        "case": {"name": case.name, **asdict(case)},
        "base": base,
        "seconds": samples,
        "wrong": wrong,
        "ratios": {name: asdict(r) for name, r in harness.ratios(samples, base).items()},
    }


def progress(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)


def print_row(case: Case, row: dict, names: list[str]) -> None:
    if names[0] in row["wrong"]:
        print(f"{case.name:26}void: {row['wrong'][names[0]]}")
        return
    milliseconds = 1e3 * float(np.median([sample[names[0]] for sample in row["seconds"]]))
    cells = []
    for name in [*names[1:], "A/A"]:
        if name in row["wrong"]:
            cells.append("wrong result")
            continue
        ratio = row["ratios"][name]
        cells.append(f"{ratio['median']:.2f} [{ratio['low']:.2f}, {ratio['high']:.2f}]")
    time = f"{milliseconds:.3f} ms"
    print(f"{case.name:26}{time:>12}", *(f"{cell:>22}" for cell in cells), sep="", flush=True)


def machine() -> dict[str, str]:
    return {
        "date": datetime.now(timezone.utc).strftime("%Y-%m-%d"),
        "processor": _processor(),
        "cores": str(os.cpu_count()),
        "load": f"{os.getloadavg()[0]:.2f}",
        "python": platform.python_version(),
        "numpy": np.__version__,
        "commit": _commit(),
        **masklstm.build_summary(),
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor()


def _commit() -> str:
    process = subprocess.run(
        ["git", "describe", "--always", "--dirty"],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
    )
    return process.stdout.strip() or "unknown"


if __name__ == "__main__":
    sys.exit(main())
