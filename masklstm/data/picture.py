"""The picture of forecasts and labels. Imports matplotlib: import it late."""

from typing import Any

import matplotlib
import matplotlib.dates
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from masklstm._core.terminal import shown
from masklstm.inspection.picture import COLOR, Picture
from masklstm.inspection.runs import find_runs

# From the palette of M. Okabe and K. Ito, "Color Universal Design", 2008: told apart by everybody.
_GAP_COLOR = "#CC79A7"
MOST_SERIES = 8


def draw(series: list[tuple[str, NDArray[Any], NDArray[Any], NDArray[Any]]], title: str) -> Figure:
    """A panel for each series: what was observed, what was forecast, and where no label is.

    Args:
        series: Name, times, labels and predictions of each, vectors in the order of time.
        title: Above them all.
    """
    with matplotlib.rc_context({"text.parse_math": False}):
        height = 0.9 + 2.1 * len(series)
        figure = Picture(figsize=(12, height), dpi=120, layout="constrained")
        axes = figure.subplots(len(series), 1, squeeze=False, sharex=True)[:, 0]
        for panel, (name, times, labels, predictions) in zip(axes, series, strict=True):
            _draw_series(panel, times, labels, predictions)
            panel.set_title(shown(name), loc="left")
        axes[0].legend(loc="upper right", ncols=3, frameon=False, fontsize=9)
        figure.suptitle(shown(title))
        figure.canvas.draw()
    return figure


def _draw_series(
    panel: Axes, times: NDArray[Any], labels: NDArray[Any], predictions: NDArray[Any]
) -> None:
    is_date = times.dtype.kind == "M"
    at = matplotlib.dates.date2num(times) if is_date else times.astype(np.float64)
    half = np.median(np.diff(at)) / 2 if len(at) > 1 else 0.5
    for number, (_, start, stop) in enumerate(find_runs(np.isnan(labels)[None])):
        panel.axvspan(
            at[start] - half,
            at[stop - 1] + half,
            color=_GAP_COLOR,
            alpha=0.25,
            linewidth=0,
            label="no label" if number == 0 else None,
        )
    panel.plot(at, labels, ".-", color="black", markersize=3, linewidth=0.8, label="observed")
    panel.plot(at, predictions, color=COLOR, linewidth=1.5, label="forecast")
    panel.spines[["top", "right"]].set_visible(False)
    panel.margins(x=0)
    if is_date:
        locator = matplotlib.dates.AutoDateLocator()
        panel.xaxis.set_major_locator(locator)
        panel.xaxis.set_major_formatter(matplotlib.dates.ConciseDateFormatter(locator))
