"""`python -m bench.run`: masked losses timed against what a user could pick instead.

Each provider has a process of its own; in each round every one runs once, in random order. A
result that is not that of the float64 reference voids its row.
"""

import argparse
import json
import os
import platform
import re
import subprocess
import sys
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

# Each worker imports this file once more: nothing here may import TensorFlow.
from bench import measure
from bench.cases import FULL, QUICK
from bench.saving import save_text

RESULTS = Path(__file__).parent / "results"
FULL_FILE = RESULTS / "full.json"
QUICK_FILE = Path("masklstm-bench/bench.json")


def main(arguments: list[str] | None = None) -> int:
    from bench import plots, tables

    options = _parser().parse_args(arguments)
    if options.rounds is not None and options.rounds < 3:
        _parser().error(f"--rounds: expected at least 3. Received: {options.rounds}")
    every = FULL if options.full else QUICK
    experiments = [experiment for experiment in every if re.search(options.only, experiment.name)]
    if not experiments:
        _parser().error(
            f"--only: no experiment has a match. Received: {options.only!r}; see --list"
        )
    if options.list:
        print(*(experiment.name for experiment in experiments), sep="\n")
        return 0
    rounds = options.rounds or (60 if options.full else 30)
    out = options.out or (FULL_FILE if options.full else QUICK_FILE)

    out.parent.mkdir(parents=True, exist_ok=True)
    console = Console()
    result: dict[str, Any] = {"machine": machine(), "rounds": rounds, "experiments": []}
    commit = result["machine"]["commit"]
    if options.resume and out.exists():
        result["experiments"] = json.loads(out.read_text())["experiments"]
        done = {experiment["name"] for experiment in result["experiments"]}
        experiments = [experiment for experiment in experiments if experiment.name not in done]
    console.print(*(f"{name}: {value}" for name, value in result["machine"].items()), sep="\n")
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with measure.Workers() as workers, Progress(*columns, console=console) as progress:
        task = progress.add_task("", total=len(experiments))
        for experiment in experiments:
            number = experiment.rounds(rounds)

            def show(text: str, name: str = experiment.name) -> None:
                progress.update(task, description=f"{name}: {text}")

            show("preparing")
            measured = measure.run(experiment, workers, number, lambda n: show(f"round {n}"))
            result["experiments"].append({"commit": commit, **measured})
            result["absent"] = workers.absent
            save_text(out, _compact(result))  # what there is, if the rest should fail
            progress.advance(task)
    tables.show(result, console)
    picture = out.with_suffix(".png")
    plots.overview(result, picture)
    console.print(f"\nsaved {out} and {picture}", soft_wrap=True)
    return 1 if any(entry["error"] for entry in tables.wrong_entries(result)) else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench.run",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--full", action="store_true", help="every case, about an hour")
    parser.add_argument("--rounds", type=int, help="per experiment (default: 30; 60 with --full)")
    parser.add_argument(
        "--only", default="", metavar="REGEX", help="experiments whose name has a match"
    )
    parser.add_argument(
        "--resume", action="store_true", help="keep what the file has, and run only the rest"
    )
    parser.add_argument("--list", action="store_true", help="name the experiments, run none")
    parser.add_argument(
        "--out", type=Path, help=f"default: {QUICK_FILE}, or bench/results/full.json with --full"
    )
    return parser


def machine() -> dict[str, str]:
    import numpy as np

    import masklstm

    return {
        "date": datetime.now(timezone.utc).strftime("%Y-%m-%d"),
        "processor": _processor_line("model name") or platform.processor(),
        "processor flags": " ".join(
            flag for flag in _processor_line("flags").split() if re.match("avx|f16c|fma|sse4", flag)
        ),
        "cores": str(os.cpu_count()),
        "load": f"{os.getloadavg()[0]:.2f}",
        "python": platform.python_version(),
        "numpy": np.__version__,
        "commit": _commit(),
        **masklstm.build_summary(),
        **_versions(),
    }


def _versions() -> dict[str, str]:
    from importlib.metadata import PackageNotFoundError, version

    found = {}
    for package in ("torch", "jax", "numba"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "absent"
    return found


def _processor_line(name: str) -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith(name):
            return line.split(":", 1)[1].strip()
    return ""


def _commit() -> str:
    process = subprocess.run(
        ["git", "describe", "--always", "--dirty"],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
    )
    return process.stdout.strip() or "unknown"


def _compact(result: dict[str, Any]) -> str:
    """JSON with one line for each entry and each round."""
    text = json.dumps(result, indent=1)
    return re.sub(r"\[\s+([^\[\]{}]*?)\s+\]", lambda m: f"[{' '.join(m[1].split())}]", text) + "\n"


if __name__ == "__main__":
    sys.exit(main())
