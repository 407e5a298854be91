"""Errors over the observed rows, and the forecast that nothing changes."""

import math
from dataclasses import dataclass

import numpy as np

from masklstm.commands.demo.examples import Series
from masklstm.commands.table import Floats


@dataclass(frozen=True)
class Errors:
    """Root mean square and mean absolute error, in the data's unit."""

    rmse: float
    mae: float


def compare(observed: Floats, forecast: Floats) -> Errors:
    """The errors of a forecast over the rows that have an observed value."""
    error = (forecast - observed)[~np.isnan(observed)]
    return Errors(float(np.sqrt(np.mean(error**2))), float(np.mean(np.abs(error))))


def decimals(series: Series) -> int:
    """Decimal places that show an error as large as the target's spread with four digits."""
    return max(0, 3 - math.floor(math.log10(series.scale.spread)))


def persistence(series: Series, rows: slice, horizon: int) -> Floats:
    """For every row the value ``horizon`` rows before, or the last one observed before that."""
    return series.carried[rows.start - horizon : rows.stop - horizon]
