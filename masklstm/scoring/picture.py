"""The picture of `Scores`. Imports matplotlib: import it late."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from numpy.typing import NDArray

from masklstm._core.terminal import counted, shown
from masklstm.inspection.picture import COLOR, Picture

if TYPE_CHECKING:
    from masklstm.scoring.table import Scores

_COLUMNS = 3
# Lowest scores of a few groups are often far off: they are told in words, so that the rest shows.
_SHOWN = (0.02, 0.98)
_MANY = 50


def draw(found: Scores) -> Figure:
    """The distribution of each metric over the groups; of one group alone, its scores as points."""
    values = found.values if found.groups else np.array([list(found["all"].values())])
    rows = -(-len(found.metrics) // _COLUMNS)
    columns = -(-len(found.metrics) // rows)
    figure = Picture(figsize=(0.8 + 3.2 * columns, 0.6 + 2.6 * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False)
    for axis, name, column in zip(axes.flat, found.metrics, values.T, strict=False):
        _draw_distribution(axis, name, column)
    for axis in axes.flat[len(found.metrics) :]:
        axis.set_visible(False)
    for row in axes:
        row[0].set_ylabel("share of groups")
    return figure


def _draw_distribution(axis: Axes, name: str, column: NDArray[np.float64]) -> None:
    is_finite = np.isfinite(column)
    scores = np.sort(column[is_finite])
    shares = np.arange(1, scores.size + 1) / max(scores.size, 1)
    title = f"{shown(name)}, {counted(scores.size, 'group')}"
    if not is_finite.all():
        title += f"; {np.count_nonzero(~is_finite):,} without a score"
    axis.set_title(title, fontsize="small")
    axis.yaxis.set_major_formatter(PercentFormatter(1.0))
    axis.set_ylim(0, 1.03)
    if not scores.size:
        return
    axis.step(scores, shares, where="post", color=COLOR)
    axis.plot(scores, shares, ".", color=COLOR)
    median = float(np.median(scores))
    axis.axvline(median, color="0.5", linestyle="--", linewidth=1)
    axis.set_xlabel(f"median {median:.4g}", fontsize="small")
    if scores.size >= _MANY:
        low, high = np.quantile(scores, _SHOWN)
        outside = np.count_nonzero((scores < low) | (scores > high))
        if high > low and np.ptp(scores) > 10 * (high - low):
            margin = 0.05 * (high - low)
            axis.set_xlim(low - margin, high + margin)
            axis.set_xlabel(f"median {median:.4g}; {outside:,} outside", fontsize="small")
