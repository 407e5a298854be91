#!/usr/bin/env python3
"""Changes one place of the sources after the other, and asks whether a test notices.

Each mutant has one operator, number, condition, statement or the like changed, by the rules of
scripts/mutation. Those of Python are tried by the tests that run the line (found out once by
`coverage`, which takes a while; kept in the working folder), those of C++ by building the
module again and running the campaign and the tests of its folder, then by building the op and
running its tests; those of CUDA by the emulator. Of tests with many cases ten to 32 are run, among
them each loss and each type. A mutant that compiles to the same program as before is not counted,
nor one that does not compile.

    python scripts/mutants.py                     300 mutants drawn by chance
    python scripts/mutants.py --only csrc/losses  of these files alone
    python scripts/mutants.py --again FILE --tests tests/core/test_labels.py
                                                  those of --out FILE that survived, first by tests
                                                  that are new
"""

import argparse
import collections
import datetime
import json
import random
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from mutation import cpp_rules, python_rules
from mutation.mutant import Mutant
from mutation.selection import Coverage, builds, suites
from mutation.tree import ROOT, Tree
from mutation.trial import KILLED, SURVIVED, Outcome, Worker

RECORDS = ROOT / "docs" / "mutants.jsonl"
# What draws pictures, or is printed for people: nothing tests the width of a line.
COSMETIC = ("picture.py", "terminal.py", "plotting.py")


def all_mutants(only: list[str]) -> list[Mutant]:
    found = []
    for pattern, rules in (("masklstm/**/*.py", python_rules), ("csrc/**/*.*", cpp_rules)):
        for path in sorted(ROOT.glob(pattern)):
            file = str(path.relative_to(ROOT))
            if is_in(file, only) and path.name not in COSMETIC and path.suffix != ".map":
                found += rules.mutants(file, path.read_text())
    return found


def is_in(file: str, places: list[str]) -> bool:
    return not places or any(file.startswith(each) for each in places)


def area(mutant: Mutant) -> str:
    parts = mutant.file.split("/")
    return "/".join(parts[:2]) if len(parts) > 2 else parts[0]


class Report:
    def __init__(self, total: int, file: Path | None):
        self.total, self.outcomes, self.lock = total, list[Outcome](), threading.Lock()
        self.file = file
        self.earlier: list[Outcome] = []

    def resume(self, mutants: list[Mutant], again: bool, only: list[str]) -> list[Mutant]:
        """With what the file has of these mutants; which of them are still to be tried. Those that
        survived are if they are tried again.
        """
        entries = json.loads(self.file.read_text()) if self.file and self.file.exists() else []
        known = [Outcome(Mutant(*e["mutant"]), e["status"], e["by"]) for e in entries]
        wanted = set(mutants)
        kept = [
            outcome
            for outcome in known
            if outcome.mutant in wanted
            and not (again and outcome.status == SURVIVED and is_in(outcome.mutant.file, only))
        ]
        self.outcomes += kept
        done = {outcome.mutant for outcome in kept}
        self.earlier = [outcome for outcome in known if outcome.mutant in wanted - done]
        return [mutant for mutant in mutants if mutant not in done]

    def add(self, outcome: Outcome) -> None:
        with self.lock:
            self.outcomes.append(outcome)
            mutant = outcome.mutant
            line = mutant.line((ROOT / mutant.file).read_text())
            head = f"[{len(self.outcomes)}/{self.total}] {outcome.status}: {mutant.file}:{line}"
            print(f"{head} ({mutant.rule}) {outcome.by}".rstrip(), flush=True)
            if outcome.status == SURVIVED:
                print(mutant.shown(ROOT), flush=True)
            if self.file:  # what there is, if the rest should be cut off
                tried = {outcome.mutant for outcome in self.outcomes}
                rest = [outcome for outcome in self.earlier if outcome.mutant not in tried]
                entries = [outcome._asdict() for outcome in self.outcomes + rest]
                self.file.write_text(json.dumps(entries, indent=1) + "\n")

    def counts(self) -> dict[str, collections.Counter[str]]:
        found: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
        for outcome in self.outcomes:
            found[area(outcome.mutant)][outcome.status] += 1
        return found

    def record(self, seed: int) -> None:
        """Adds a line. What is to be said of a survivor is written there by hand: `why`, and
        whether it is the `same`, so that no test can tell it from the original; one that a new
        test has killed is moved in `areas`.
        """
        git = ["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"]
        survivors = []
        for mutant in sorted(o.mutant for o in self.outcomes if o.status == SURVIVED):
            text = (ROOT / mutant.file).read_text()
            place = f"{mutant.file}:{mutant.line(text)}"
            change = mutant.change(text)
            survivors.append({"place": place, "change": change, "same": False, "why": ""})
        row = {
            "date": datetime.date.today().isoformat(),
            "commit": subprocess.run(git, capture_output=True, text=True).stdout.strip(),
            "seed": seed,
            "killed_at_first": sum(o.status == KILLED for o in self.outcomes),
            "areas": {name: [of[KILLED], of[SURVIVED]] for name, of in self.counts().items()},
            "survivors": survivors,
        }
        with open(RECORDS, "a") as file:
            file.write(json.dumps(row) + "\n")

    def table(self) -> str:
        counts = self.counts()
        counts["all"] = sum(counts.values(), collections.Counter())
        lines = []
        for name, of in sorted(counts.items(), key=lambda entry: (entry[0] == "all", entry[0])):
            tried = of[KILLED] + of[SURVIVED]
            share = f"{of[KILLED] / tried:7.1%}" if tried else "      -"
            rest = sum(of.values()) - tried
            lines.append(
                f"{name:28} {of[KILLED]:5} of {tried:5} killed {share}, {rest} not counted"
            )
        return "\n".join(lines)


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sample", type=int, default=300, help="how many (default 300)")
    parser.add_argument("--seed", type=int, default=1, help="which ones (default 1)")
    parser.add_argument("--only", nargs="+", default=[], metavar="PATH", help="files and folders")
    parser.add_argument(
        "--again", type=Path, metavar="FILE", help="the survivors in an earlier --out; kept there"
    )
    parser.add_argument("--tests", nargs="+", default=[], metavar="TEST", help="tests to run first")
    parser.add_argument("--jobs", type=int, default=2, help="how many at once (default 2)")
    parser.add_argument(
        "--seconds",
        type=float,
        nargs=2,
        default=[12.0, 90.0],
        metavar="S",
        help="of tests for a line of Python: first, and for those that survive",
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        help="where outcomes go, as JSON; a run that was cut off goes on",
    )
    parser.add_argument(
        "--folder",
        type=Path,
        default=ROOT / "build" / "mutants",
        help="where copies of the sources and builds are (default build/mutants)",
    )
    parser.add_argument("--record", action="store_true", help=f"add a line to {RECORDS.name}")
    parser.add_argument("--list", action="store_true", help="print the mutants, try none")
    return parser.parse_args()


def chosen(arguments: argparse.Namespace) -> list[Mutant]:
    if arguments.again:
        mutants = [Mutant(*entry["mutant"]) for entry in json.loads(arguments.again.read_text())]
        if not set(mutants) <= set(all_mutants([])):
            raise SystemExit(f"The sources have changed since {arguments.again} was written.")
        return mutants
    every = all_mutants(arguments.only)
    # As they were drawn: what a run has tried before it is cut off is a sample too.
    return random.Random(arguments.seed).sample(every, min(arguments.sample, len(every)))


def main() -> int:
    arguments = parsed()
    mutants = chosen(arguments)
    if arguments.list:
        print("\n\n".join(mutant.shown(ROOT) for mutant in sorted(mutants)))
        return 0
    report = Report(len(mutants), arguments.again or arguments.out)
    mutants = report.resume(mutants, arguments.again is not None, arguments.only)
    native = [mutant.file for mutant in mutants if not mutant.file.endswith(".py")]
    trees = [Tree(arguments.folder / f"tree-{job}") for job in range(arguments.jobs)]
    coverage = Coverage(arguments.folder, trees[0])
    workers = [Worker(tree, coverage, arguments.seconds, arguments.tests) for tree in trees]
    queue = collections.deque(sorted(mutants, key=lambda mutant: mutant.file.endswith(".py")))
    lock = threading.Lock()

    def prepare(job: int) -> None:
        kinds = {kind for file in native for kind in builds(file)}
        workers[job].prepare(suites(native)[job :: arguments.jobs], kinds)

    def work(job: int) -> None:
        while True:
            with lock:
                if not queue:
                    return
                mutant = queue.popleft()
            report.add(workers[job].tried(mutant))

    with ThreadPoolExecutor(arguments.jobs) as pool:
        try:
            for step in (prepare, work):
                list(pool.map(step, range(arguments.jobs)))
        finally:
            for worker in workers:
                worker.close()
    print("\n" + report.table())
    if arguments.record:
        report.record(arguments.seed)
    return int(any(outcome.status == SURVIVED for outcome in report.outcomes))


if __name__ == "__main__":
    raise SystemExit(main())
