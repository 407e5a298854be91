"""The picture of `masklstm.inspect`. Imports matplotlib: import it late."""

import io
from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib
import matplotlib.dates
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter
from numpy.typing import NDArray

from masklstm._core.files import check_file, written_whole
from masklstm._core.terminal import shown, time_text
from masklstm.inspection.table import percent

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]

# From the palette of M. Okabe and K. Ito, "Color Universal Design", 2008: told apart by everybody.
COLOR = "#0072B2"
# Fewer than there are pixels, so that none is lost.
_MOST_ROWS, _MOST_COLUMNS = 320, 800
# As many have a name beside them; the picture grows with their number.
_MOST_NAMES = 100
_LONGEST_NAME = 40
# Above 0 every share has a colour that can be told from white.
_LEAST_SHARE = 1e-12
_SHARES = matplotlib.colors.LinearSegmentedColormap.from_list(
    "shares", matplotlib.colormaps["Blues"](np.linspace(0.35, 1, 64))
).with_extremes(under="white")


class Picture(Figure):
    """A figure that a notebook shows whether or not its backend has been told to."""

    def _repr_png_(self) -> bytes:
        content = io.BytesIO()
        self.savefig(content, format="png")
        return content.getvalue()


def check_path(path: str | PathLike[str] | Any) -> Any:
    """The file to write, found out before anything is drawn; a file object as it is.

    Raises:
        ValueError: For a suffix that is not the name of a format.
        OSError: Where there cannot be such a file.
    """
    if hasattr(path, "write"):
        return path
    path = Path(path)
    if not path.suffix and not path.is_dir():
        path = path.with_name(f"{path.name}.png")
    check_file(path)
    formats = Figure().canvas.get_supported_filetypes()
    if path.suffix[1:].lower() not in formats:
        raise ValueError(
            "Invalid value for argument 'path'. Expected a name that ends in one of "
            f"{', '.join(f'.{name}' for name in sorted(formats))}. Received: path={str(path)!r}"
        )
    return path


def save(figure: Figure, path: Any) -> None:
    """Writes the picture to what `check_path` returned."""
    if hasattr(path, "write"):
        figure.savefig(path)
        return
    with written_whole(path) as beside:
        figure.savefig(beside)


def draw(
    is_missing: Bools,
    features: Sequence[str],
    gap_lengths: NDArray[np.int64],
    times: NDArray[Any] | None = None,
) -> Figure:
    """Draws `(sample, step, feature)`."""
    _, steps, _ = is_missing.shape
    bands = condense(is_missing)
    has_gaps = len(gap_lengths) > 0
    # A dollar sign in a feature's name is no mathematics.
    with matplotlib.rc_context({"text.parse_math": False}):
        map_height = max(4.0, 0.2 * min(bands.names, _MOST_NAMES) + 1)
        # A Figure of its own, without pyplot, needs no display and leaves no global state behind.
        rows, ratios = [["map", "map"]], [map_height]
        if has_gaps and steps > 1:
            rows, ratios = [*rows, ["steps", "lengths"]], [map_height, 2.6]
        height = sum(ratios) + 0.9
        figure = Picture(figsize=(12, height), dpi=120, layout="constrained")
        panels: dict[str, Axes] = figure.subplot_mosaic(rows, height_ratios=ratios)
        _draw_map(panels["map"], bands, is_missing.shape, features)
        if "steps" in panels:
            _draw_steps(panels["steps"], is_missing)
            _draw_lengths(panels["lengths"], gap_lengths)
            for name in ("steps", "lengths"):
                panels[name].spines[["top", "right"]].set_visible(False)
        if times is not None and steps > 1:
            for name in {"map", "steps"} & panels.keys():
                _write_times(panels[name], times)
        missing, labels = np.count_nonzero(is_missing), is_missing.size
        figure.suptitle(f"{missing:,} of {labels:,} labels missing ({percent(missing / labels)})")
        figure.canvas.draw()  # the layout, while names are read as they are
    return figure


class Bands(NamedTuple):
    """What is drawn: a band of rows for each feature, or for several, a row for each sample, or for
    several, and a column for each step, or for several.
    """

    shares: Floats
    """The share of a column's steps that is missing, in that of a row's series where it is
    greatest; of shape `(bands * rows, columns)`."""
    features: NDArray[np.int64]
    """The first feature of each band."""
    samples: NDArray[np.int64]
    """The first sample of each row of a band."""
    columns: NDArray[np.int64]
    """The first step of each column."""

    @property
    def names(self) -> int:
        return len(self.features)


def condense(is_missing: Bools, rows: int = _MOST_ROWS, columns: int = _MOST_COLUMNS) -> Bands:
    """What fits into so many rows and columns. Steps are averaged; of samples, and of features if
    there are more than rows, the worst is taken, so that a series without labels stays one.
    """
    samples, steps, features = is_missing.shape
    first_step = _starts(steps, columns)
    first_feature = _starts(features, rows)
    first_sample = _starts(samples, max(1, rows // len(first_feature)))
    sizes = np.diff(first_step, append=steps)
    worst = np.zeros((len(first_feature), len(first_sample), len(first_step)))
    stops = np.append(first_feature, features)[1:]
    for band, (start, stop) in enumerate(zip(first_feature, stops, strict=True)):
        # By band, so that there is never a share for every label at once.
        shares = np.add.reduceat(is_missing[:, :, start:stop], first_step, axis=1, dtype=np.int64)
        shares = shares.max(axis=2) / sizes
        worst[band] = np.maximum.reduceat(shares, first_sample, axis=0)
    return Bands(worst.reshape(-1, len(first_step)), first_feature, first_sample, first_step)


def _starts(length: int, most: int) -> NDArray[np.int64]:
    """Where blocks of nearly one size begin."""
    starts = np.linspace(0, length, min(length, most), endpoint=False).astype(np.int64)
    return np.unique(starts)


def _draw_map(
    panel: Axes, bands: Bands, shape: tuple[int, int, int], features: Sequence[str]
) -> None:
    samples, steps, count = shape
    # Rows have the unit that is written beside them: samples if there is one feature.
    height = samples if count == 1 else bands.names
    image = panel.imshow(
        bands.shares,
        aspect="auto",
        interpolation="nearest",
        cmap=_SHARES,
        vmin=_LEAST_SHARE,
        vmax=1,
        extent=(-0.5, steps - 0.5, height - 0.5, -0.5),
    )
    panel.set_title("Where labels are missing", loc="left")
    panel.set_title(_legend(bands, shape), loc="right", fontsize=9)
    panel.set_xlabel("step")
    panel.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    if count > 1:
        places = np.arange(0, bands.names, -(-bands.names // _MOST_NAMES))
        names = [_short(features[feature]) for feature in bands.features[places]]
        panel.set_yticks(places, names, fontsize=8 if len(places) > 20 else None)
        panel.set_ylabel("feature")
        if len(bands.samples) > 1 and bands.names > 1:
            for place in range(1, bands.names):
                panel.axhline(place - 0.5, color="black", linewidth=0.4)
    elif samples > 1:
        panel.set_ylabel("sample")
        panel.yaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    else:
        panel.set_yticks([])
    if not bands.shares.any():
        box = {"facecolor": "white", "edgecolor": "none"}
        middle, center = panel.transAxes, {"ha": "center"}
        panel.text(0.5, 0.5, "no label is missing", center, transform=middle, bbox=box)
        return
    bar = panel.figure.colorbar(image, ax=panel, format=PercentFormatter(1), pad=0.01, aspect=40)
    bar.set_label("missing (white: none)")


def _legend(bands: Bands, shape: tuple[int, int, int]) -> str:
    samples, steps, features = shape
    parts = []
    if features > 1:
        parts.append(_each("band" if samples > 1 else "row", features, bands.names, "feature"))
    if samples > 1:
        parts.append(_each("row", samples, len(bands.samples), "sample"))
    if steps > len(bands.columns):
        parts.append(f"each column is the share of {_up_to(steps, len(bands.columns))} steps")
    return "; ".join(parts)


def _each(row: str, length: int, drawn: int, what: str) -> str:
    if length == drawn:
        return f"each {row} is a {what}"
    return f"each {row} is the worst of {_up_to(length, drawn)} {what}s, step by step"


def _up_to(length: int, drawn: int) -> str:
    return f"{length // drawn:,}" if length % drawn == 0 else f"up to {-(-length // drawn):,}"


def _short(name: str) -> str:
    name = shown(name)
    half = _LONGEST_NAME // 2
    return name if len(name) <= _LONGEST_NAME else f"{name[: half - 1]}…{name[-half:]}"


def _draw_steps(panel: Axes, is_missing: Bools) -> None:
    samples, steps, features = is_missing.shape
    starts = _starts(steps, _MOST_COLUMNS // 4)
    shares = np.add.reduceat(np.count_nonzero(is_missing, axis=(0, 2)), starts)
    shares = shares / (np.diff(starts, append=steps) * samples * features)
    panel.stairs(shares, np.append(starts, steps) - 0.5, fill=True, color=COLOR)
    series = samples * features
    over = f" of all {series:,} series" if series > 1 else ""
    by = "step" if len(starts) == steps else f"{_up_to(steps, len(starts))} steps"
    panel.set_title(f"Share that is missing{over}, by {by}", loc="left")
    panel.set_xlabel("step")
    panel.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    panel.yaxis.set_major_formatter(PercentFormatter(1, decimals=None))
    panel.set_ylim(bottom=0)


def _write_times(panel: Axes, times: NDArray[Any]) -> None:
    """Times in the place of the numbers of steps."""
    panel.set_xlabel("")
    places = np.arange(len(times))
    if times.dtype.kind != "M":

        def text(place: float, _: Any = None) -> str:
            return time_text(times[int(np.clip(round(place), 0, len(times) - 1))])

        panel.xaxis.set_major_formatter(text)
        return
    # Dates stand where they are round: on the first of a month, say, whatever step that is.
    days = matplotlib.dates.date2num(times)
    locator = matplotlib.dates.AutoDateLocator(minticks=3, maxticks=8)
    formatter = matplotlib.dates.ConciseDateFormatter(locator)
    ticks = locator.tick_values(*matplotlib.dates.num2date(days[[0, -1]]))
    ticks = ticks[(ticks >= days[0]) & (ticks <= days[-1])]
    panel.set_xticks(np.interp(ticks, days, places), formatter.format_ticks(ticks))
    panel.set_xlabel(formatter.get_offset())


def _draw_lengths(panel: Axes, gap_lengths: NDArray[np.int64]) -> None:
    one = len(gap_lengths) == 1
    title = "Length of the only gap" if one else f"Lengths of the {len(gap_lengths):,} gaps"
    panel.set_title(title, loc="left")
    panel.set_xlabel("steps")
    panel.set_ylabel("gaps")
    longest = int(gap_lengths.max())
    # Whole lengths where they fit, else bins that grow: most gaps are short, and a few very long.
    edges = np.arange(1, longest + 2) if longest <= 40 else np.geomspace(1, longest + 1, 40)
    edges = np.unique(np.ceil(edges)) - 0.5
    panel.hist(gap_lengths, edges.tolist(), color=COLOR)
    panel.set_yscale("log")
    panel.set_ylim(bottom=0.5)
    if longest > 40:
        panel.set_xscale("log")
        panel.set_xlim(left=0.5)
    else:
        panel.set_xlim(0.5, longest + 0.5)
        panel.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
