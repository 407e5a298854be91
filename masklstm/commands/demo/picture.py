"""``forecast.png``. Imports matplotlib: import it late."""

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
from masklstm.commands.demo.evaluation import decimals
from masklstm.commands.demo.examples import Series
from masklstm.commands.demo.fan import LEVELS
from masklstm.commands.demo.gaps import Run, find_gaps
from masklstm.commands.demo.options import Settings, Source
from masklstm.commands.demo.report import Outcome
from masklstm.commands.table import Floats

# From the palette of M. Okabe and K. Ito, "Color Universal Design", 2008: told apart by everybody.
_COLORS = {"masked": "#0072B2", "mean-filled": "#E69F00", "persistence": "#999999"}
_GAP_COLOR = "#CC79A7"


def save(path: Path, series: Series, source: Source, settings: Settings, outcome: Outcome) -> None:
    """Draws the forecasts around the longest gap of the test part, trainings and errors."""
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
    figure = Figure(figsize=(12, 10), dpi=120, layout="constrained")
    axes: dict[str, Axes] = figure.subplot_mosaic(
        [["forecast"] * 2, ["fan"] * 2, ["training", "errors"]], height_ratios=(3, 3, 2.2)
    )
    test = series.split.parts["test"]
    period = choose_period(series.target[test], settings.horizon)
    _draw_forecast(axes["forecast"], series, source, settings, outcome, period)
    _draw_fan(axes["fan"], series, source, outcome, period)
    for name in ("forecast", "fan"):
        _finish_period(axes[name], series, source, period)
    _draw_training(axes["training"], source, outcome)
    _draw_errors(axes["errors"], series, source, outcome)
    for panel in axes.values():
        panel.spines[["top", "right"]].set_visible(False)
    figure.savefig(path)


def _draw_forecast(
    panel: Axes,
    series: Series,
    source: Source,
    settings: Settings,
    outcome: Outcome,
    period: slice,
) -> None:
    times = _times_of(series, source, period)
    for name, style in (("mean-filled", "--"), ("masked", "-")):
        forecasts = outcome.ways[name].forecasts
        assert forecasts is not None
        panel.plot(
            times,
            forecasts[period],
            style,
            color=_COLORS[name],
            linewidth=2,
            label=f"forecast, {name}",
        )
    observed = series.target[series.split.parts["test"]]
    where = "around the longest gap" if np.isnan(observed).any() else "in the middle"
    panel.set_title(
        f"{shown(series.name)}, {settings.horizon} {source.steps} ahead: {where} of the test part",
        loc="left",
    )


def _draw_fan(panel: Axes, series: Series, source: Source, outcome: Outcome, period: slice) -> None:
    """Bands between pairs of quantiles, the outermost first; the median as a line."""
    times = _times_of(series, source, period)
    quantiles = outcome.fan.quantiles[period]
    middle = len(LEVELS) // 2
    for place in range(middle):
        low, high = LEVELS[place], LEVELS[-1 - place]
        panel.fill_between(
            times,
            quantiles[:, place],
            quantiles[:, -1 - place],
            color=_COLORS["masked"],
            alpha=0.2,
            linewidth=0,
            label=f"{high - low:.0%} of the distribution",
        )
    panel.plot(times, quantiles[:, middle], color=_COLORS["masked"], linewidth=1.5, label="median")
    panel.set_title(
        f"The same as a distribution, learned from the same labels: {outcome.fan.coverage:.0%} of "
        "the test labels lie within its 90%",
        loc="left",
    )


def _finish_period(panel: Axes, series: Series, source: Source, period: slice) -> None:
    """What was observed, the gaps, and the axes."""
    test = series.split.parts["test"]
    observed = series.target[test][period]
    for number, gap in enumerate(find_gaps(observed)):
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
        _times_of(series, source, period),
        observed,
        ".-",
        color="black",
        markersize=3,
        linewidth=0.8,
        label="observed",
    )
    panel.set_ylabel(_with_unit(shown(series.name), source))
    if source.times is None:
        panel.set_xlabel("data row")
    elif source.times.dtype.kind == "M":
        locator = matplotlib.dates.AutoDateLocator()
        panel.xaxis.set_major_locator(locator)
        panel.xaxis.set_major_formatter(matplotlib.dates.ConciseDateFormatter(locator))
    panel.margins(x=0)
    bottom, top = panel.get_ylim()
    panel.set_ylim(top=top + 0.12 * (top - bottom))  # room for the legend
    panel.legend(loc="upper left", ncols=6, frameon=False, fontsize=9)


def _times_of(series: Series, source: Source, period: slice) -> Any:
    rows = np.arange(period.start, period.stop) + series.split.parts["test"].start
    return _times(rows, source)


def _times(rows: NDArray[Any], source: Source) -> Any:
    """The times of rows, or of places between them."""
    if source.times is None:
        return rows + 1
    times = source.times
    if times.dtype.kind == "M":
        times = matplotlib.dates.date2num(times)
    return np.interp(rows, np.arange(len(times)), times)


def _draw_training(panel: Axes, source: Source, outcome: Outcome) -> None:
    for name, way in outcome.ways.items():
        assert way.trained is not None
        rmse, best = way.trained.validation_rmse, way.trained.best_epoch
        epochs = np.arange(1, len(rmse) + 1)
        panel.plot(epochs, rmse, color=_COLORS[name], linewidth=2, label=name)
        panel.plot(best, rmse[best - 1], "o", color=_COLORS[name], markersize=8)
    panel.set_title("Validation error by epoch, first seed (dot: the weights kept)", loc="left")
    panel.set_xlabel("epoch")
    panel.set_ylabel(_with_unit("RMSE", source))
    panel.xaxis.set_major_locator(MaxNLocator(integer=True))
    panel.legend(frameon=False)


def _draw_errors(panel: Axes, series: Series, source: Source, outcome: Outcome) -> None:
    """A dot for each seed, a line from one way to the other where they share it."""
    names = list(outcome.ways)
    rmse = np.array([[error.rmse for error in way.errors] for way in outcome.ways.values()])
    for place, name in enumerate(names):
        panel.plot(rmse[place], np.full(rmse.shape[1], place), "o", color=_COLORS[name], alpha=0.7)
        mean = f"{rmse[place].mean():.{decimals(series)}f}"
        panel.plot(rmse[place].mean(), place, "|", color="black", markersize=18)
        panel.annotate(
            mean, (rmse[place].mean(), place), (0, 14), textcoords="offset points", ha="center"
        )
    panel.plot(rmse, np.arange(len(names)), color="0.8", linewidth=0.8, zorder=0)
    panel.set_yticks(np.arange(len(names)), names)
    panel.set_ylim(len(names) - 0.5, -0.7)
    panel.margins(x=0.2)
    panel.set_title("Error of the test part, a dot for each seed", loc="left")
    plain = "; plain Keras: NaN" if outcome.plain[1] else ""
    panel.set_xlabel(_with_unit("RMSE", source) + plain)


def _with_unit(text: str, source: Source) -> str:
    return f"{text} ({source.unit})" if source.unit else text
