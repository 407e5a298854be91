"""Reads two arrays and writes a third, each of the labels' size."""

from typing import Any

import numpy as np

from bench.case import Arrays, Case
from bench.providers import Run, _aligned
from bench.providers._stream import library
from bench.providers._stream import supports as supports

NAME = "STREAM triad"
DESCRIPTION = "a + 3 b of two arrays of the labels' size, written past the caches, in C"

FACTOR = 3.0


def make(case: Case, arrays: Arrays) -> Run:
    a, b, out = (_aligned.empty(case.label_bytes // 4, np.float32) for _ in range(3))
    a[:], b[:] = 1, np.arange(b.size) % 64

    def run() -> tuple[Any, ...]:
        addresses = a.ctypes.data, b.ctypes.data, FACTOR, out.ctypes.data
        library.stream_triad(*addresses, out.size)
        return None, out

    return run


def expected(case: Case, arrays: Arrays) -> tuple[float | None, Any]:
    return None, 1 + FACTOR * (np.arange(case.label_bytes // 4) % 64)
