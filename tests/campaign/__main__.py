"""The command: python -m campaign, in tests/."""

import argparse
import datetime
import faulthandler
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from campaign import parts, runner
from campaign.shrinking import failure_of

RECORDS = Path(__file__).parents[2] / "docs" / "campaign.jsonl"


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="python -m campaign", description=__doc__)
    made.add_argument("parts", nargs="*", default=[], help=f"default: {', '.join(parts.NAMES)}")
    made.add_argument("--times", type=float, default=1.0, help="of the usual number of cases")
    made.add_argument("--cases", type=int, help="of each part, in place of the usual number")
    made.add_argument("--seed", type=int, help="default: another one each time")
    made.add_argument("--case", type=int, help="tries one case alone, and shows the program")
    made.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    made.add_argument("--record", action="store_true", help=f"adds a line to {RECORDS.name}")
    made.add_argument("--chunk", nargs=4, help=argparse.SUPPRESS)
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    given = parser().parse_args(arguments)
    if given.chunk:
        faulthandler.enable()
        name, *numbers = given.chunk
        runner.chunk(name, *map(int, numbers))
        return 0
    names = given.parts or list(parts.NAMES)
    seed = given.seed if given.seed is not None else int.from_bytes(os.urandom(4), "little")
    if given.case is not None:
        (name,) = names
        part = parts.named(name)
        case = runner.case_of(part, seed, given.case)
        error = failure_of(part, case)
        print(f"{part.program(case)}\n# {error or 'nothing is wrong'}")
        return int(error is not None)
    is_clean = True
    for name in names:
        part = parts.named(name)
        cases = given.cases or max(1, int(part.CASES * given.times))
        result = runner.run(name, seed, cases, given.processes, Progress(name, cases))
        is_clean &= result.is_clean
        show(result)
        if given.record:
            record(result)
    return int(not is_clean)


class Progress:
    """One line, renewed on a terminal, or one at the end."""

    def __init__(self, name: str, cases: int) -> None:
        self.name, self.cases, self.last = name, cases, -1

    def __call__(self, done: int) -> None:
        if sys.stderr.isatty() and done != self.last:
            self.last = done
            print(f"\r{self.name}: {done:,} of {self.cases:,}", end="", file=sys.stderr, flush=True)


def show(result: runner.Result) -> None:
    if sys.stderr.isatty():
        print("\r", end="", file=sys.stderr)
    print(
        f"{result.part}: {result.cases:,} cases, seed {result.seed}, {result.seconds:.0f} s: "
        f"{len(result.failures)} wrong, {len(result.crashes)} crashes",
        flush=True,
    )
    for crash in result.crashes[: runner.FEW]:
        print(f"\ncrash in case {crash['case']}: {crash['error']}\n{crash['output']}")
    for failure in [each for each in result.failures if "program" in each][: runner.FEW]:
        print(f"\ncase {failure['case']}: {failure['error']}")
        print(f"shrunk: {failure['small']}\n{failure['program']}")


def record(result: runner.Result) -> None:
    git = ["git", "-C", str(RECORDS.parent), "rev-parse", "--short", "HEAD"]
    import masklstm

    row: dict[str, Any] = {
        "part": result.part,
        "cases": result.cases,
        "seed": result.seed,
        "seconds": round(result.seconds),
        "wrong": len(result.failures),
        "crashes": len(result.crashes),
        "version": masklstm.__version__,
        "date": datetime.date.today().isoformat(),
        "commit": subprocess.run(git, capture_output=True, text=True).stdout.strip(),
    }
    with open(RECORDS, "a") as file:
        file.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    sys.exit(main())
