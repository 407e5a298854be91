"""The picture of `masklstm.inspect`. Imports matplotlib: import it late."""

from collections.abc import Sequence

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter
from numpy.typing import NDArray

Bools = NDArray[np.bool_]

# From the palette of M. Okabe and K. Ito, "Color Universal Design", 2008: told apart by everybody.
_COLOR = "#0072B2"
# About as many as there are pixels to show them.
_MOST_ROWS, _MOST_COLUMNS = 200, 800


def draw(is_missing: Bools, features: Sequence[str], gap_lengths: NDArray[np.int64]) -> Figure:
    """Draws `(series, steps)`; series `s * len(features) + f` is feature f of sample s."""
    # A dollar sign in a feature's name is no mathematics.
    with matplotlib.rc_context({"text.parse_math": False}):
        # A Figure of its own, without pyplot, needs no display and leaves no global state behind.
        figure = Figure(figsize=(12, 7.5), dpi=120, layout="constrained")
        panels: dict[str, Axes] = figure.subplot_mosaic(
            [["map", "map"], ["steps", "lengths"]], height_ratios=(3, 2)
        )
        _draw_map(panels["map"], is_missing, features)
        _draw_steps(panels["steps"], is_missing)
        _draw_lengths(panels["lengths"], gap_lengths)
        for name in ("steps", "lengths"):
            panels[name].spines[["top", "right"]].set_visible(False)
        share = is_missing.mean()
        figure.suptitle(f"{np.count_nonzero(is_missing):,} labels missing ({share:.1%})")
        figure.canvas.draw()  # the layout, while names are read as they are
    return figure


def shares_of_blocks(is_missing: Bools, rows: int, columns: int) -> NDArray[np.float64]:
    """The share that is missing in blocks, at most `rows` times `columns` of nearly one size."""
    starts = [
        np.unique(np.linspace(0, length, min(length, most), endpoint=False).astype(np.int64))
        for length, most in zip(is_missing.shape, (rows, columns), strict=True)
    ]
    sums = np.add.reduceat(is_missing, starts[1], axis=1, dtype=np.float64)
    sums = np.add.reduceat(sums, starts[0], axis=0)
    sizes = [
        np.diff(start, append=length)
        for start, length in zip(starts, is_missing.shape, strict=True)
    ]
    shares: NDArray[np.float64] = sums / np.outer(*sizes)
    return shares


def _draw_map(panel: Axes, is_missing: Bools, features: Sequence[str]) -> None:
    series, steps = is_missing.shape
    image = panel.imshow(
        shares_of_blocks(is_missing, _MOST_ROWS, _MOST_COLUMNS),
        aspect="auto",
        interpolation="nearest",
        cmap="Blues",
        vmin=0,
        vmax=1,
        extent=(-0.5, steps - 0.5, series - 0.5, -0.5),
    )
    panel.set_title("Where labels are missing", loc="left")
    panel.set_xlabel("step")
    if series == 1:
        panel.set_yticks([])
    elif series == len(features) <= _MOST_ROWS // 8:  # more names would overlap
        panel.set_yticks(range(series), features)
    else:
        panel.set_ylabel("sample" if len(features) == 1 else "series (each sample's features)")
        panel.yaxis.set_major_locator(MaxNLocator(integer=True))
    bar = panel.figure.colorbar(image, ax=panel, format=PercentFormatter(1), pad=0.01)
    bar.set_label("missing")


def _draw_steps(panel: Axes, is_missing: Bools) -> None:
    steps = is_missing.shape[1]
    shares = shares_of_blocks(is_missing, 1, _MOST_COLUMNS // 4)[0]
    edges = np.linspace(0, steps, len(shares) + 1)
    panel.stairs(shares, edges - 0.5, fill=True, color=_COLOR)
    panel.set_title("Share that is missing, by step", loc="left")
    panel.set_xlabel("step")
    panel.yaxis.set_major_formatter(PercentFormatter(1))
    panel.set_ylim(bottom=0)


def _draw_lengths(panel: Axes, gap_lengths: NDArray[np.int64]) -> None:
    panel.set_title(f"Lengths of the {len(gap_lengths):,} gaps", loc="left")
    panel.set_xlabel("steps")
    panel.set_ylabel("gaps")
    if len(gap_lengths) == 0:
        return
    longest = int(gap_lengths.max())
    # Whole lengths where they fit, else bins that grow: most gaps are short, and a few very long.
    edges = np.arange(1, longest + 2) if longest <= 40 else np.geomspace(1, longest + 1, 40)
    edges = np.unique(np.ceil(edges)) - 0.5
    panel.hist(gap_lengths, edges.tolist(), color=_COLOR)
    panel.set_yscale("log")
    panel.set_ylim(bottom=0.5)
    if longest > 40:
        panel.set_xscale("log")
    else:
        panel.xaxis.set_major_locator(MaxNLocator(integer=True))
