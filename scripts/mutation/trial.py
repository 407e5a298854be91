"""Tries mutants in a tree, one after the other."""

import json
import re
import subprocess
import sys
from collections.abc import Sequence
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


class Outcome(NamedTuple):
    mutant: Mutant
    status: str
    by: str = ""
    """The test that failed."""


class Worker:
    """`budgets` are seconds of tests for a line of Python: at first, and if it survives these. What
    ends no test in five times as long, and `patience` for what is imported, hangs.
    """

    def __init__(
        self,
        tree: Tree,
        coverage: Coverage | None,
        budgets: Sequence[float],
        patience: float = 60.0,
    ):
        self.tree, self.coverage, self.budgets = tree, coverage, budgets
        self.patience = patience
        self.server: subprocess.Popen[str] | None = None
        self.plain: dict[str, bytes] = {}

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
        failed = re.search(r"^(?:FAILED|ERROR) (\S+)", answer["output"], re.M)
        return answer["status"], failed[1] if failed else f"exit {answer['status']}"

    def _python(self, mutant: Mutant) -> tuple[str, str]:
        assert self.coverage is not None
        text = (self.tree.path / mutant.file).read_text()
        first = mutant.line(text)
        last = first + mutant.replacement.count("\n")
        by = "no test runs it"
        for seconds in self.budgets:
            names = self.coverage.tests(mutant.file, first, last, seconds)
            if not names:
                break
            status, by = self.tests(names, self.patience + 5 * seconds)
            if status != 0:
                return KILLED, TIMEOUT if status == TIMEOUT else by
        return SURVIVED, by

    # Native code

    def built(self, kind: str = "native") -> dict[str, bytes]:
        folder = self.tree.folder(kind)
        return {file.name: file.read_bytes() for name in LIBRARIES for file in folder.glob(name)}

    def prepare(self, kinds: set[str]) -> None:
        """Builds what is there without any mutant."""
        for kind in sorted(kinds):
            self.tree.build("all", kind)
            self.plain |= {f"{kind}/{name}": data for name, data in self.built(kind).items()}

    def _native(self, mutant: Mutant) -> tuple[str, str]:
        is_cuda = mutant.file.startswith("csrc/cuda")
        kind = "emulated" if is_cuda else "native"
        try:
            if is_cuda:
                return self._emulated()
            quick = selection.of_folder(selection.NUMPY_TESTS, mutant.file)
            if quick:
                self.tree.build("kernels")
                if not self._same(kind, "kernels."):
                    by = self._by_arrays(*quick)
                    if by:
                        return KILLED, by
            self.tree.build("masklstm_ops")
            if self._same(kind, "kernels.") and self._same(kind, "_masklstm_ops"):
                return NOT_BUILT, ""
            self.tree.link_built()
            names = selection.of_folder(selection.OP_TESTS, mutant.file) or selection.OPS
            status, by = self.tests(names, 300)
            return (SURVIVED, "") if status == 0 else (KILLED, by)
        except DoesNotCompileError as error:
            return STILLBORN, str(error)[-300:]
        finally:
            if not is_cuda:
                self.tree.link_installed()

    def _same(self, kind: str, name: str) -> bool:
        return all(
            self.plain[f"{kind}/{file}"] == data
            for file, data in self.built(kind).items()
            if file.startswith(name)
        )

    def _by_arrays(self, parts: list[str], tests: list[str]) -> str:
        (module,) = self.tree.folder().glob("kernels.*.so")
        environment = self.tree.environment() | {"MASKLSTM_KERNELS": str(module)}
        cases = [word for part in parts for word in (part, str(selection.CAMPAIGN[part]))]
        return self._ran([sys.executable, "-c", CAMPAIGN, *cases], environment) or self._ran(
            [
                *(sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider"),
                *("--confcutdir=tests/kernels", "-k", selection.SLOW, *tests),
            ],
            environment,
        )

    def _emulated(self) -> tuple[str, str]:
        self.tree.build("all", "emulated")
        if self._same("emulated", "kernels."):
            return NOT_BUILT, ""
        (module,) = self.tree.folder("emulated").glob("kernels.*.so")
        environment = self.tree.environment() | {"MASKLSTM_CUDA_KERNELS": str(module)}
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider"]
        by = self._ran([*command, "tests/gpu"], environment)
        return (KILLED, by) if by else (SURVIVED, "")

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
