"""Keras losses for labels with gaps.

One native TensorFlow op finds the missing labels, masks them and reduces the loss in one pass.

>>> import masklstm
>>> loss = masklstm.losses.MeanSquaredError()
>>> float(loss([[1.0], [float("nan")]], [[3.0], [5.0]]))
4.0
"""

from importlib.metadata import version as _version

from masklstm import (
    callbacks,
    data,
    distributed,
    distributions,
    layers,
    losses,
    metrics,
    ops,
    reference,
)
from masklstm._core import library, names
from masklstm._core.library import build_summary
from masklstm.inspection.numbers import inspect
from masklstm.inspection.sample_weights import sample_weights
from masklstm.scoring.scores import scores

__version__ = _version("masklstm")

__all__ = [
    "build_summary",
    "callbacks",
    "data",
    "distributed",
    "distributions",
    "inspect",
    "layers",
    "losses",
    "metrics",
    "ops",
    "reference",
    "sample_weights",
    "scores",
]

if library.backend == "native":
    from masklstm import kernels

    __all__ += ["kernels"]

names.show_public(callbacks, data, distributed, distributions, layers, losses, metrics, ops)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
