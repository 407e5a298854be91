"""Keras metrics that skip missing labels. Names and arguments are those of `keras.metrics`.

Every class takes more keyword arguments than Keras's: `missing`, a number that means "no label" in
addition to NaN (a sentinel such as -999), or `"nonfinite"` to skip infinite labels too; and
`class_aggregation`, `by` and `names`, for the figures of single features or timesteps. `Masked`
makes any other Keras metric skip what has no label; `Loss` makes a metric of a loss.

A metric is over all valid elements of all batches, however they were split: those whose label is
not missing and whose Keras mask, if the predictions carry one, is True. Without gaps the numbers
are Keras's. Before the first valid label a metric is NaN. State is float64 and int64, and so is the
result unless `dtype` says otherwise.
"""

from typing import TYPE_CHECKING, Any

from masklstm._core import names
from masklstm.metrics.agreement import (
    ConcordanceCorrelation,
    KlingGuptaEfficiency,
    PearsonCorrelation,
)
from masklstm.metrics.classification import BinaryAccuracy, BinaryCrossentropy
from masklstm.metrics.determination import NashSutcliffeEfficiency, R2Score
from masklstm.metrics.masked import Masked
from masklstm.metrics.of_loss import Loss
from masklstm.metrics.probabilistic import CRPS, Coverage
from masklstm.metrics.ratios import (
    Bias,
    MeanAbsoluteScaledError,
    PercentBias,
    WeightedAbsolutePercentageError,
)
from masklstm.metrics.regression import (
    LogCoshError,
    MeanAbsoluteError,
    MeanAbsolutePercentageError,
    MeanSquaredError,
    MeanSquaredLogarithmicError,
    Pinball,
    Poisson,
    RootMeanSquaredError,
    SymmetricMeanAbsolutePercentageError,
)
from masklstm.metrics.valid_share import ValidFraction, ValidShare

__all__ = [
    "CRPS",
    "Bias",
    "BinaryAccuracy",
    "BinaryCrossentropy",
    "ConcordanceCorrelation",
    "Coverage",
    "KlingGuptaEfficiency",
    "LogCoshError",
    "Loss",
    "Masked",
    "MeanAbsoluteError",
    "MeanAbsolutePercentageError",
    "MeanAbsoluteScaledError",
    "MeanSquaredError",
    "MeanSquaredLogarithmicError",
    "NashSutcliffeEfficiency",
    "PearsonCorrelation",
    "PercentBias",
    "Pinball",
    "Poisson",
    "R2Score",
    "RootMeanSquaredError",
    "SymmetricMeanAbsolutePercentageError",
    "ValidFraction",
    "ValidShare",
    "WeightedAbsolutePercentageError",
]

if not TYPE_CHECKING:  # a checker would take any name for one that there is

    def __getattr__(name: str) -> Any:
        raise names.unknown_name(__name__, name)
