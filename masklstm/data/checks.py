"""What a user should know of the times of a table: order, doubles, steps that are missing."""

from typing import Any, NamedTuple

import numpy as np

from masklstm._core.terminal import counted, time_text
from masklstm.data.grid import lay_out
from masklstm.data.tables import numbered_groups
from masklstm.data.times import find_steps, is_sorted, time_values

# A column of more different names than this share of the rows tells no series apart.
_MOST_GROUPS = 0.2


class Findings(NamedTuple):
    """What to say of a frame's times, what to warn of, and what may be the group."""

    notes: list[str]
    cautions: list[str]
    group: Any = None


def check_times(frame: Any, time: Any, group: Any) -> Findings:
    """Looks at the order of the times, at doubled and at missing ones."""
    names, groups = [None], np.zeros(len(frame), np.int32)
    if group is not None:
        names, groups = numbered_groups(frame[group])
    try:
        times = time_values(frame[time])
        steps = find_steps(times, groups, names, None)
    except ValueError as error:
        return Findings([], [str(error)])
    grid = lay_out(groups, steps, names, "first")
    notes = [
        f"times {time!r}: {time_text(times.min())} to {time_text(times.max())}, every {steps.text}"
    ]
    if group is not None:
        notes.append(f"groups {group!r}: {len(names):,}, as {', '.join(map(str, names[:3]))}")
    if grid.missing:
        notes.append(f"{counted(grid.missing, 'step')} without a row: missing")
    doubled = f"{counted(grid.doubled, 'row')} with the time of another one"
    column = _what_tells_apart(frame, time) if grid.doubled and group is None else None
    if column is not None:
        way = f"several series in one table? Name their column: group={column!r}"
        return Findings(notes, [f"{doubled}: {way}"], column)
    cautions = []
    if not is_sorted(groups, times):
        by = repr(time) if group is None else repr([group, time])
        cautions.append(
            f"The rows are not in the order of {time!r}. Counts and windows put them in order; for "
            f"anything else: table.sort_values({by})"
        )
    if grid.doubled:
        cautions.append(
            f"{doubled}: take duplicates='first', 'last' or 'mean', or name the column that tells "
            "series apart: group="
        )
    return Findings(notes, cautions)


def _what_tells_apart(frame: Any, time: Any) -> Any:
    """A column within whose values no time is doubled, the one with the fewest; None if none is."""
    found = []
    for name in frame.columns:
        if name == time or frame[name].dtype.kind == "f":
            continue
        count = frame[name].nunique()
        is_few = 1 < count <= max(2, _MOST_GROUPS * len(frame))
        if is_few and not frame.duplicated([name, time]).any():
            found.append((count, str(name), name))
    return min(found)[2] if found else None
