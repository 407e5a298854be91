"""A table as one array on regular steps: what is counted and drawn."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from masklstm.data.grid import doubled_rows, lay_out, too_many_places
from masklstm.data.source import average_rows
from masklstm.data.tables import numbered_groups, numbers_of
from masklstm.data.times import find_steps, time_values


class Regular(NamedTuple):
    """Series beside each other.

    Attributes:
        values: Shape `(steps, series)`, NaN where there is no row.
        names: Of the series: a column, or a group and a column.
        times: Of the steps; None for rows that have none.
        step: The time from one step to the next in words, or "row".
    """

    values: NDArray[np.float64]
    names: list[str]
    times: NDArray[Any] | None
    step: str


def on_steps(
    frame: Any,
    columns: list[Any],
    time: Any,
    group: Any,
    duplicates: str = "first",
    step: Any = None,
) -> Regular:
    """The columns of a frame on the steps of their common time, from the first to the last.

    Raises:
        ValueError: For times between the steps, doubled ones if they are to be refused, and rows
            that would leave almost all of the array empty.
    """
    table = np.stack([numbers_of(frame[name], name) for name in columns], axis=1)
    if time is None:
        return Regular(table, list(map(str, columns)), None, "row")
    names, groups = [None], np.zeros(len(frame), np.int32)
    if group is not None:
        names, groups = numbered_groups(frame[group])
    times = time_values(frame[time])
    steps = find_steps(times, groups, names, step)
    grid = lay_out(groups, steps, names, duplicates)
    if grid.doubled and duplicates == "mean":
        average_rows(table, doubled_rows(groups, steps))
    # The steps of all groups, counted from the first time of all.
    first = steps.origins.min() if len(steps.origins) else 0
    shifts = ((steps.origins - first) / steps.step).astype(np.float64)
    whole = np.rint(shifts).astype(np.int64)
    length = int(max((whole + grid.lengths).max(initial=0), 0))
    if too_many_places(length * len(names) * len(columns), table.size):
        whose = "" if group is None else f" of {len(names):,} groups by group={group!r}"
        raise ValueError(
            f"Expected rows for more of the steps. Received: {len(frame):,} rows{whose}, between "
            f"the first and the last time of which lie {length:,} steps of {steps.text}. Look for "
            "a wrong time, give another step=, or name the column that tells series apart as group="
        )
    values = np.full((length, len(names), len(columns)), np.nan)
    for series, group_number in enumerate(grid.groups):
        rows = grid.rows[grid.starts[series] :][: grid.lengths[series]]
        place = whole[group_number]
        values[place : place + len(rows), group_number] = np.where(
            rows[:, None] < 0, np.nan, table[rows]
        )
    labels = [
        str(column) if group is None else f"{name}: {column}" if len(columns) > 1 else str(name)
        for name in names
        for column in columns
    ]
    earliest = np.full(length, int(np.argmin(steps.origins)) if len(steps.origins) else 0)
    all_times = steps.times(earliest, np.arange(length))
    return Regular(values.reshape(length, -1), labels, all_times, steps.text)
