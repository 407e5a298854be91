"""Runs the cases of a part in processes that may crash."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from campaign import parts
from campaign.shrinking import failure_of, shrunk

TESTS = Path(__file__).parents[1]
CHUNK_SECONDS = 20.0
HANGS_AFTER = 300.0
FEW = 5
"""Failures of a part that are shrunk and shown; the rest is counted."""


@dataclass
class Result:
    """What came of a part."""

    part: str
    seed: int
    cases: int = 0
    seconds: float = 0.0
    failures: list[dict[str, Any]] = field(default_factory=list)
    crashes: list[dict[str, Any]] = field(default_factory=list)

    @property
    def is_clean(self) -> bool:
        return not self.failures and not self.crashes


def case_of(part: Any, seed: int, number: int) -> Any:
    return part.draw(np.random.default_rng([seed, number]))


class Process:
    """One that tries case after case, and says which one it is at."""

    def __init__(self, name: str, seed: int, first: int, end: int) -> None:
        self.next, self.end = first, end
        self._began = time.monotonic()
        command = [
            sys.executable,
            "-m",
            "campaign",
            "--chunk",
            name,
            str(seed),
            str(first),
            str(end),
        ]
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115  # until close()
        self._process = subprocess.Popen(
            command, cwd=TESTS, stdout=subprocess.PIPE, stderr=self._errors, text=True
        )
        assert self._process.stdout is not None
        os.set_blocking(self._process.stdout.fileno(), False)
        self._rest = ""

    def read(self) -> list[dict[str, Any]]:
        """What it has found since; `next` is the case that it is at."""
        assert self._process.stdout is not None
        with contextlib.suppress(TypeError, BlockingIOError):
            self._rest += self._process.stdout.read() or ""
        *lines, self._rest = self._rest.split("\n")
        found = []
        for line in lines:
            if line.startswith("{"):
                found.append(json.loads(line))
            elif line.isdigit():
                self.next = int(line)
                self._began = time.monotonic()
        if time.monotonic() - self._began > HANGS_AFTER:
            self._process.kill()
        return found

    @property
    def returncode(self) -> int | None:
        return self._process.poll()

    def close(self) -> str:
        """What it said of its end."""
        assert self._process.stdout is not None
        self._process.stdout.close()
        with self._errors as file:
            file.seek(0)
            return file.read()


def run(name: str, seed: int, cases: int, processes: int, progress: Any) -> Result:
    """`progress` is called with the number of cases that are done."""
    result = Result(name, seed)
    began = time.monotonic()
    step = max(1, min(20_000, -(-cases // (4 * processes))))
    waiting = [(first, min(first + step, cases)) for first in range(0, cases, step)][::-1]
    running: list[tuple[Process, int]] = []
    done = 0
    while waiting or running:
        while waiting and len(running) < processes:
            first, end = waiting.pop()
            running.append((Process(name, seed, first, end), first))
        time.sleep(0.05)
        for process, first in list(running):
            code = process.returncode
            result.failures += process.read()
            if code is None:
                continue
            running.remove((process, first))
            output = process.close()
            if code == 0:
                done += process.end - first
                continue
            why = signal.Signals(-code).name if code < 0 else f"exit status {code}"
            at = process.next
            result.crashes.append({"case": at, "error": why, "output": output[-3000:]})
            done += at + 1 - first
            if at + 1 < process.end and len(result.crashes) < 100:
                waiting.append((at + 1, process.end))
        progress(done)
    result.cases, result.seconds = done, time.monotonic() - began
    return result


def chunk(name: str, seed: int, first: int, end: int) -> None:
    """In a process of its own: prints the number of the case before it, failures as JSON."""
    part = parts.named(name)
    shown: Counter[str] = Counter()
    last = 0.0
    for number in range(first, end):
        now = time.monotonic()
        # Before each one where a crash is likely, else now and then: a pipe takes its time.
        if getattr(part, "MAY_CRASH", False) or now - last > 0.2:
            print(number, flush=True)
            last = now
        case = case_of(part, seed, number)
        error = failure_of(part, case)
        if error is None:
            continue
        finding = {"case": number, "error": error}
        kind = error.split(":")[0]
        if shown[kind] < FEW:
            shown[kind] += 1
            small = shrunk(part, case)
            finding |= {"small": failure_of(part, small), "program": part.program(small)}
        print(json.dumps(finding), flush=True)
