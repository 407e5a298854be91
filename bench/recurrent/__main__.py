"""`python -m bench.recurrent`: LSTM and GRU layers against each other, forward with all gradients.

Every provider runs once in each round, in random order and in a process of its own; what counts are
the medians of the ratios within a round. Its results are first compared with those in float64.
"""

import argparse
import json
import random
import re
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track
from rich.table import Table

from bench import measure
from bench.recurrent import cases, tables, worker
from bench.recurrent.providers import PROVIDERS, product_size
from bench.run import RESULTS, machine
from bench.saving import save_text


def measure_case(
    case: cases.Case, names: list[str], workers: measure.Workers, rounds: int
) -> dict[str, Any]:
    """The times of each provider that has the case, and what the others said."""
    first_call: dict[str, float] = {}
    errors: dict[str, float] = {}
    problems: dict[str, str] = {}
    asked = {name: (name, case) for name in names}
    if case.masked:
        asked[tables.UNMASKED] = cases.OURS, replace(case, masked=0.0)
    for column, (name, of_column) in asked.items():
        if not workers.start(name):
            problems[name] = workers.absent[name]
            continue
        try:
            answer = workers.ask(name, "prepare", of_column)
        except measure.WorkerDied as error:
            answer = str(error)
        if isinstance(answer, str):
            problems[name] = answer
        else:
            first_call[column] = float(f"{answer.first_call_seconds:.3g}")
            if answer.error is not None:
                errors[column] = float(f"{answer.error:.2g}")
    columns = [*first_call, "A/A"]
    asked["A/A"] = cases.OURS, case
    generator = random.Random(0)
    samples = []
    for _ in track(range(rounds), case.name, transient=True):
        seconds = {}
        for column in generator.sample(columns, len(columns)):
            name, of_column = asked[column]
            seconds[column] = float(f"{workers.ask(name, 'time', of_column):.5g}")
        samples.append([seconds[column] for column in columns])
    workers.forget(names)
    return {
        "case": asdict(case),
        "product_size": product_size(case),
        "first_call_seconds": first_call,
        "errors": errors,
        "problems": problems,
        "columns": columns,
        "seconds": samples,
    }


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m bench.recurrent",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--rounds", type=int, default=12, help="of each case (default: 12)")
    parser.add_argument("--only", default="", help="cases whose names match this expression")
    parser.add_argument("--providers", help="some of them, with commas: " + ", ".join(PROVIDERS))
    parser.add_argument(
        "--out", type=Path, default=RESULTS / "recurrent.json", help="default: %(default)s"
    )
    options = parser.parse_args()
    names = list(PROVIDERS)
    if options.providers:
        names = [name.strip() for name in options.providers.split(",")]
        if unknown := set(names) - PROVIDERS.keys():
            parser.error(f"unknown providers {sorted(unknown)}; there are {list(PROVIDERS)}")
        names = [cases.OURS, *(name for name in names if name != cases.OURS)]
    console = Console()
    result: dict[str, Any] = {"machine": machine(), "rounds": options.rounds, "cases": []}
    every = [bar.case for bar in cases.BARS] + list(cases.HALF_MASKED)
    with measure.Workers(worker.serve) as workers:
        for case in every:
            if re.search(options.only, case.name):
                result["cases"].append(measure_case(case, names, workers, options.rounds))
                console.print(tables.line(result["cases"][-1]), soft_wrap=True, highlight=False)
    save_text(options.out, json.dumps(result, indent=1) + "\n")
    header, *rows = tables.table(result)
    shown = Table(*header, title="Times beside those of masklstm's layer", title_justify="left")
    for row in rows:
        shown.add_row(*row)
    console.print(shown)
    console.print(f"saved {options.out}", soft_wrap=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
