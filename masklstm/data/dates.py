"""Columns of text read as times."""

import re
import warnings
from typing import Any

from masklstm.data.dialect import TableError

# The names of columns that times are made of, as pandas.to_datetime takes them together.
PARTS = ("year", "month", "day", "hour", "minute", "second")
_LOOKS_LIKE_A_DATE = re.compile(r"\s*\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}([ T].*)?")


def guess_time(frame: Any) -> Any:
    """The columns that hold times: the name of one whose text looks like dates, the list of year,
    month, day and so on, or None.
    """
    for name in frame.columns:
        if frame[name].dtype.kind == "M":
            return name
        if _is_text(frame[name]):
            seen = frame[name].dropna().head(50)
            if len(seen) and all(_LOOKS_LIKE_A_DATE.fullmatch(str(cell)) for cell in seen):
                return name
    lower = {str(name).lower(): name for name in frame.columns}
    parts = [lower[part] for part in PARTS if part in lower]
    return parts if len(parts) >= 3 and parts[0] == lower.get("year") else None


def read_times(
    frame: Any, time: Any, first_line: int, dayfirst: bool | None
) -> tuple[Any, list[str]]:
    """The times of all rows, and what was guessed.

    Raises:
        TableError: For cells that are no times, or that could be two.
    """
    import pandas

    if isinstance(time, (list, tuple)):
        parts = frame[list(time)].rename(columns=lambda name: str(name).lower())
        return _read(pandas.to_datetime, parts, time, first_line), [
            f"times made of {', '.join(map(str, time))}"
        ]
    column = frame[time]
    if not _is_text(column):
        return column, []
    if dayfirst is None and (iso := _iso(column)) is not None:
        return iso, []
    if dayfirst is None:
        both = {}
        for first in (False, True):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # pandas' own of the order of day and month
                try:
                    both[first] = pandas.to_datetime(column, dayfirst=first)
                except (ValueError, TypeError):
                    continue
        if len(both) == 2 and not both[False].equals(both[True]):
            rising = [first for first in both if both[first].is_monotonic_increasing]
            if len(rising) != 1:
                raise TableError(
                    f"Column {time!r} holds dates whose day and month could be exchanged. Expected "
                    f"dayfirst=True or False. Received: {column.iloc[0]!r} in line {first_line:,}"
                )
            both = {rising[0]: both[rising[0]]}
        if both:
            first = next(iter(both))
            order = "day before month" if first else "month before day"
            is_plain = not re.match(r"\s*\d{1,2}[-/.]", str(column.dropna().iloc[0]))
            return both[first], [] if is_plain else [f"dates with the {order}"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return _read(
            lambda cells: pandas.to_datetime(cells, dayfirst=bool(dayfirst)),
            column,
            time,
            first_line,
        ), []


def _iso(column: Any) -> Any:
    import pandas

    try:
        return pandas.to_datetime(column, format="ISO8601")
    except (ValueError, TypeError):
        pass
    try:  # several distances to UTC, as of summer and winter
        return pandas.to_datetime(column, format="ISO8601", utc=True)
    except (ValueError, TypeError):
        return None


def _read(read: Any, cells: Any, time: Any, first_line: int) -> Any:
    try:
        return read(cells)
    except (ValueError, TypeError) as error:
        for row in range(len(cells)):
            try:
                read(cells.iloc[row : row + 1])
            except (ValueError, TypeError):
                received = cells.iloc[row]
                received = received.to_dict() if hasattr(received, "to_dict") else received
                raise TableError(
                    f"Column {time!r} holds what is no time. Expected dates such as 2014-01-31 "
                    f"17:00. Received: {received!r} in line {first_line + row:,}"
                ) from error
        raise TableError(
            f"Column {time!r} holds dates in several forms. Expected one. Received: {error}"
        ) from error


def _is_text(column: Any) -> bool:
    return column.dtype.kind == "O" or str(column.dtype).startswith(("str", "string"))
