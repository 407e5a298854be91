"""Tries mutants in a tree, one after the other."""

import json
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import NamedTuple

from mutation import selection
from mutation.mutant import TIMEOUT, Mutant
from mutation.selection import Coverage
from mutation.tree import LIBRARIES, DoesNotCompileError, Tree

KILLED, SURVIVED, NOT_BUILT, STILLBORN = "killed", "survived", "not built", "does not compile"
CAMPAIGN = """
import importlib, sys
from campaign import parts, runner, shrinking
for name, cases in zip(sys.argv[1::2], sys.argv[2::2]):
    part = parts.named(name)
    for number in range(int(cases)):
        error = shrinking.failure_of(part, runner.case_of(part, 5, number))
        if error:
            sys.exit(f"campaign {name}, case {number}: {error}")
"""
PYTEST = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider"]
PYTEST += ["-p", "mutation.few_cases"]


class Outcome(NamedTuple):
    mutant: Mutant
    status: str
    by: str = ""
    """The test that failed."""


class Worker:
    """`budgets` are seconds of tests for a line of Python: at first, and if it survives these. The
    tests `first` are run before them. What ends no test in five times as long, and `patience` for
    what is imported, hangs.
    """

    def __init__(
        self,
        tree: Tree,
        coverage: Coverage,
        budgets: Sequence[float],
        first: Sequence[str] = (),
        patience: float = 60.0,
    ):
        self.tree, self.coverage, self.budgets, self.first = tree, coverage, budgets, first
        self.patience = patience
        self.server: subprocess.Popen[str] | None = None
        self.plain: dict[str, dict[str, bytes]] = {}

    def close(self) -> None:
        if self.server:
            self.server.kill()
            self.server.communicate()

    def tried(self, mutant: Mutant) -> Outcome:
        with self.tree.mutated(mutant):
            if mutant.file.endswith(".py"):
                return Outcome(mutant, *self._python(mutant))
            return Outcome(mutant, *self._native(mutant))

    # pytest

    def tests(self, names: list[str], seconds: float) -> tuple[int | str, str]:
        """The exit status, and which test failed."""
        if self.server is None or self.server.poll() is not None:
            self.server = subprocess.Popen(
                [sys.executable, "-m", "mutation.server"],
                cwd=self.tree.path,
                env=self.tree.environment(),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
        assert self.server.stdin is not None
        assert self.server.stdout is not None
        options = ["-x", "-q", "-p", "no:cacheprovider", "-p", "no:randomly", "--no-header"]
        request = {"arguments": [*options, *names], "seconds": seconds}
        self.server.stdin.write(json.dumps(request) + "\n")
        self.server.stdin.flush()
        answer = json.loads(self.server.stdout.readline())
        unknown = tuple(re.findall(r"^ERROR: not found: .*?(tests/\S+)", answer["output"], re.M))
        known = [name for name in names if not (unknown and name.startswith(unknown))]
        if known and known != names:  # the others have names that change from run to run
            return self.tests(known, seconds)
        failed = re.search(r"^(?:FAILED|ERROR) (\S+)", answer["output"], re.M)
        return answer["status"], failed[1] if failed else f"exit {answer['status']}"

    def _python(self, mutant: Mutant) -> tuple[str, str]:
        text = (self.tree.path / mutant.file).read_text()
        first = mutant.line(text)
        last = first + mutant.replacement.count("\n")
        by = self._by(lambda seconds: self.coverage.tests(mutant.file, first, last, seconds))
        others = selection.of_folder(selection.IN_PROCESSES, mutant.file)
        if others and not by:
            status, failed = self.tests(others, 10 * self.patience)
            by = failed if status != 0 else ""
        return (KILLED, by) if by else (SURVIVED, "")

    def _by(self, chosen: Callable[[float], list[str]]) -> str:
        """What fails of the tests that are chosen for a number of seconds."""
        turns = [(list(self.first), 0.0), *((chosen(seconds), seconds) for seconds in self.budgets)]
        for names, seconds in turns:
            status, by = self.tests(names, self.patience + 5 * seconds) if names else (0, "")
            if status != 0:
                return TIMEOUT if status == TIMEOUT else by
        return ""

    # Native code

    def built(self, kind: str) -> dict[str, bytes]:
        folder = self.tree.folder(kind)
        return {file.name: file.read_bytes() for name in LIBRARIES for file in folder.glob(name)}

    def prepare(self, suites: list[tuple[str, str]], kinds: set[str]) -> None:
        """Builds what is there without any mutant, and runs tests that have to pass then: those
        that come first, and some of `selection.suites`.
        """
        if self.first and self.tests(list(self.first), 10 * self.patience)[0] != 0:
            raise SystemExit(f"without any mutant, these fail: {' '.join(self.first)}")
        for kind in sorted(kinds):
            self.tree.build(kind)
            self.plain[kind] = self.built(kind)
        for kind, file in suites:
            failed = self._by_suite(kind, file)
            if failed:
                raise SystemExit(f"without any mutant, {failed} fails ({kind})")

    def _native(self, mutant: Mutant) -> tuple[str, str]:
        is_other = False
        try:
            for kind in selection.builds(mutant.file):
                self.tree.build(kind)
                is_other = self.built(kind) != self.plain[kind]
                by = self._by_suite(kind, mutant.file) if is_other else ""
                if by:
                    return KILLED, by
        except DoesNotCompileError as error:
            return STILLBORN, str(error)[-300:]
        return (SURVIVED if is_other else NOT_BUILT), ""

    def _by_suite(self, kind: str, file: str) -> str:
        """What fails with a build, of the tests for a file."""
        if kind == "quick":
            return self._by_campaign(file)
        if kind == "cuda-emulated":
            return self._ran([*PYTEST, "tests/gpu"], self.tree.environment())  # finds the build
        return self._by_op(kind, file) or self._by_kernel_tests(kind, file)  # which take longer

    def _by_campaign(self, file: str) -> str:
        parts, _ = selection.of_numpy(file)
        cases = [word for part in parts for word in (part, str(selection.CAMPAIGN[part]))]
        return self._ran([sys.executable, "-c", CAMPAIGN, *cases], self._kernels("quick"))

    def _by_kernel_tests(self, kind: str, file: str) -> str:
        _, tests = selection.of_numpy(file)
        options = ["--confcutdir=tests/kernels", *tests]
        if not file.startswith("csrc/python"):  # no other file changes a signature
            options += ["-k", "not stubtest"]
        return self._ran([*PYTEST, *options], self._kernels(kind)) if tests else ""

    def _by_op(self, kind: str, file: str) -> str:
        files = selection.ops(file)
        without = "xla" if kind == "op" else None  # what needs it cannot pass
        self.tree.link_built(kind)
        by = self._by(lambda seconds: self.coverage.of_files(files, seconds, without))
        self.tree.link_installed()
        return by

    def _kernels(self, kind: str) -> dict[str, str]:
        (module,) = self.tree.folder(kind).glob("kernels.*.so")
        return self.tree.environment() | {"MASKLSTM_KERNELS": str(module)}

    def _ran(self, command: list[str], environment: dict[str, str]) -> str:
        """What failed."""
        try:
            process = subprocess.run(
                command,
                cwd=self.tree.path,
                env=environment,
                capture_output=True,
                text=True,
                timeout=600,
            )
        except subprocess.TimeoutExpired:
            return TIMEOUT
        if process.returncode == 0:
            return ""
        output = process.stdout + process.stderr
        failed = re.search(r"^(?:FAILED|ERROR) (\S+)|^(campaign .*)", output, re.M)
        return (failed[1] or failed[2][:150]) if failed else f"exit {process.returncode}"
