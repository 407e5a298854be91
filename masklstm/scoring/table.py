"""`Scores`: what `masklstm.scores` returns, as a table, a file and a picture."""

import csv
import html
import itertools
from collections.abc import Iterator, Mapping
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from masklstm._core.files import written_whole
from masklstm._core.optional import needed
from masklstm._core.terminal import listed, shown

_MOST_ROWS = 40
"""So many groups are printed; a file has all of them."""


class Row(NamedTuple):
    """The scores of one group."""

    group: Any
    labels: int
    left_out: int
    scores: dict[str, float]


class Scores(Mapping[Any, dict[str, float]]):
    """Scores by group and metric: `scores["station"]["nse"]`; `scores["all"]` is over all labels.

    Printed, it is a table, with the median and the mean over the groups that have a score.

    Attributes:
        metrics: Names of the metrics.
        groups: The groups, in the order in which they first occur, without `"all"`.
        values: Scores of the groups, shape `(groups, metrics)`; NaN where there is none.
        labels: How many labels each row is over, by its name; a dict.
        left_out: How many labels have no value once they are transformed; a dict.
    """

    def __init__(self, metrics: list[str], rows: list[Row], everything: Row) -> None:
        self.metrics = metrics
        self.groups = [row.group for row in rows]
        self.values: NDArray[np.float64] = np.array(  # type: ignore[assignment]
            [list(row.scores.values()) for row in rows], np.float64
        ).reshape(len(rows), len(metrics))
        self._rows = {row.group: row for row in (*rows, everything)}
        self.labels = {group: row.labels for group, row in self._rows.items()}
        self.left_out = {group: row.left_out for group, row in self._rows.items()}

    def __getitem__(self, group: Any) -> dict[str, float]:
        try:
            return dict(self._rows[group].scores)
        except KeyError:
            raise KeyError(
                f"no group {group!r}. Expected 'all' or one of: {listed(self.groups)}"
            ) from None

    def __iter__(self) -> Iterator[Any]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)

    def of(self, metric: str) -> dict[Any, float]:
        """One metric's score of each group, without `"all"`."""
        if metric not in self.metrics:
            raise KeyError(f"no metric {metric!r}. Expected one of: {listed(self.metrics)}")
        column = self.values[:, self.metrics.index(metric)].tolist()
        return dict(zip(self.groups, column, strict=True))

    def mean(self) -> dict[str, float]:
        """The mean of each metric over the groups that have a score."""
        return self._over_groups(np.mean)

    def median(self) -> dict[str, float]:
        """The median of each metric over the groups that have a score."""
        return self._over_groups(np.median)

    def _over_groups(self, average: Any) -> dict[str, float]:
        columns = (column[~np.isnan(column)] for column in self.values.T)
        averages = (float(average(column)) if column.size else np.nan for column in columns)
        return dict(zip(self.metrics, averages, strict=True))

    def to_csv(self, path: str | PathLike[str]) -> None:
        """Writes the rows, `"all"` the last one, with all digits; whole or not at all.

        Raises:
            OSError: Where `path` cannot be written.
        """
        with (
            written_whole(Path(path)) as beside,
            open(beside, "w", encoding="utf-8", newline="") as file,
        ):
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(["group", "labels", "left_out", *self.metrics])
            for group, row in self._rows.items():
                numbers = [repr(value) for value in row.scores.values()]
                writer.writerow([group, row.labels, row.left_out, *numbers])

    def to_markdown(self) -> str:
        """The table with every group, as Markdown."""
        header, *rows = self._cells(len(self.groups))
        cells = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
        lines = (
            [cell.replace("\\", "\\\\").replace("|", "\\|") for cell in row] for row in cells if row
        )
        return "".join(f"| {' | '.join(line)} |\n" for line in lines)

    def plot(self, path: str | PathLike[str] | None = None) -> Any:
        """Draws for each metric how its scores are distributed over the groups: the share of them
        whose score is no higher (the empirical distribution function), a point for each group.

        Args:
            path: Where to save the picture, whole or not at all; its suffix is the format, such as
                `.png` or `.svg`; without one it is a PNG.

        Returns:
            A `matplotlib.figure.Figure`, which notebooks show.

        Raises:
            ImportError: Where matplotlib is not installed.
            ValueError: For a suffix that is not the name of a format.
            OSError: Where `path` cannot be written.
        """
        with needed("The picture", "matplotlib", "demo"):
            from masklstm.inspection import picture as pictures
            from masklstm.scoring import picture
        target = None if path is None else pictures.check_path(path)
        figure = picture.draw(self)
        if target is not None:
            pictures.save(figure, target)
        return figure

    def __repr__(self) -> str:
        rows = self._cells(_MOST_ROWS)
        widths = [max(map(len, column)) for column in zip(*filter(None, rows), strict=True)]
        lines = []
        for row in rows:
            padded = (
                cell.rjust(width) if place else cell.ljust(width)
                for place, (cell, width) in enumerate(zip(row, widths, strict=False))
            )
            lines.append("  ".join(padded))
        rest = len(self.groups) - _MOST_ROWS
        if rest > 0:
            more = f"and {rest:,} more groups, which to_csv and to_markdown write"
            lines.insert(1 + _MOST_ROWS, more)
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        def line(row: list[str], tag: str) -> str:
            cells = (f"<{tag}>{html.escape(cell)}</{tag}>" for cell in row)
            return f"<tr>{''.join(cells)}</tr>"

        header, *rows = (row for row in self._cells(_MOST_ROWS) if row)
        lines = [line(header, "th"), *(line(row, "td") for row in rows)]
        rest = len(self.groups) - _MOST_ROWS
        more = f"<p>and {rest:,} more groups</p>" if rest > 0 else ""
        return f"<table>{''.join(lines)}</table>{more}"

    def _cells(self, most: int) -> list[list[str]]:
        """The table's rows as text: header, groups, averages, all. An empty one is a gap."""
        counts = ["labels"] + ["left out"] * any(self.left_out.values())
        rows = [["group", *counts, *self.metrics]]

        def row(name: Any, numbers: list[int], scores: dict[str, float]) -> list[str]:
            texts = [f"{number:,}" for number in numbers[: len(counts)]]
            return [name, *texts, *(_number(value) for value in scores.values())]

        for group in itertools.islice(self.groups, most):
            numbers = [self.labels[group], self.left_out[group]]
            rows.append(row(shown(group), numbers, self._rows[group].scores))
        if self.groups:
            nothing = [""] * len(counts)
            rows.append([])
            for name, averages in (("median", self.median()), ("mean", self.mean())):
                rows.append([name, *nothing, *(_number(value) for value in averages.values())])
        rows.append(
            row("all", [self.labels["all"], self.left_out["all"]], self._rows["all"].scores)
        )
        return [[shown(cell) for cell in each] for each in rows]


def _number(value: float) -> str:
    return "NaN" if np.isnan(value) else f"{value:.4g}"
