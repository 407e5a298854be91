from typing import Any

import numpy as np

from bench.case import Arrays, Case
from bench.providers import Run
from bench.providers._plain import supports as supports

NAME = "NumPy"
DESCRIPTION = "np.where and sums"


def make(case: Case, arrays: Arrays) -> Run:
    y_true, y_pred, _ = arrays

    def run() -> tuple[Any, ...]:
        valid = ~np.isnan(y_true)
        error = np.where(valid, y_pred - y_true, np.float32(0))
        count = max(1, int(np.count_nonzero(valid)))
        loss = np.vdot(error, error) / count
        if not case.gradient:
            return (loss,)
        error *= np.float32(2 / count)
        return loss, error

    return run
