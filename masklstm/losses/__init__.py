"""Keras losses that skip missing labels. Names and arguments are those of `keras.losses`.

Every class takes more keyword arguments than Keras's: `missing`, a number that means "no label" in
addition to NaN (a sentinel such as -999), or `"nonfinite"` to skip infinite labels too; `balance`
and `normalizer`, which change what a mean is taken over: see `masklstm.ops.masked_loss`;
`feature_weights` and `step_weights`, which `fit` does not take. `Masked` makes any other Keras loss
skip what has no label; `Sum` adds up several losses of one output.

`RootMeanSquaredError` has a root for each feature. `NashSutcliffeEfficiency`,
`KlingGuptaEfficiency` and `ConcordanceCorrelation` have a number for each series: what one sample
has along the second axis, for each place of the axes after it.

With no missing label the numbers are Keras's. With gaps, a mean is one mean over all valid
elements: those whose label is not missing and whose Keras mask, if the predictions carry one, is
True. Under `tf.distribute` it is the mean over the valid elements of the whole global batch.
"""

from typing import TYPE_CHECKING, Any

from masklstm._core import names
from masklstm.losses.classification import BinaryCrossentropy, BinaryFocalCrossentropy
from masklstm.losses.efficiency import (
    ConcordanceCorrelation,
    KlingGuptaEfficiency,
    NashSutcliffeEfficiency,
)
from masklstm.losses.likelihoods import NegativeLogLikelihood, TweedieDeviance
from masklstm.losses.masked import Masked
from masklstm.losses.ranked_probability import CRPS
from masklstm.losses.regression import (
    Huber,
    LogCosh,
    MeanAbsoluteError,
    MeanAbsolutePercentageError,
    MeanSquaredError,
    MeanSquaredLogarithmicError,
    Pinball,
    Poisson,
)
from masklstm.losses.root_mean_squared import RootMeanSquaredError
from masklstm.losses.weighted_sum import Sum

__all__ = [
    "CRPS",
    "BinaryCrossentropy",
    "BinaryFocalCrossentropy",
    "ConcordanceCorrelation",
    "Huber",
    "KlingGuptaEfficiency",
    "LogCosh",
    "Masked",
    "MeanAbsoluteError",
    "MeanAbsolutePercentageError",
    "MeanSquaredError",
    "MeanSquaredLogarithmicError",
    "NashSutcliffeEfficiency",
    "NegativeLogLikelihood",
    "Pinball",
    "Poisson",
    "RootMeanSquaredError",
    "Sum",
    "TweedieDeviance",
]

if not TYPE_CHECKING:  # a checker would take any name for one that there is

    def __getattr__(name: str) -> Any:
        raise names.unknown_name(__name__, name)
