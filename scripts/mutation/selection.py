"""Which tests may notice a mutant."""

import ast
import hashlib
import json
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar

from mutation.tree import ROOT, Tree

T = TypeVar("T")

# A mutant of Python is not tried by these: processes of their own run what they test, or they
# have nothing to do with the package.
LEFT_OUT = [
    *("tests/distributed/test_workers.py", "tests/distributed/test_example.py"),
    *("tests/campaign", "tests/cuda_emulator", "tests/gpu", "tests/kernels", "tests/sanitizers"),
]
OF_PROJECT = ["test_contract.py", "test_harmful_files.py", "test_names.py", "test_saved_models.py"]

# Tests that start processes, of which `coverage` sees nothing.
IN_PROCESSES = {
    "masklstm/__main__.py": ["tests/commands/test_cli.py"],
    "masklstm/commands/__init__.py": ["tests/commands/test_cli.py"],
    "masklstm/commands/info.py": ["tests/commands/test_cli.py"],
    "masklstm/_core/library.py": ["tests/core/test_native.py", "tests/commands/test_cli.py"],
    "masklstm/_core/totals.py": ["tests/losses/test_replicas.py", "tests/losses/test_totals.py"],
    "masklstm/metrics/series.py": ["tests/metrics/test_metrics_in_fit.py"],
    "masklstm/_core/workers.py": ["tests/distributed/test_workers.py"],
    "masklstm/distributed/training.py": ["tests/distributed/test_workers.py"],
}

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)

# The tests of native code by folder, the fastest first: first those without TensorFlow, which take
# the module `kernels` alone, then those with the op.
CAMPAIGN = {"kernels": 400, "channels": 150, "recurrent": 60, "arrays": 100}
_KERNELS = "tests/kernels/test_kernels.py"
_RECURRENT = "tests/kernels/test_recurrent_kernels.py"
NUMPY_TESTS = {
    "csrc/recurrent": (["recurrent"], [_RECURRENT]),
    "csrc/python/recurrent": (["recurrent", "arrays"], [_RECURRENT]),
    "csrc/python": (["arrays", "kernels", "channels"], [_KERNELS, _RECURRENT]),
    "csrc/losses": (["kernels", "channels"], [_KERNELS]),
    "csrc/core": (["kernels", "channels", "arrays"], [_KERNELS, _RECURRENT]),
    "csrc/cpu": (["kernels", "channels"], [_KERNELS]),
}


def _ops(*names: str) -> list[str]:
    return [f"tests/ops/test_{name}.py" for name in names]


_BALANCE, _LAYERS = "tests/losses/test_balance.py", "tests/layers/test_recurrent.py"
OPS = _ops("gradients", "types", "ops")
OP_TESTS = {
    "csrc/recurrent": [_LAYERS],
    "csrc/tensorflow/recurrent": [_LAYERS, "tests/layers/test_recurrent_ways.py"],
    "csrc/tensorflow/xla": [*_ops("xla"), *OPS],
    "csrc/tensorflow": [
        *(*OPS, *_ops("channels", "op_and_kernels", "modes", "threads", "xla")),
        *(_BALANCE, "tests/core/test_native.py", _LAYERS),
    ],
    "csrc/losses": [
        *_ops("accuracy", "extremes", "channels", "gradients", "list_of_losses"),
        "tests/losses/test_focal_logits.py",
    ],
    "csrc/core": [*_ops("scales", "extremes", "op_and_kernels"), *OPS, _BALANCE],
    "csrc/cpu": [
        *_ops("accuracy", "extremes", "scales", "channels"),
        *("tests/core/test_sums.py", *OPS, _BALANCE),
    ],
    "csrc/python": _ops("op_and_kernels", "list_of_losses"),
}


def builds(file: str) -> list[str]:
    """Those that a file of csrc is tried in, of `tree.FLAGS`."""
    if file.startswith(("csrc/cuda", "csrc/python/cuda")):
        return ["cuda-emulated"]
    if file.startswith("csrc/tensorflow"):
        return ["xla"]
    return ["quick", "op"]


def of_folder(table: dict[str, T], file: str) -> T | None:
    """The entry whose key is the longest that the file begins with."""
    keys = [key for key in table if file.startswith(key)]
    return table[max(keys, key=len)] if keys else None


def of_numpy(file: str) -> tuple[list[str], list[str]]:
    """Parts of the campaign and tests that take the module `kernels` alone."""
    return of_folder(NUMPY_TESTS, file) or ([], [])


def ops(file: str) -> list[str]:
    """Tests that take the op."""
    return of_folder(OP_TESTS, file) or OPS


def suites(files: Iterable[str]) -> list[tuple[str, str]]:
    """A kind of build and a file, for each set of tests that the files have."""
    found: dict[tuple[str, str, str], tuple[str, str]] = {}
    for file in files:
        for kind in builds(file):
            found.setdefault((kind, str(of_numpy(file)), str(ops(file))), (kind, file))
    return sorted(found.values())


class Coverage:
    """What each test runs of the package, by `coverage`, and how long it takes. Of a file that has
    changed since it was measured the lines are not known, but the tests that run it are.
    """

    def __init__(self, folder: Path, tree: Tree):
        self.file, times, digests = (folder / name for name in ("coverage", "times.xml", "files"))
        now = {
            str(file.relative_to(tree.path)): hashlib.sha256(file.read_bytes()).hexdigest()
            for file in tree.package.rglob("*.py")
        }
        if not times.exists():
            measure(tree, self.file, times)
            digests.write_text(json.dumps(now))
        measured = json.loads(digests.read_text())
        self.changed = {file for file in now if measured.get(file) != now[file]}
        from coverage import CoverageData

        self.data = CoverageData(str(self.file))
        self.data.read()
        self.prefix = str(tree.path) + "/"
        self.seconds = durations(times)
        self.lines: dict[str, dict[int, list[str]]] = {}
        self.total: Counter[str] = Counter()
        for file in self.data.measured_files():
            by_line = {
                line: [context.rpartition("|")[0] for context in contexts if context]
                for line, contexts in self.data.contexts_by_lineno(file).items()
            }
            self.lines[file.removeprefix(self.prefix)] = by_line
            for tests in by_line.values():
                self.total.update(tests)

    def tests(self, file: str, first: int, last: int, seconds: float) -> list[str]:
        """Those that run the lines, the ones that run little else first, and of each test function
        one case before a second one, as many as fit into the time.
        """
        by_line = self.lines.get(file, {})
        lines = set() if file in self.changed else set(range(first, last + 1))
        if lines:
            text = (ROOT / file).read_text()
            lines |= lines_of_statement(text, first) | lines_that_depend(text, first)
        covering = {test for line in lines for test in by_line.get(line, [])}
        if not covering:  # not known: by all that is run of the file
            covering = {test for tests in by_line.values() for test in tests}
        here = Counter(test for tests in by_line.values() for test in tests if test in covering)
        ranked = sorted(covering, key=lambda test: (-here[test] / self.total[test], test))
        return self._within(ranked, seconds)

    def of_files(self, files: list[str], seconds: float, without: str | None = None) -> list[str]:
        """Their tests, chosen in the same way, but for those with a word in their name."""
        place = {file: number for number, file in enumerate(files)}
        found = [
            test
            for test in self.seconds
            if test.split("::")[0] in place and not (without and without in test)
        ]
        return self._within(sorted(found, key=lambda test: place[test.split("::")[0]]), seconds)

    def _within(self, ranked: list[str], seconds: float) -> list[str]:
        rounds: dict[str, list[str]] = defaultdict(list)
        for test in ranked:
            rounds[test.split("[")[0]].append(test)
        chosen: list[str] = []
        spent = 0.0
        for turn in range(max(map(len, rounds.values()), default=0)):
            for cases in rounds.values():
                if turn < len(cases):
                    spent += 0.02 + self.seconds.get(cases[turn], 0.1)
                    if spent > seconds and chosen:
                        return chosen
                    chosen.append(cases[turn])
        return chosen


def lines_of_statement(text: str, line: int) -> set[int]:
    """Of a constant in a statement of several lines `coverage` sees nothing, but of its others.

    Of one with statements within it they are those before these.
    """
    found: set[int] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.stmt) and not isinstance(node, (*_FUNCTIONS, ast.ClassDef)):
            body = getattr(node, "body", None)
            end = body[0].lineno if body else (node.end_lineno or 0) + 1
            if node.lineno <= line < end:
                found = set(range(node.lineno, end))
    return found


def lines_that_depend(text: str, line: int) -> set[int]:
    """On a line that is run at import, of which `coverage` sees the first test alone: a function's
    body on its signature, and on what is given a name the lines with the name.
    """
    module = ast.parse(text)
    found: set[int] = set()
    names: set[str] = set()
    for node in ast.walk(module):
        if isinstance(node, _FUNCTIONS):
            begin = min(each.lineno for each in [node, *node.decorator_list])
            if begin <= line < node.body[0].lineno:
                found.update(range(node.body[0].lineno, (node.end_lineno or 0) + 1))
        elif isinstance(node, (ast.Module, ast.ClassDef)):
            for each in node.body:
                if each.lineno <= line <= (each.end_lineno or 0):
                    names |= names_given(each)
    for node in ast.walk(module):
        if isinstance(node, (ast.Name, ast.Attribute)):
            name = node.id if isinstance(node, ast.Name) else node.attr
            found.update([node.lineno] if name in names else [])
    return found


def names_given(statement: ast.stmt) -> set[str]:
    if isinstance(statement, ast.Assign):
        targets = statement.targets
    elif isinstance(statement, ast.AnnAssign):
        targets = [statement.target]
    else:
        return set()
    return {node.id for each in targets for node in ast.walk(each) if isinstance(node, ast.Name)}


def measure(tree: Tree, file: Path, times: Path) -> None:
    """By a few cases of each test function."""
    project = [
        f"tests/project/{path.name}"
        for path in (tree.path / "tests" / "project").glob("test_*.py")
        if path.name not in OF_PROJECT
    ]
    command = [
        *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--numprocesses", "2"),
        *("--dist", "worksteal", "--cov=masklstm", "--cov-context=test", "--cov-report="),
        *("-p", "mutation.few_cases", *(f"--ignore={path}" for path in LEFT_OUT + project)),
        *(f"--junitxml={times}.new", "-o", "junit_family=xunit1", "tests"),
    ]
    environment = tree.environment() | {"COVERAGE_FILE": str(file)}
    process = subprocess.run(command, cwd=tree.path, env=environment)
    if process.returncode not in (0, 1):
        raise SystemExit(f"the tests could not be run: {process.returncode}")
    Path(f"{times}.new").rename(times)


def durations(times: Path) -> dict[str, float]:
    found = {}
    for case in ET.parse(times).iter("testcase"):
        path, name = case.get("file", ""), case.get("name", "")
        cls = case.get("classname", "").removeprefix(path.removesuffix(".py").replace("/", "."))
        node = "::".join([path, *filter(None, cls.split(".")), name])
        found[node] = float(case.get("time", 0))
    return found
