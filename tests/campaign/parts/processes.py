"""Threads, forks and signals while kernels run: the bits are those of one thread left in peace."""

import hashlib
import os
import signal
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
from support.native import kernels

from campaign import shrinking
from campaign.parts import Disagreement, _elements
from campaign.parts._elements import smaller as smaller
from campaign.parts.kernels import REDUCTIONS

CASES = 6_000
MAY_CRASH = True
DISTURBANCES = ["threads", "fork", "fork in a thread", "signals"]


def draw(rng: Any) -> dict[str, Any]:
    case = _elements.draw(rng)
    if rng.random() < 0.3:  # large enough for the kernels' own threads
        rows = case["y_true"].shape[0]
        for name in ("y_true", "y_pred", "sample_weight", "mask"):
            if rows and name in case and case[name].shape[0] == rows:
                case[name] = np.concatenate([case[name]] * -(-30_000 // rows))
    return {
        **case,
        "reduction": str(rng.choice(REDUCTIONS)),
        "threads": int(rng.integers(1, 4)),
        "how": str(rng.choice(DISTURBANCES)),
    }


def _digest(case: dict[str, Any]) -> bytes:
    results = kernels.masked_loss(**case)
    gradient = kernels.masked_loss_gradient(**case)
    parts = (*map(np.asarray, results), gradient)
    return hashlib.sha256(b"".join(np.ascontiguousarray(x).tobytes() for x in parts)).digest()


def _in_threads(work: Callable[[], bytes], number: int) -> list[bytes]:
    found: list[bytes] = []
    threads = [threading.Thread(target=lambda: found.append(work())) for _ in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def _in_child(work: Callable[[], bytes]) -> bytes:
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(write, work())
        os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        found = pipe.read()
    _, status = os.waitpid(child, 0)
    if status != 0:
        raise Disagreement(f"the child ended with {os.waitstatus_to_exitcode(status)}")
    return found


def _under_signals(work: Callable[[], bytes]) -> list[bytes]:
    heard: list[int] = []
    before = signal.signal(signal.SIGALRM, lambda number, frame: heard.append(number))
    signal.setitimer(signal.ITIMER_REAL, 1e-4, 1e-4)
    try:
        return [work() for _ in range(3)]
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def check(case: dict[str, Any]) -> None:
    case = dict(case)
    how = case.pop("how")

    def work() -> bytes:
        return _digest(case)

    expected = work()
    if how == "threads":
        found = _in_threads(work, 4)
    elif how == "fork":
        found = [_in_child(work), work()]
    elif how == "fork in a thread":
        found = _in_threads(lambda: _in_child(work), 2)
    else:
        found = _under_signals(work)
    if not found or any(each != expected for each in found):
        raise Disagreement(f"other bits under {how}")


def program(case: dict[str, Any]) -> str:
    return f"""import ml_dtypes
import numpy as np

from campaign.parts import processes

processes.check(dict(
    {shrinking.arguments(case)}
))
"""
