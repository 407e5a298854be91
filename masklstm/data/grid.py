"""Rows put on regular steps: series by series, with a place for each step that has no row."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from masklstm._core.refusals import unknown_name
from masklstm._core.terminal import time_text
from masklstm.data.times import Steps, is_sorted

DUPLICATES = ("refuse", "first", "last", "mean")
# Places are cheap, four bytes each, but a wrong time among the right ones could ask for billions.
_MOST_PLACES_PER_ROW, _ALWAYS_ALLOWED = 100, 10_000_000


@dataclass(frozen=True)
class Grid:
    """All steps of all series, one series behind the other.

    Attributes:
        rows: The row of the table that each place has, -1 where there is none.
        starts, lengths: The first place of each series, and how many it has; a group has several
            where it was parted.
        groups, first_numbers: The number of each series' group, and the number of its first step.
        doubled: Rows that share their group and time with an earlier one, in order.
        missing: How many places have no row.
    """

    rows: NDArray[np.signedinteger[Any]]
    starts: NDArray[np.int64]
    lengths: NDArray[np.int64]
    groups: NDArray[np.int32]
    first_numbers: NDArray[np.int64]
    doubled: int
    missing: int


def lay_out(
    groups: NDArray[np.int32],
    steps: Steps | None,
    names: list[Any],
    duplicates: str = "refuse",
    max_gap: int | None = None,
) -> Grid:
    """Puts the rows on the steps of their groups; without steps the rows follow each other.

    Args:
        groups: The number of each row's group.
        steps: The steps of all rows.
        names: Of the groups.
        duplicates: What to do with rows of one group and time: refuse them, or take the first or
            the last (for `"mean"`, whoever averages them takes the first).
        max_gap: A series ends where more steps than this have no row; None for nowhere.
    """
    if duplicates not in DUPLICATES:
        raise unknown_name("duplicates", duplicates, DUPLICATES)
    count = len(groups)
    kind = np.int32 if count < 2**31 else np.int64
    if steps is None:
        order = _stable_order(groups)
        of_row = groups[order]
        first = np.flatnonzero(np.diff(of_row, prepend=-1))
        lengths = np.diff(first, append=count)
        zeros = np.zeros(len(first), np.int64)
        rows: NDArray[Any] = order.astype(kind)
        return Grid(rows, first, lengths, of_row[first], zeros, 0, 0)
    numbers = steps.numbers
    order = np.arange(count, dtype=kind)
    if not is_sorted(groups, numbers):
        order = np.lexsort((numbers, groups)).astype(kind)
    groups, numbers = groups[order], numbers[order]
    is_first = np.diff(groups, prepend=-1) != 0
    jumps = np.diff(numbers, prepend=0)
    is_double = ~is_first & (jumps == 0)
    doubled = int(np.count_nonzero(is_double))
    if doubled and duplicates == "refuse":
        raise _refused(steps, groups, numbers, order, is_double, names)
    if doubled:
        keep = ~is_double
        if duplicates == "last":
            keep = np.append(~is_double[1:], True)
        order = order[keep]
        groups, numbers, is_first = (x[~is_double] for x in (groups, numbers, is_first))
        jumps = np.diff(numbers, prepend=0)
    begins = is_first if max_gap is None else is_first | (jumps > max_gap + 1)
    firsts = np.flatnonzero(begins)
    lasts = np.append(firsts[1:], len(order)) - 1
    lengths = numbers[lasts] - numbers[firsts] + 1 if len(firsts) else np.zeros(0, np.int64)
    starts = np.cumsum(lengths) - lengths
    places = int(lengths.sum())
    if too_many_places(places, count):
        raise ValueError(
            f"Expected 'time' to have few missing steps. Received: {count:,} rows, between the "
            f"first and the last of which lie {places:,} steps of {steps.text}. Look for a wrong "
            "time, give another step=, or a max_gap=, which parts a series at long gaps"
        )
    rows = np.full(places, -1, kind)
    series = np.cumsum(begins) - 1
    rows[starts[series] + numbers - numbers[firsts][series]] = order
    return Grid(
        rows, starts, lengths, groups[firsts], numbers[firsts], doubled, places - len(order)
    )


def too_many_places(places: int, rows: int) -> bool:
    """Whether almost all places would be empty, and fill the memory."""
    return places > max(_ALWAYS_ALLOWED, _MOST_PLACES_PER_ROW * rows)


def doubled_rows(groups: NDArray[np.int32], steps: Steps) -> NDArray[np.int64]:
    """For each row the first row of its group and time: itself, if it is not doubled."""
    order = np.lexsort((steps.numbers, groups))
    is_new = (np.diff(groups[order], prepend=-1) != 0) | (
        np.diff(steps.numbers[order], prepend=-1) != 0
    )
    first = np.empty(len(order), np.int64)
    first[order] = order[np.flatnonzero(is_new)[np.cumsum(is_new) - 1]]
    return first


def _stable_order(groups: NDArray[np.int32]) -> NDArray[np.signedinteger[Any]]:
    if is_sorted(groups, groups):
        return np.arange(len(groups))
    return np.argsort(groups, kind="stable")


def _refused(
    steps: Steps,
    groups: NDArray[np.int32],
    numbers: NDArray[np.int64],
    order: NDArray[Any],
    is_double: NDArray[np.bool_],
    names: list[Any],
) -> ValueError:
    place = int(np.argmax(is_double))
    time = steps.times(groups[place : place + 1], numbers[place : place + 1])[0]
    whose = f" of group {names[groups[place]]!r}" if len(names) > 1 else ""
    return ValueError(
        "Expected 'time' to be there once in each group. Received: "
        f"{np.count_nonzero(is_double):,} rows with the time of another one, as rows "
        f"{order[place - 1]:,} and {order[place]:,}{whose} at {time_text(time)}. Take "
        "duplicates='first', 'last' or 'mean'; if several series are in the table, name the column "
        "that tells them apart as group="
    )
