"""The numbers of a table's columns, row by row as they are asked for."""

import warnings
from collections.abc import Hashable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from masklstm._core.sentinels import sentinel_text, suspected_sentinels
from masklstm.data.tables import CHUNK, column_of, is_frame, numbers_of, rows_of

_SAMPLE = 50_000


class Source:
    """Chosen columns of a table. Those of a frame are copied, in `dtype`; arrays, which may be
    files, are read when they are needed.

    Attributes:
        names: Of the columns.
        rows: How many there are.
    """

    def __init__(self, table: Any, names: Sequence[Hashable], dtype: np.dtype[Any]) -> None:
        if dtype.kind != "f":
            raise ValueError(
                "Invalid value for argument 'dtype'. Expected a floating point type, which has "
                f"NaN. Received: dtype={dtype.name!r}"
            )
        self.names, self.rows, self.dtype = list(names), rows_of(table), dtype
        self._columns = [column_of(table, name, "table") for name in self.names]
        self._matrix: NDArray[np.floating[Any]] | None = None
        if is_frame(table):
            self._load()

    def _load(self) -> None:
        matrix = np.empty((self.rows, len(self.names)), self.dtype)
        for place in range(len(self.names)):
            for rows, values in self._chunks(place):
                matrix[rows, place] = values
        self._matrix, self._columns = matrix, []

    def _chunks(self, place: int) -> Iterator[tuple[slice, NDArray[np.floating[Any]]]]:
        """The numbers of a column, part by part, in `dtype`; refuses what it cannot hold."""
        for start in range(0, self.rows, CHUNK):
            rows = slice(start, min(start + CHUNK, self.rows))
            if self._matrix is not None:
                yield rows, self._matrix[rows, place]
                continue
            values = numbers_of(self._columns[place], self.names[place], rows)
            with np.errstate(over="ignore"):
                converted = values.astype(self.dtype)
            if np.isinf(converted).any():
                row = int(np.argmax(np.isinf(converted)))
                raise ValueError(
                    f"Expected column {self.names[place]!r} to hold numbers within the range of "
                    f"{self.dtype}: take dtype='float64', or NaN if it means that a value is "
                    f"missing. Received: {values[row]} in row {start + row:,}"
                )
            yield rows, converted

    def take(self, rows: NDArray[Any], places: range) -> NDArray[np.floating[Any]]:
        """The numbers of these rows, the columns along a last axis; NaN for row -1."""
        is_none = rows < 0
        has_none = bool(is_none.any())
        known = np.where(is_none, 0, rows) if has_none else rows
        if self._matrix is not None:
            taken = self._matrix[:, places.start : places.stop][known]
        else:
            columns = (self._taken(place, known) for place in places)
            taken = np.stack(list(columns), axis=-1)
        if has_none:
            taken[is_none] = np.nan
        return taken

    def _taken(self, place: int, rows: NDArray[Any]) -> NDArray[np.floating[Any]]:
        return np.ma.filled(self._columns[place][rows].astype(self.dtype), np.nan)

    def count_missing(self, places: range) -> NDArray[np.int32]:
        """For each row, how many of these columns it lacks."""
        missing = np.zeros(self.rows, np.int32)
        for place in places:
            for rows, values in self._chunks(place):
                missing[rows] += np.isnan(values)
        return missing

    def average(self, first: NDArray[np.int64]) -> None:
        """Gives rows the mean of what has been observed in all rows with the same number in
        `first`, which is that of the first of them.
        """
        if self._matrix is None:
            self._load()
        assert self._matrix is not None
        average_rows(self._matrix, first)


def average_rows(matrix: NDArray[np.floating[Any]], first: NDArray[np.int64]) -> None:
    """As `Source.average`, of a matrix, which it changes."""
    several = np.unique(first[first != np.arange(len(first))])
    rows = np.flatnonzero(np.isin(first, several))
    place = np.searchsorted(several, first[rows])
    values = matrix[rows].astype(np.float64)
    total, count = np.zeros((2, len(several), matrix.shape[1]))
    np.add.at(total, place, np.nan_to_num(values, nan=0.0))
    np.add.at(count, place, ~np.isnan(values))
    with np.errstate(invalid="ignore"):
        matrix[several] = total / count


def hint_at_sentinels(source: Source) -> None:
    """Warns once of numbers that look as if they meant "missing"."""
    rows = np.arange(0, source.rows, max(1, source.rows // _SAMPLE))
    suspects = [
        f"{sentinel_text(number, source.dtype)} in column {source.names[place]!r}"
        for place in range(len(source.names))
        for number in suspected_sentinels(source.take(rows, range(place, place + 1))[:, 0])
    ]
    if suspects:
        warnings.warn(
            f"These numbers look as if they meant that a value is missing: {'; '.join(suspects)}. "
            "Expected NaN, as by masklstm.data.read_table(..., missing=[...]) or "
            "table.replace(..., numpy.nan); if they are measurements, ignore this.",
            stacklevel=3,
        )
