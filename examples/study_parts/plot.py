"""The test error over the share of removed labels. Imports matplotlib: import it late."""

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from masklstm.commands.demo.intervals import interval
from study_parts.design import DROPPED, IMPUTED, MASKED, METHODS, PATTERNS, Condition
from study_parts.results import Results

# From the palette of M. Okabe and K. Ito, "Color Universal Design", 2008: told apart by everybody;
# by their markers as well.
_STYLES = dict(
    zip(
        (MASKED, *IMPUTED, DROPPED),
        (("#0072B2", "o"), ("#E69F00", "s"), ("#009E73", "^"), ("#CC79A7", "v"), ("#000000", "x")),
        strict=True,
    )
)
# Per cent between the methods' points of one condition, so that their intervals do not hide
# each other.
_APART = 0.9


def save(results: Results, file: Path) -> None:
    """Draws a panel for each pattern."""
    figure = Figure(figsize=(11, 4.8), dpi=110, layout="constrained")
    panels = figure.subplots(1, len(PATTERNS), sharey=True)
    panels[0].set_ylim(_limits(results))
    for panel, pattern in zip(panels, PATTERNS, strict=True):
        _draw(panel, results, pattern)
    panels[0].set_ylabel("test RMSE (µg/m³)")
    handles, names = panels[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=len(METHODS), frameon=False)
    # Without the version, so that the same results give the same file.
    figure.savefig(file, metadata={"Software": None})


def _limits(results: Results) -> tuple[float, float]:
    """Room for all but dropped windows, whose errors may be so large that they flatten the rest."""
    intervals = [
        interval(_errors(results, condition, method))
        for condition in results.design.conditions
        for method in (MASKED, *IMPUTED)
    ]
    bottom = min(one.mean - one.half_width for one in intervals)
    top = max(one.mean + one.half_width for one in intervals)
    return bottom - 0.1 * (top - bottom), top + 0.25 * (top - bottom)


def _draw(panel: Axes, results: Results, pattern: str) -> None:
    conditions = [one for one in results.design.conditions if one.pattern in ("", pattern)]
    for number, method in enumerate(METHODS):
        color, marker = _STYLES[method]
        points = [(one.percent, _errors(results, one, method)) for one in conditions]
        points = [(percent, errors) for percent, errors in points if errors]
        intervals = [interval(errors) for _, errors in points]
        panel.errorbar(
            [percent + _APART * (number - len(METHODS) // 2) for percent, _ in points],
            [one.mean for one in intervals],
            [one.half_width for one in intervals],
            color=color,
            marker=marker,
            linewidth=2 if method == MASKED else 1.2,
            capsize=3,
            label=method,
        )
        for (percent, _), one in zip(points, intervals, strict=True):
            _name_what_is_above(panel, percent, method, one.mean)
    panel.set_title(f"Labels removed {pattern}", loc="left")
    panel.set_xlabel("% of the observed training labels removed")
    panel.set_xticks([one.percent for one in conditions])
    panel.grid(alpha=0.3)
    panel.spines[["top", "right"]].set_visible(False)


def _name_what_is_above(panel: Axes, percent: int, method: str, error: float) -> None:
    top = panel.get_ylim()[1]
    if error > top:
        panel.annotate(
            f"{method}:\n{error:.0f} ↑",
            (percent, top),
            xytext=(14, -4),
            textcoords="offset points",
            verticalalignment="top",
        )


def _errors(results: Results, condition: Condition, method: str) -> list[float]:
    return [found["rmse"] for found in results.of(condition, method).values()]
