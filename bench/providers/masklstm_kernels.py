"""The kernels without TensorFlow: what the op would take if calling it cost nothing."""

import os

from bench.providers import _aligned
from masklstm import kernels

NAME = "masklstm kernels"
DESCRIPTION = "masklstm.kernels on NumPy arrays, one thread a core; without TensorFlow"


def make(case, arrays):
    y_true, y_pred, weight = (None if array is None else _aligned.copy(array) for array in arrays)
    options = {"loss": case.loss, "sample_weight": weight, "threads": os.cpu_count()}
    if not case.gradient:
        return lambda: (kernels.masked_loss(y_true, y_pred, **options)[0],)
    gradient = _aligned.empty(y_pred.shape, y_pred.dtype)

    # The gradient's count is that of a forward pass, which runs inside.
    def run():
        kernels.masked_loss_gradient(y_true, y_pred, out=gradient, **options)
        return None, gradient

    return run
