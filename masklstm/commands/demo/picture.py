"""``forecast.png``. Imports matplotlib: import it late."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import matplotlib
import matplotlib.dates
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from masklstm._core.terminal import shown
from masklstm.commands.demo.evaluation import Outcome, decimals
from masklstm.commands.demo.examples import Series
from masklstm.commands.demo.gaps import Run, find_gaps
from masklstm.commands.demo.options import Settings, Source
from masklstm.commands.table import Floats

# From the palette of M. Okabe and K. Ito, "Color Universal Design", 2008: told apart by everybody.
_COLORS = {"masked": "#0072B2", "mean-filled": "#E69F00", "persistence": "#999999"}
_GAP_COLOR = "#CC79A7"


def save(path: Path, series: Series, source: Source, settings: Settings, outcome: Outcome) -> None:
    """Draws the forecasts around the longest gap of the test part, the trainings and the errors."""
    # A dollar sign in a column's name is no mathematics.
    with matplotlib.rc_context({"text.parse_math": False}):
        _draw(path, series, source, settings, outcome)


def choose_period(test: Floats, horizon: int) -> slice:
    """The rows to show: around the longest gap, wide enough to see what surrounds it."""
    gap = max(find_gaps(test), key=len, default=Run(len(test) // 2, len(test) // 2))
    width = min(len(test), max(10 * horizon, 100, 3 * len(gap)))
    start = (gap.start + gap.stop - width) // 2
    start = min(max(start, 0), len(test) - width)
    return slice(start, start + width)


def _draw(path: Path, series: Series, source: Source, settings: Settings, outcome: Outcome) -> None:
    # A Figure of its own, without pyplot, needs no display and leaves no global state behind.
    figure = Figure(figsize=(12, 7.5), dpi=120, layout="constrained")
    axes: dict[str, Axes] = figure.subplot_mosaic(
        [["forecast"] * 2, ["training", "errors"]], height_ratios=(3, 2)
    )
    _draw_forecast(axes["forecast"], series, source, settings, outcome)
    _draw_training(axes["training"], source, outcome)
    _draw_errors(axes["errors"], series, source, outcome)
    for panel in axes.values():
        panel.spines[["top", "right"]].set_visible(False)
    figure.savefig(path)


def _draw_forecast(
    panel: Axes, series: Series, source: Source, settings: Settings, outcome: Outcome
) -> None:
    test = series.split.parts["test"]
    observed = series.target[test]
    period = choose_period(observed, settings.horizon)
    times = _times(np.arange(period.start, period.stop) + test.start, source)
    for number, gap in enumerate(find_gaps(observed[period])):
        # From half a step before the first missing row to half a step after the last one.
        edges = np.array([gap.start - 0.5, gap.stop - 0.5]) + period.start + test.start
        left, right = _times(edges, source)
        panel.axvspan(
            left,
            right,
            ymax=0.88,  # below the legend
            color=_GAP_COLOR,
            alpha=0.25,
            linewidth=0,
            label="no label" if number == 0 else None,
        )
    panel.plot(
        times, observed[period], ".-", color="black", markersize=3, linewidth=0.8, label="observed"
    )
    for name, style in (("mean-filled", "--"), ("masked", "-")):
        panel.plot(
            times,
            outcome.forecasts[name][period],
            style,
            color=_COLORS[name],
            linewidth=2,
            label=f"forecast, {name}",
        )
    where = "around the longest gap" if np.isnan(observed).any() else "in the middle"
    panel.set_title(
        f"{shown(series.name)}, {settings.horizon} {source.steps} ahead: {where} of the test part",
        loc="left",
    )
    panel.set_ylabel(_with_unit(shown(series.name), source))
    if source.first_row is None:
        panel.set_xlabel("data row")
    else:
        locator = matplotlib.dates.AutoDateLocator()
        panel.xaxis.set_major_locator(locator)
        panel.xaxis.set_major_formatter(matplotlib.dates.ConciseDateFormatter(locator))
    panel.margins(x=0)
    bottom, top = panel.get_ylim()
    panel.set_ylim(top=top + 0.12 * (top - bottom))  # room for the legend
    panel.legend(loc="upper left", ncols=4, frameon=False)


def _times(rows: NDArray[Any], source: Source) -> Any:
    if source.first_row is None:
        return rows + 1
    return [source.first_row + timedelta(hours=float(row)) for row in rows]


def _draw_training(panel: Axes, source: Source, outcome: Outcome) -> None:
    for name, rmse in outcome.validation_rmse.items():
        epochs = np.arange(1, len(rmse) + 1)
        best = outcome.best_epoch[name]
        panel.plot(epochs, rmse, color=_COLORS[name], linewidth=2, label=name)
        panel.plot(best, rmse[best - 1], "o", color=_COLORS[name], markersize=8)
    panel.set_title("Validation error by epoch (dot: the weights that were kept)", loc="left")
    panel.set_xlabel("epoch")
    panel.set_ylabel(_with_unit("RMSE", source))
    panel.xaxis.set_major_locator(MaxNLocator(integer=True))
    panel.legend(frameon=False)


def _draw_errors(panel: Axes, series: Series, source: Source, outcome: Outcome) -> None:
    names = list(outcome.errors)
    height = 0.38
    for offset, kind, alpha in ((-height / 2, "rmse", 1.0), (height / 2, "mae", 0.55)):
        bars = panel.barh(
            np.arange(len(names)) + offset,
            [getattr(outcome.errors[name], kind) for name in names],
            height,
            color=[_COLORS[name] for name in names],
            alpha=alpha,
        )
        panel.bar_label(bars, fmt=f"{kind.upper()} %.{decimals(series)}f", padding=4)
    panel.set_yticks(np.arange(len(names)), names)
    panel.invert_yaxis()
    panel.margins(x=0.25)
    panel.set_title("Error over the observed rows of the test part", loc="left")
    panel.set_xlabel(_with_unit("error", source))


def _with_unit(text: str, source: Source) -> str:
    return f"{text} ({source.unit})" if source.unit else text
