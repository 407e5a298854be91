"""Reads as many bytes as labels and predictions have."""

from typing import Any

import numpy as np

from bench.case import Arrays, Case
from bench.providers import Run, _aligned
from bench.providers._stream import library
from bench.providers._stream import supports as supports

NAME = "STREAM read"
DESCRIPTION = "a sum over as many bytes as labels and predictions have, in C"


def make(case: Case, arrays: Arrays) -> Run:
    words = _aligned.empty(2 * case.label_bytes // 8, np.uint64)
    words[:] = np.arange(words.size)
    return lambda: (library.stream_read(words.ctypes.data, words.size),)


def expected(case: Case, arrays: Arrays) -> tuple[float | None, Any]:
    count = 2 * case.label_bytes // 8
    return float(count * (count - 1) // 2), None
