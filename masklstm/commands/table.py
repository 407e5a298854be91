"""Reads a CSV file into columns of numbers, missing cells as NaN."""

import csv
import difflib
import gzip
import io
import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from masklstm._core.terminal import listed
from masklstm.commands.errors import CommandError

Floats = NDArray[np.float64]

# Compared in lower case.
MISSING_CELLS = frozenset({"", "-", "?", "n/a", "na", "nan", "none", "null", "#n/a"})
# Beyond these it takes long to find the nearest name.
_MOST_COMPARED, _LONGEST_COMPARED = 10_000, 200
_GZIP_MAGIC = b"\x1f\x8b"  # RFC 1952, section 2.3.1


class _NotANumberError(Exception):
    """A cell that is neither a number nor missing."""


@dataclass(frozen=True)
class Table:
    """The columns of a file: ``numbers`` by name, and for every other one a cell that shows why."""

    numbers: dict[str, Floats]
    not_numeric: dict[str, str]

    def target(self, name: str) -> Floats:
        """The column to forecast."""
        if name in self.numbers:
            return self.numbers[name]
        if name in self.not_numeric:
            raise CommandError(
                f"Target column {name!r} is not numeric. Expected numbers or missing cells. "
                f"Received: {self.not_numeric[name]}"
            )
        columns = [*self.numbers, *self.not_numeric]
        raise CommandError(
            f"Unknown target column.{_suggestion(name, columns)} "
            f"Expected one of: {listed(columns)}. Received: --target {name}"
        )


def read_table(path: Path) -> Table:
    """Reads a comma-separated file with a header, gzipped or not."""
    header, rows = _split_rows(_read_text(path), path)
    numbers: dict[str, Floats] = {}
    not_numeric: dict[str, str] = {}
    for index, name in enumerate(header):
        try:
            numbers[name] = _parse_column(name, [(line, cells[index]) for line, cells in rows])
        except _NotANumberError as error:
            not_numeric[name] = str(error)
    return Table(numbers, not_numeric)


def _read_text(path: Path) -> str:
    try:
        content = path.read_bytes()
        if content.startswith(_GZIP_MAGIC):
            content = gzip.decompress(content)
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise CommandError(
            f"{path} is not a CSV file. Expected UTF-8 text. Received: {error}"
        ) from error
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise CommandError(f"{path} is a damaged gzip file: {error}") from error
    except OSError as error:
        raise CommandError(
            f"Cannot read the data. Expected a CSV file. Received: {path} ({error.strerror})"
        ) from error


def _split_rows(text: str, path: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """The header and, with its line number, every row."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        lines = [(reader.line_num, cells) for cells in reader]
    except csv.Error as error:
        raise CommandError(
            f"{path} is not a CSV file. Expected comma-separated text. "
            f"Received: line {reader.line_num}: {error}"
        ) from error
    while lines and not lines[-1][1]:
        lines.pop()
    if not lines or not lines[0][1]:
        raise CommandError(f"{path} is not a CSV file. Expected a header line. Received: none")
    header = [name.strip() for name in lines[0][1]]
    twice = sorted(name for name, count in Counter(header).items() if count > 1)
    if twice:
        raise CommandError(
            f"{path} has no usable header. Expected different column names. "
            f"Received more than once: {listed(map(repr, twice))}"
        )
    # The csv module reads an empty line as no cells; in a file of one column it is an empty cell.
    rows = [(line, cells or [""] if len(header) == 1 else cells) for line, cells in lines[1:]]
    for line, cells in rows:
        if len(cells) != len(header):
            raise CommandError(
                f"{path} is not a CSV file. Expected {len(header)} comma-separated cells in every "
                f"line, as in its header. Received: {len(cells)} in line {line}"
            )
    return header, rows


def _parse_column(name: str, cells: Sequence[tuple[int, str]]) -> Floats:
    values = np.array([_parse_cell(line, cell) for line, cell in cells], dtype=np.float64)
    # float32 is what the model computes in: a value beyond its range would become infinite there.
    too_large = np.flatnonzero(np.abs(values) > np.finfo(np.float32).max)
    if too_large.size:
        line, cell = cells[too_large[0]]
        raise CommandError(
            f"Column {name!r} holds an infinite or too large value. Expected numbers within "
            f"float32's range, or a missing cell. Received: {cell.strip()} in line {line}"
        )
    return values


def _parse_cell(line: int, cell: str) -> float:
    text = cell.strip()
    if text.lower() in MISSING_CELLS:
        return float("nan")
    try:
        if "_" in text:  # float() takes 2014_01 for 201401
            raise ValueError
        return float(text)
    except ValueError:
        raise _NotANumberError(f"{text!r} in line {line}") from None


def _suggestion(name: str, columns: Sequence[str]) -> str:
    if len(columns) > _MOST_COMPARED or len(name) > _LONGEST_COMPARED:
        columns = [column for column in columns if column.lower() == name.lower()]
    by_lower_case = {column.lower(): column for column in columns}
    nearest = difflib.get_close_matches(name.lower(), by_lower_case, n=1)
    return f" Did you mean {by_lower_case[nearest[0]]!r}?" if nearest else ""
