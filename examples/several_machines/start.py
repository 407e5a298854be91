"""Starts a program several times on this machine, as the workers of a cluster

Each process gets TF_CONFIG: the addresses of all workers, and which of them it is. What a worker
prints is marked with its number. If one of them stops with an error or is killed, the others cannot
go on: they are stopped, and which one it was is said.

    python examples/several_machines/start.py --workers 2 train.py --epochs 4
"""

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

# How long the others may take to notice by themselves that one is gone, in seconds.
PATIENCE = 30.0


def free_ports(number: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(number)]
        for each in sockets:
            each.bind(("localhost", 0))
        return [each.getsockname()[1] for each in sockets]


def configs(workers: int) -> list[str]:
    """TF_CONFIG of each worker."""
    cluster = {"worker": [f"localhost:{port}" for port in free_ports(workers)]}
    return [
        json.dumps({"cluster": cluster, "task": {"type": "worker", "index": index}})
        for index in range(workers)
    ]


def start(workers: int, program: Sequence[str]) -> list["subprocess.Popen[str]"]:
    """The processes; what they print is on its way to the terminal."""
    processes = []
    for index, config in enumerate(configs(workers)):
        process = subprocess.Popen(
            [sys.executable, "-u", *program],
            env={**os.environ, "TF_CONFIG": config},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        print(f"worker {index}: process {process.pid}", flush=True)
        threading.Thread(target=show, args=(index, process), daemon=True).start()
        processes.append(process)
    return processes


def show(index: int, process: "subprocess.Popen[str]") -> None:
    assert process.stdout is not None
    for line in process.stdout:
        print(f"worker {index} | {line}", end="", flush=True)


def wait(processes: Sequence["subprocess.Popen[str]"]) -> str | None:
    """What went wrong with the first worker that stopped before its end; None if nothing did."""
    while True:
        codes = [process.poll() for process in processes]
        for index, code in enumerate(codes):
            if code:
                reason = f"was killed by {signal.Signals(-code).name}" if code < 0 else "failed"
                return f"worker {index} (process {processes[index].pid}) {reason}"
        if not any(code is None for code in codes):
            return None
        time.sleep(0.1)


def stop(processes: Sequence["subprocess.Popen[str]"]) -> None:
    """Gives each the time to say why, then ends it."""
    end = time.monotonic() + PATIENCE
    for process in processes:
        try:
            process.wait(max(0.0, end - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--workers", type=int, default=2, help="default: %(default)s")
    parser.add_argument("program", help="a Python program, looked for beside this one too")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="the program's own")
    given = parser.parse_args(arguments)
    beside = Path(__file__).with_name(given.program)
    program = given.program if Path(given.program).exists() else str(beside)

    processes = start(given.workers, [program, *given.arguments])
    try:
        wrong = wait(processes)
        if wrong is not None:
            print(f"{wrong}; the others are stopped. The same command goes on", flush=True)
            stop(processes)
            sys.exit(1)
    finally:
        for process in processes:
            process.kill()


if __name__ == "__main__":
    main()
