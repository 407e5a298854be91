"""Runs pytest in forks of a process that has imported TensorFlow, which takes seconds each time.

Reads lines of JSON with `arguments` and `seconds`, after which without the end of a test it hangs;
each answer has `status` and `output`.
"""

import contextlib
import json
import os
import signal
import sys
import tempfile
import time

# What tests import beside masklstm, which is imported by each fork: it may be the mutant's.
import keras  # noqa: F401
import numpy  # noqa: F401
import pandas  # noqa: F401
import pytest
import scipy.special
import scipy.stats  # noqa: F401
import tensorflow as tf  # noqa: F401

from mutation.mutant import TIMEOUT


def serve() -> None:
    for line in sys.stdin:
        request = json.loads(line)
        with tempfile.TemporaryFile() as output:
            status = run(request["arguments"], request["seconds"], output.fileno())
            output.seek(0)
            text = output.read()[-4000:].decode(errors="replace")
        print(json.dumps({"status": status, "output": text}), flush=True)


def run(arguments: list[str], seconds: float, output: int) -> int | str:
    child = os.fork()
    if child == 0:
        os.setsid()  # what it starts ends with it
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.close(0)
        status = int(pytest.main(arguments))
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    printed, since = 0, time.monotonic()
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if os.fstat(output).st_size > printed:  # a sign for each test that has ended
            printed, since = os.fstat(output).st_size, time.monotonic()
        if done or time.monotonic() > since + seconds:
            break
        time.sleep(0.02)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)
    if not done:
        os.waitpid(child, 0)
        return TIMEOUT
    return os.waitstatus_to_exitcode(status)


if __name__ == "__main__":
    serve()
