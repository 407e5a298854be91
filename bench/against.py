"""`python -m bench.against FOLDER`: this tree's masklstm against another one's, in paired rounds.

FOLDER is a checkout whose native library is built, such as a clone of the commit before a change.
Squared error and the losses that are named, eagerly and in a graph, forward and with gradient: how
many times as long this tree takes as the other one. Processes of one and the same tree differ as
well, by where their memory lies, small calls by a quarter: so each tree gets several processes, one
after the other. Printed are the geometric mean of their ratios, the lowest and the highest, and
A/A, the other tree's process against itself. A tree compared with itself shows what is noise.
"""

import argparse
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from statistics import geometric_mean
from typing import Any

from bench import measure, worker
from bench.case import Case
from bench.cases import KERNELS, OURS, OURS_EAGER, Entry, Experiment

_OTHER = " (other)"


def serve(connection: Any, provider: str) -> None:
    worker.serve(connection, provider.removesuffix(_OTHER))


class Workers(measure.Workers):
    """Processes of this tree and, under names of their own, of the other one."""

    def __init__(self, other: Path) -> None:
        super().__init__(serve)
        # Only the package comes from there: the benchmark is ours.
        self._folder = tempfile.TemporaryDirectory()
        Path(self._folder.name, "masklstm").symlink_to(other / "masklstm")

    def start(self, provider: str) -> bool:
        if not provider.endswith(_OTHER):
            return super().start(provider)
        with _first_in_path(self._folder.name):  # a new process has this one's path
            return super().start(provider)


@contextmanager
def _first_in_path(folder: str) -> Iterator[None]:
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        sys.path.remove(folder)


def experiments(losses: list[str]) -> Iterator[Experiment]:
    """The other tree is the first entry, with which both are compared."""
    for loss in losses:
        for power in (10, 16, 24):
            for gradient in (False, True):
                case = Case(2**power, loss=loss, gradient=gradient)
                for provider in (OURS, OURS_EAGER):
                    yield _pair(provider, case)
        for weights in ("(B, T, F)", "(B, T)", "(F,)"):
            yield _pair(KERNELS, Case(2**16, loss=loss, weights=weights))
            yield _pair(OURS, replace(Case(2**20, loss=loss, weights=weights), calls=4))


def _pair(provider: str, case: Case) -> Experiment:
    entries = Entry(provider + _OTHER, case), Entry(provider, case)
    return Experiment(f"{provider}: {case.without_gaps()}", entries)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="the other checkout")
    parser.add_argument(
        "--processes", type=int, default=5, help="of each tree; default: %(default)s"
    )
    parser.add_argument("--rounds", type=int, default=30, help="of each; default: %(default)s")
    parser.add_argument("--only", metavar="REGEX", default="", help="those whose name has it")
    parser.add_argument("--losses", nargs="*", default=["squared_error"], metavar="LOSS")
    arguments = parser.parse_args()
    if not list(arguments.folder.glob("masklstm/_masklstm_ops.so")):
        parser.error(
            f"expected a checkout with a built native library. Received: {arguments.folder}"
        )
    chosen = [e for e in experiments(arguments.losses) if re.search(arguments.only, e.name)]
    results: dict[str, list[dict[str, Any]]] = {experiment.name: [] for experiment in chosen}
    failed: dict[str, str] = {}
    for index in range(arguments.processes):
        print(f"process {index + 1} of {arguments.processes} ...", file=sys.stderr, flush=True)
        with Workers(arguments.folder.resolve()) as workers:
            for experiment in chosen:
                if experiment.name in failed:
                    continue
                result = measure.run(experiment, workers, arguments.rounds)
                errors = [entry["error"] for entry in result["entries"] if entry["error"]]
                if errors or 1 not in measure.ratios(result):
                    failed[experiment.name] = "; ".join(errors).strip().rpartition("\n")[2] or str(
                        workers.absent
                    )
                else:
                    results[experiment.name].append(result)
    print(f"{'this tree to the other':66} {'ratio':>6} {'lowest, highest':>16} {'A/A':>6}")
    for name, found in results.items():
        print(f"{name:66} {failed.get(name) or _row(found)}")


def _row(results: list[dict[str, Any]]) -> str:
    """The figures of one experiment, of all processes."""
    ratios, same = (
        [measure.ratios(result)[column].median for result in results] for column in (1, "A/A")
    )
    span = f"[{min(ratios):.3f}, {max(ratios):.3f}]"
    return f"{geometric_mean(ratios):6.3f} {span:>16} {geometric_mean(same):6.3f}"


if __name__ == "__main__":
    main()
