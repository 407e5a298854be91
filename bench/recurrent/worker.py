"""A provider in a process of its own, which waits for commands as bench/worker.py does."""

import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from bench import worker
from bench.recurrent import cases, providers
from bench.recurrent.cases import Case

TOLERANCE = 1e-4  # of the largest number of each result


@dataclass
class Prepared:
    """What is known before anything is timed."""

    first_call_seconds: float
    error: float | None  # from float64, of the largest number of each result; None: not compared


def serve(connection: Connection, name: str) -> None:
    connection.send(None)
    prepared: dict[Case, Any] = {}  # the function and how often it runs in a measurement
    while (message := connection.recv()) is not None:
        command, *arguments = message
        answer: object = None
        try:
            if command == "prepare":
                (case,) = arguments
                *prepared[case], answer = prepare(name, case)
            elif command == "time":
                (case,) = arguments
                answer = seconds_of(*prepared[case])
            elif command == "forget":
                prepared.clear()
                worker.return_memory()
                continue
        except providers.Unsupported:
            answer = "does not have it"
        except Exception as error:  # whatever the library raises, the others go on
            answer = f"{type(error).__name__}: {error}"[:1000]
        connection.send(answer)


def prepare(name: str, case: Case) -> tuple[providers.Run, int, Prepared]:
    """The function, found right, and how often it runs in a measurement."""
    arrays = case.arrays()
    run = providers.PROVIDERS[name](case, arrays)
    begin = time.perf_counter()
    results = run()
    prepared = Prepared(time.perf_counter() - begin, None)
    if name != cases.PRODUCT:
        errors = [
            np.max(np.abs(found - right)) / np.max(np.abs(right))
            for found, right in zip(results, providers.expected(case, arrays), strict=True)
            if found is not None
        ]
        prepared.error = float(np.max(errors))
        if not prepared.error <= TOLERANCE:
            raise worker.WrongResultError(f"off by {prepared.error:.1e} of the largest number")
    begin = time.perf_counter()
    run()
    repeats = int(np.ceil(4 * worker.MINIMUM_SECONDS / (time.perf_counter() - begin)))
    return run, max(1, repeats), prepared


def seconds_of(run: providers.Run, repeats: int) -> float:
    time.sleep(worker.REST_SECONDS)
    run()
    begin = time.perf_counter()
    for _ in range(repeats):
        run()
    return (time.perf_counter() - begin) / repeats
