"""The kernels without TensorFlow: what the op would take if calling it cost nothing."""

import os
from typing import Any

from bench.case import Arrays, Case
from bench.providers import Run, _aligned
from masklstm import kernels

NAME = "masklstm kernels"
DESCRIPTION = "masklstm.kernels on NumPy arrays, one thread a core; without TensorFlow"


def make(case: Case, arrays: Arrays) -> Run:
    y_true, y_pred = _aligned.copy(arrays.y_true), _aligned.copy(arrays.y_pred)
    weight = None if arrays.weight is None else _aligned.copy(arrays.weight)
    options: dict[str, Any] = {
        "loss": case.loss,
        "sample_weight": weight,
        "threads": os.cpu_count(),
    }
    if not case.gradient:
        return lambda: (kernels.masked_loss(y_true, y_pred, **options)[0],)
    gradient = _aligned.empty(y_pred.shape, y_pred.dtype)

    # The gradient's count is that of a forward pass, which runs inside.
    def run() -> tuple[Any, ...]:
        kernels.masked_loss_gradient(y_true, y_pred, out=gradient, **options)
        return None, gradient

    return run
