"""Pictures of the results."""

from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench import measure, tables
from bench.bars import GRADIENT_OVER_TRIAD
from bench.case import Case
from bench.cases import KERNELS, NOTHING, READ, TRIAD
from bench.saving import written_whole


def overview(result: dict[str, Any], file: Path) -> None:
    """All that a result has points for, in one picture."""
    figure, axes = pyplot.subplots(1, 3, figsize=(18, 5), layout="constrained")
    for draw, axis in zip((over_size, over_share, bandwidth), axes, strict=True):
        draw(result, axis)
    _save(figure, file)


def save(draw: Any, result: dict[str, Any], file: Path) -> None:
    figure, axis = pyplot.subplots(figsize=(8, 5), layout="constrained")
    draw(result, axis)
    _save(figure, file)


def over_size(result: dict[str, Any], axis: Axes) -> None:
    """How many times as long the others take, forward with gradient, over the size."""
    points: dict[str, list[tuple[int, measure.Ratio]]] = {}
    for experiment in tables.by_kind(result).get("size", []):
        case = Case(**experiment["entries"][0]["case"])
        if not case.gradient:
            continue
        for number, ratio in measure.ratios(experiment).items():
            if number in ("A/A", 0):
                continue
            name = experiment["entries"][number]["provider"]
            if name not in (KERNELS, NOTHING, READ, TRIAD):
                points.setdefault(name, []).append((case.elements, ratio))
    for name, of_name in points.items():
        _line(axis, name, of_name)
    axis.set_xscale("log", base=2)
    _times_as_long(axis, "elements")
    axis.set_title("Forward and gradient, 30% missing, one call of a function")


def over_share(result: dict[str, Any], axis: Axes) -> None:
    """The same over the share of missing labels, at the largest size that has been measured."""
    experiments = tables.by_kind(result).get("shares", [])
    if not experiments:
        return
    size = max(experiment["entries"][0]["case"]["elements"] for experiment in experiments)
    points: dict[str, list[tuple[float, measure.Ratio]]] = {}
    for experiment in experiments:
        case = Case(**experiment["entries"][0]["case"])
        if case.elements != size:
            continue
        for number, ratio in measure.ratios(experiment).items():
            if number not in ("A/A", 0):
                name = experiment["entries"][number]["provider"]
                points.setdefault(name, []).append((100 * case.missing_share, ratio))
    for name, of_name in points.items():
        _line(axis, name, of_name)
    _times_as_long(axis, "% of the labels missing")
    axis.set_title(f"Forward and gradient, 2^{size.bit_length() - 1} elements")


def bandwidth(result: dict[str, Any], axis: Axes) -> None:
    """The share of what a loop in C reaches in the same rounds, at 2^24 elements."""
    shares: dict[str, measure.Ratio] = {}
    for experiment in tables.by_kind(result).get("size", []):
        case = Case(**experiment["entries"][0]["case"])
        names = {entry["provider"]: n for n, entry in enumerate(experiment["entries"])}
        yardstick = names.get(TRIAD if case.gradient else READ)
        if case.elements != 2**24 or yardstick is None or yardstick not in experiment["columns"]:
            continue
        factor = GRADIENT_OVER_TRIAD if case.gradient else 1.0
        label = "with gradient, of STREAM triad" if case.gradient else "forward, of STREAM read"
        for name, number in names.items():
            if number in experiment["columns"] and name not in (READ, TRIAD, NOTHING):
                share = measure.ratio(experiment, yardstick, number, factor)
                shares[f"{name}, {label}"] = share
    labels = sorted(shares, key=lambda label: shares[label].median)
    medians = [shares[label].median for label in labels]
    errors = [
        [median - shares[label].low for label, median in zip(labels, medians, strict=True)],
        [shares[label].high - median for label, median in zip(labels, medians, strict=True)],
    ]
    axis.barh(labels, medians, xerr=errors if labels else None)
    axis.axvline(1.0, color="black", linewidth=1)
    axis.set_xlabel("share of STREAM's bytes in a second")
    axis.set_title("2^24 float32 elements")


def _line(axis: Axes, name: str, points: list[tuple[Any, measure.Ratio]]) -> None:
    points = sorted(points, key=lambda point: point[0])
    places = [place for place, _ in points]
    (line,) = axis.plot(places, [ratio.median for _, ratio in points], marker="o", label=name)
    axis.fill_between(
        places,
        [ratio.low for _, ratio in points],
        [ratio.high for _, ratio in points],
        alpha=0.2,
        color=line.get_color(),
    )


def _times_as_long(axis: Axes, label: str) -> None:
    axis.axhline(1.0, color="black", linewidth=1)
    axis.set_yscale("log")
    axis.set_xlabel(label)
    axis.set_ylabel("times as long as masklstm")
    axis.grid(alpha=0.3, which="both")
    if axis.get_legend_handles_labels()[0]:
        axis.legend()


def _save(figure: Figure, file: Path) -> None:
    # Without the date and the version, so that the same data give the same file.
    with written_whole(file) as beside:
        figure.savefig(beside, dpi=100, metadata={"Software": None})
    pyplot.close(figure)
