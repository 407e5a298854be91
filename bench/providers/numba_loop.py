from typing import Any

import numba
import numpy as np

from bench.case import Arrays, Case
from bench.providers import Run
from bench.providers._plain import supports as supports

NAME = "Numba"
DESCRIPTION = "one parallel loop forward and one for the gradient, numba.njit"

# Vectorised only with leave to reorder sums; leave to ignore NaN would break it.
_compile = numba.njit(parallel=True, fastmath={"reassoc", "nsz", "contract"})


@_compile
def _forward(y_true: np.ndarray, y_pred: np.ndarray) -> tuple[float, int]:
    total: Any = 0.0
    count = 0
    for i in numba.prange(y_true.size):
        label = y_true[i]
        valid = label == label
        error = y_pred[i] - label
        total += error * error if valid else np.float32(0)
        count += valid
    return total / max(1, count), count


@_compile
def _gradient(
    y_true: np.ndarray, y_pred: np.ndarray, scale: np.float32, gradient: np.ndarray
) -> None:
    for i in numba.prange(y_true.size):
        label = y_true[i]
        gradient[i] = scale * (y_pred[i] - label) if label == label else np.float32(0)


def make(case: Case, arrays: Arrays) -> Run:
    y_true, y_pred = arrays.y_true.ravel(), arrays.y_pred.ravel()

    def run() -> tuple[Any, ...]:
        loss, count = _forward(y_true, y_pred)
        if not case.gradient:
            return (loss,)
        gradient = np.empty_like(y_pred)
        _gradient(y_true, y_pred, np.float32(2 / max(1, count)), gradient)
        return loss, gradient.reshape(case.shape)

    return run
