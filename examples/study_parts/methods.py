"""What each method makes of the labels that are left, and which windows it trains on."""

from collections.abc import Callable

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from masklstm.commands.demo.examples import carry_forward
from masklstm.commands.table import Floats
from study_parts.design import DROPPED, IMPUTED


def impute_mean(labels: Floats) -> Floats:
    """Every missing label becomes the mean of those that are left."""
    return np.where(np.isnan(labels), np.nanmean(labels), labels)


def impute_last_value(labels: Floats) -> Floats:
    """Every missing label becomes the last one before it; before the first one, the mean."""
    return carry_forward(labels, before_first=float(np.nanmean(labels)))


def impute_linear(labels: Floats) -> Floats:
    """A line over time joins the labels around a gap; at the ends it is flat."""
    rows = np.arange(len(labels))
    observed = ~np.isnan(labels)
    return np.interp(rows, rows[observed], labels[observed])


_IMPUTE: dict[str, Callable[[Floats], Floats]] = dict(
    zip(IMPUTED, (impute_mean, impute_last_value, impute_linear), strict=True)
)


def labels_to_train_on(method: str, labels: Floats) -> Floats:
    """The labels as the method sees them: imputed, or with their gaps."""
    return _IMPUTE[method](labels) if method in _IMPUTE else labels


def windows_to_train_on(method: str, labels: Floats, window: int) -> NDArray[np.intp]:
    """The first rows of the windows of labels: of all, or of those without a gap."""
    missing = np.any(np.isnan(sliding_window_view(labels, window)), axis=1)
    return np.flatnonzero(~missing) if method == DROPPED else np.arange(len(missing))
