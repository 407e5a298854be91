"""A provider in a process of its own, so that no library's threads disturb another one's.

It waits for commands: between its turns it does nothing.
"""

import ctypes
import gc
import os
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import ml_dtypes
import numpy as np

from bench import providers
from bench.case import PART, Arrays, Case

MINIMUM_SECONDS = 0.005  # of one measurement: short functions run several times
REST_SECONDS = 0.002  # for the threads of the provider before to fall asleep

# Relative to the loss, or to the largest gradient.
TOLERANCES = {"float64": 1e-9, "float32": 1e-4, "float16": 1e-2, "bfloat16": 1e-2}
# More for every element of the sum: others add up as float32, which loses digits on the way.
TOLERANCE_OF_SUMS = 2.0**-32


@dataclass(frozen=True)
class Prepared:
    """What is known of an entry before it is timed."""

    error: str | None = None  # None: its results are right
    first_call_seconds: float | None = None  # with whatever is compiled
    extra_bytes: int | None = None  # that the first call held at most
    loss_error: float | None = None  # relative
    repeats: int = 1


@dataclass(frozen=True)
class Ready:
    """A function that has been found right."""

    run: Any
    repeats: int  # in a measurement
    loss: float | None  # that it returned
    loss_of: Any  # the function that reads it from the results


class Unsupported(Exception):  # noqa: N818  not an error
    """The provider does not have this case."""


def serve(connection: Connection, provider_name: str) -> None:
    try:
        provider = providers.load(provider_name)
    except ImportError as error:
        return connection.send(str(error))
    connection.send(None)
    ready: dict[int, Ready] = {}
    while (message := connection.recv()) is not None:
        command, *arguments = message
        if command == "prepare":
            number, case, files = arguments
            try:
                ready[number], prepared = prepare(provider, case, files)
            except Exception as error:  # whatever the library raises, the others go on
                prepared = Prepared(f"{type(error).__name__}: {error}"[:1000])
            connection.send(prepared)
        elif command == "time":
            connection.send(seconds_of(ready[arguments[0]]))
        elif command == "forget":
            ready.clear()
            return_memory()


def prepare(provider: Any, case: Case, files: dict[str, Path]) -> tuple[Ready, Prepared]:
    """Makes the function, and compares its results with the right ones."""
    if not getattr(provider, "supports", lambda _: True)(case):
        raise Unsupported(f"{provider.NAME} does not have it")
    arrays = Arrays(
        **{name: np.load(file) for name, file in files.items() if name in Arrays._fields}
    )
    arrays = arrays._replace(
        y_true=arrays.y_true.view(case.numpy_type), y_pred=arrays.y_pred.view(case.numpy_type)
    )
    run = provider.make(case, arrays)
    begin = time.perf_counter()
    results, extra_bytes = with_memory(run)
    first_call_seconds = time.perf_counter() - begin
    loss_error = check(provider, case, arrays, files, results)
    to_numpy = getattr(provider, "to_numpy", np.asarray)

    def loss_of(results: Any) -> float | None:
        return None if results[0] is None else float(to_numpy(results[0]))

    loss = loss_of(results)
    del arrays, results
    begin = time.perf_counter()
    run()
    repeats = max(1, int(np.ceil(MINIMUM_SECONDS / (time.perf_counter() - begin))))
    prepared = Prepared(None, first_call_seconds, extra_bytes, loss_error, repeats)
    return Ready(run, repeats, loss, loss_of), prepared


def check(
    provider: Any, case: Case, arrays: Arrays, files: dict[str, Path], results: Any
) -> float | None:
    """Returns the relative error of the loss; raises WrongResultError where it is too large."""
    if hasattr(provider, "expected"):  # a yardstick, which is no loss
        expected_loss, expected_gradient = provider.expected(case, arrays)
    else:
        expected_loss = float(np.load(files["loss"]))
        expected_gradient = np.load(files["gradient"], mmap_mode="r") if case.gradient else None
    to_numpy = getattr(provider, "to_numpy", np.asarray)
    loss, *gradient = results
    tolerance = TOLERANCES[case.dtype]
    loss_error = None
    if loss is not None:
        value = float(to_numpy(loss))
        loss_error = abs(value - expected_loss) / (abs(expected_loss) or 1.0)
        # Not `>`, which is false for NaN.
        if not loss_error <= tolerance + case.elements * TOLERANCE_OF_SUMS:
            raise WrongResultError(f"expected the loss {expected_loss}, got {value}")
    if expected_gradient is not None:
        found = np.ravel(to_numpy(gradient[0]))
        expected = np.ravel(expected_gradient)
        # Its constructor has no types.
        facts = ml_dtypes.finfo(case.numpy_type)  # type: ignore[no-untyped-call]
        smallest = float(facts.smallest_subnormal)
        limit = max(smallest, tolerance * np.max(np.abs(expected)))
        for begin in range(0, expected.size, PART):
            part = slice(begin, begin + PART)
            if not np.all(np.abs(found[part].astype(np.float64) - expected[part]) <= limit):
                raise WrongResultError("the gradient is not that of the float64 reference")
    return loss_error


class WrongResultError(Exception):
    """A provider returned something else than the loss and its gradient."""


def seconds_of(ready: Ready) -> float | str:
    """Of one call; or what went wrong."""
    time.sleep(REST_SECONDS)
    ready.run()  # wakes the provider's own threads, and its part of the caches
    begin = time.perf_counter()
    for _ in range(ready.repeats):
        results = ready.run()
    seconds = (time.perf_counter() - begin) / ready.repeats
    loss = ready.loss_of(results)
    if ready.loss is not None and not abs(loss - ready.loss) <= 1e-5 * abs(ready.loss):
        return f"WrongResultError: the loss was {ready.loss} and is {loss} now"
    return seconds


def with_memory(run: Any) -> tuple[Any, int | None]:
    """The result, and how much memory the call held at most; None where Linux does not tell."""
    try:
        Path("/proc/self/clear_refs").write_text("5")  # resets the peak
        before = resident("VmRSS")
    except OSError:
        return run(), None
    results = run()
    return results, max(0, resident("VmHWM") - before)


def return_memory() -> None:
    """Hands freed memory back to the system, where the C library can."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim:
        trim(0)


def resident(name: str) -> int:
    """This process's memory now (VmRSS) or at most (VmHWM), in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith(name)).split()[1])
