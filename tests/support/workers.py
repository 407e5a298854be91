"""Processes that are the workers of a cluster on this machine."""

import json
import os
import socket
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path

TESTS = Path(__file__).parents[1]


def free_ports(number):
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(number)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


@contextmanager
def workers(arguments, number, *, late=0.0, **environment):
    """The processes, the last of which starts some seconds later. They are gone in the end."""
    cluster = {"worker": [f"127.0.0.1:{port}" for port in free_ports(number)]}
    started = []
    try:
        for index in range(number):
            if index == number - 1:
                time.sleep(late)
            task = {"cluster": cluster, "task": {"type": "worker", "index": index}}
            started.append(
                subprocess.Popen(
                    [sys.executable, *map(str, arguments)],
                    cwd=TESTS,
                    env={**os.environ, "TF_CONFIG": json.dumps(task), **environment},
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    text=True,
                )
            )
        yield started
    finally:
        for process in started:
            process.kill()
            process.communicate()  # closes its pipes, too


def finished(processes, timeout=300):
    """What each printed, all of which must have succeeded."""
    printed = []
    for process in processes:
        output, errors = process.communicate(timeout=timeout)
        assert process.returncode == 0, f"{output[-1000:]}\n{errors[-4000:]}"
        printed.append(output)
    return printed
