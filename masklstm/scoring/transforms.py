"""What happens to labels and predictions before they are compared."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from masklstm._core.refusals import unknown_name

Floats = NDArray[np.float64]
Transform = Callable[[Floats, Floats], tuple[Floats, Floats]]


def transform_of(transform: Any) -> Transform:
    """As `masklstm.scores` takes it."""
    if transform is None:
        return lambda t, p: (t, p)
    if callable(transform):
        return lambda t, p: (_applied(transform, t), _applied(transform, p))
    if transform != "log":
        raise unknown_name("transform", transform, ("log", None))
    return _log


def _log(t: Floats, p: Floats) -> tuple[Floats, Floats]:
    epsilon = max(float(t.mean()), 0.0) / 100 if t.size else 0.0
    with np.errstate(divide="ignore", invalid="ignore"):  # what is not finite is counted
        return np.log(t + epsilon), np.log(p + epsilon)


def _applied(function: Callable[[Floats], Any], x: Floats) -> Floats:
    with np.errstate(all="ignore"):
        result = np.asarray(function(x.copy()), np.float64)
    if result.shape != x.shape:
        raise ValueError(
            "Expected 'transform' to return an array of the shape that it gets. Received: shape "
            f"{result.shape} for {x.shape}"
        )
    return result
