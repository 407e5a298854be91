"""`split`: training, validation and test parts, by time, by group, or both."""

import itertools
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timezone
from typing import Any

import numpy as np
from numpy.typing import NDArray

from masklstm.data.tables import (
    given_or_named,
    is_frame,
    numbered_groups,
    rows_of,
)
from masklstm.data.times import time_values


@dataclass(frozen=True)
class Part:
    """A part of a table: `start <= time < stop`, and some of the groups.

    `masklstm.data.windows(..., part=part)` takes the windows whose labels lie in it;
    `part.of(table)` are its rows, as for `Normalization.adapt`.

    Attributes:
        start, stop: The first time, and the first one behind; None for no border.
        groups: Names of groups; None for all.
        time, group: Names of the columns.

    Example:

    >>> import masklstm
    >>> masklstm.data.Part(stop="2014-01-01", time="date")
    Part(start=None, stop='2014-01-01', groups=None, time='date', group=None)
    """

    start: Any = None
    stop: Any = None
    groups: tuple[Hashable, ...] | None = None
    time: Any = None
    group: Any = None

    def of(self, table: Any) -> Any:
        """The table's rows that lie in this part: a frame, or a mapping or array like the table."""
        chosen = np.ones(rows_of(table), bool)
        if self.start is not None or self.stop is not None:
            chosen &= self.has_times(time_values(time_column(table, self.time)))
        if self.groups is not None:
            if self.group is None:
                raise ValueError(
                    "Expected a part with 'group', the name of the column that its groups are of. "
                    f"Received: {self!r}"
                )
            names, numbers = numbered_groups(given_or_named(table, self.group, "group"))
            chosen &= self.has_groups(names)[numbers]
        if is_frame(table):
            return table[chosen]
        if isinstance(table, Mapping):
            return {name: column[chosen] for name, column in table.items()}
        return table[chosen]

    def has_times(self, times: NDArray[Any]) -> NDArray[np.bool_]:
        """Which times lie in it."""
        chosen = np.ones(times.shape, bool)
        if self.start is not None:
            chosen &= times >= _border(self.start, times)
        if self.stop is not None:
            chosen &= times < _border(self.stop, times)
        return chosen

    def has_groups(self, names: Sequence[Any]) -> NDArray[np.bool_]:
        """Which of these groups are among its own."""
        if self.groups is None:
            return np.ones(len(names), bool)
        unknown = [group for group in self.groups if group not in set(names)]
        if unknown:
            raise ValueError(
                f"Expected the groups of a part to be in the table, as {list(names)[:5]!r}. "
                f"Received: {unknown[:5]!r}"
            )
        own = set(self.groups)
        return np.array([name in own for name in names])


def split(
    table: Any,
    shares: Sequence[float] = (0.6, 0.2, 0.2),
    *,
    time: Any = None,
    group: Any = None,
    by: str = "time",
    at: Any = None,
    seed: int = 0,
) -> tuple[Part, ...]:
    """Parts of a table for training, validation and test, or as many as there are shares.

    By time, all groups have the same borders, so that no part knows what was measured anywhere
    later than its own time. By group, a series is in one part as a whole. By both, a part has its
    own groups in its own time; the rest of the table is in no part. Then `windows(table, ...,
    part=part)` takes the windows all of whose labels lie in a part: no label is in two of them. The
    inputs of a window may lie before its part, since they are known when it is forecast.

    Args:
        table: As for `masklstm.data.windows`.
        shares: Of the rows (by time) or of the groups, in the order of the parts; their sum is 1.
        time: Name of the column with the times, or an array of them; a frame's DatetimeIndex by
            default.
        group: Name of the column with the groups, or an array of them.
        by: `"time"`, `"group"` or `"both"`.
        at: The times at which parts begin, all but the first, instead of shares; for two parts one
            time.
        seed: Of the order in which groups are drawn.

    Returns:
        A `Part` for each share.

    Raises:
        ValueError: For shares that are no shares, a border outside of the table, a part without
            rows, fewer groups than parts.

    Example:

    >>> import masklstm, numpy as np
    >>> table = {"year": np.arange(2000, 2010), "flow": np.random.rand(10)}
    >>> train, test = masklstm.data.split(table, (0.8, 0.2), time="year")
    >>> train.stop, test.of(table)["year"].tolist()
    (2008, [2008, 2009])
    """
    if by not in ("time", "group", "both"):
        raise ValueError(
            "Invalid value for argument 'by'. Expected 'time', 'group' or 'both'. "
            f"Received: by={by!r}"
        )
    if at is not None and np.ndim(at) == 0:
        at = [at]
    parts = len(shares) if at is None else len(at) + 1
    by_time, by_group = by in ("time", "both"), by in ("group", "both")
    if at is not None and not by_time:
        raise ValueError(f"Argument 'at' is for parts by time. Received: at={at!r} with by={by!r}")
    edges = _edges(shares)
    if by_group and at is not None and len(shares) != parts:
        raise ValueError(
            f"Expected as many 'shares' as parts, {parts}, for the groups. "
            f"Received: shares={shares!r}"
        )
    borders = [None] * (parts + 1)
    if by_time:
        times = time_values(time_column(table, time))
        borders[1:-1] = _borders(times, edges) if at is None else _given_borders(times, at)
    groups: list[Any] = [None] * parts
    if by_group:
        if group is None:
            raise ValueError(f"Expected 'group' for by={by!r}: the column with the groups")
        names, _ = numbered_groups(given_or_named(table, group, "group"))
        groups = _drawn(names, edges, seed)
    return tuple(
        Part(
            borders[place],
            borders[place + 1],
            groups[place],
            time if isinstance(time, str) else None,
            group if isinstance(group, str) else None,
        )
        for place in range(parts)
    )


def time_column(table: Any, time: Any) -> Any:
    """The times of a table: named, given, or the index of a frame."""
    if time is not None:
        return given_or_named(table, time, "time")
    if is_frame(table):
        return table.index.to_series()
    raise ValueError("Expected 'time': the name of the column with the times, or an array of them")


def _border(border: Any, times: NDArray[Any]) -> Any:
    """A border as the times are: text is a date."""
    if times.dtype.kind != "M":
        return border
    if getattr(border, "tzinfo", None) is not None:
        border = border.astimezone(timezone.utc).replace(tzinfo=None)
    return np.datetime64(getattr(border, "to_datetime64", lambda: border)())


def _edges(shares: Sequence[float]) -> NDArray[np.float64]:
    """Where the parts begin and end, from 0 to 1."""
    edges = np.concatenate([[0.0], np.cumsum(np.asarray(shares, np.float64))])
    if len(edges) < 2 or not np.all(np.diff(edges) > 0) or abs(edges[-1] - 1) > 1e-9:
        raise ValueError(
            "Invalid value for argument 'shares'. Expected numbers above 0 whose sum is 1. "
            f"Received: shares={shares!r}"
        )
    return edges


def _borders(times: NDArray[Any], edges: NDArray[np.float64]) -> list[Any]:
    if not len(times):
        raise ValueError("Expected a table with rows. Received: none")
    ordered = np.sort(times)
    places = np.rint(edges[1:-1] * len(ordered)).astype(int)
    found = [ordered[min(place, len(ordered) - 1)] for place in places]
    return _given_borders(times, [x if times.dtype.kind in "Mm" else x.item() for x in found])


def _given_borders(times: NDArray[Any], at: Sequence[Any]) -> list[Any]:
    """Borders between which there are rows."""
    borders = [_border(border, times) for border in at]
    below = [np.count_nonzero(times < border) for border in borders]
    if any(np.diff([0, *below, len(times)]) <= 0):
        raise ValueError(
            "Expected rows in every part. Received: parts that begin at "
            f"{', '.join(map(str, at))} for times from {times.min()} to {times.max()}"
        )
    return borders


def _drawn(names: list[Any], edges: NDArray[np.float64], seed: int) -> list[tuple[Any, ...]]:
    if len(names) < len(edges) - 1:
        raise ValueError(
            f"Expected a group for each part or more. Received: {len(names)} groups for "
            f"{len(edges) - 1} parts"
        )
    ordered = sorted(names, key=str)
    drawn = np.random.default_rng(seed).permutation(len(ordered))
    places = np.rint(edges * len(ordered)).astype(int)
    for place in range(1, len(places)):  # none is empty
        places[place] = max(places[place], places[place - 1] + 1)
    places[-1] = len(ordered)
    for place in range(len(places) - 2, 0, -1):
        places[place] = min(places[place], places[place + 1] - 1)
    return [
        tuple(ordered[k] for k in sorted(drawn[start:stop]))
        for start, stop in itertools.pairwise(places)
    ]
