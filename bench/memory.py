"""`python -m bench.memory`: how much memory a call holds at most, beyond its inputs.

Libraries keep freed memory for later, so that only a first call in a new process tells. One on a
few elements goes before it, which loads what there is to load.
"""

import argparse
import json
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bench import measure, worker
from bench.case import Case
from bench.cases import GRAPH, OTHERS, OURS, XLA
from bench.run import RESULTS, machine
from bench.saving import save_text

SIZE = 2**24
DIRECTIONS = {"forward": False, "forward and gradient": True}


def extra_bytes(provider: str, case: Case) -> float | None:
    """For each element; None where it was not to be had."""
    with measure.Workers() as workers:
        if not workers.start(provider):
            return None
        for number, size in enumerate((2**10, case.elements)):
            part = replace(case, elements=size)
            with measure.files_of(part) as files:
                facts: worker.Prepared = workers.ask(provider, "prepare", number, part, files)
        if facts.error or facts.extra_bytes is None:
            return None
        return facts.extra_bytes / case.elements


def show(result: dict[str, Any], console: Console) -> None:
    table = Table("", *DIRECTIONS, title="Bytes for each element", title_justify="left")
    for provider, of_provider in result["extra_bytes"].items():
        cells = (of_provider[direction] for direction in DIRECTIONS)
        table.add_row(provider, *("" if cell is None else f"{cell:.2f}" for cell in cells))
    console.print(table)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.memory", description=__doc__)
    parser.add_argument(
        "--out", type=Path, default=RESULTS / "memory.json", help="default: %(default)s"
    )
    options = parser.parse_args()
    console = Console()
    case = Case(SIZE)
    result: dict[str, Any] = {"machine": machine(), "case": asdict(case), "extra_bytes": {}}
    for provider in (OURS, GRAPH, XLA, *OTHERS):
        with console.status(provider):
            result["extra_bytes"][provider] = {
                direction: extra_bytes(provider, replace(case, gradient=gradient))
                for direction, gradient in DIRECTIONS.items()
            }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    save_text(options.out, json.dumps(result, indent=1) + "\n")
    show(result, console)
    console.print(f"saved {options.out}", soft_wrap=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
