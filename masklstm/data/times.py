"""Times as numbers of steps: the step is found, and what lies between the steps is refused."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from masklstm._core.terminal import counted, time_text

_CALENDAR = {"month": 1, "year": 12}
# Times in floating point may miss their step by so much of it.
_TOLERANCE = 1e-3
_ONE_DAY = np.timedelta64(1, "D")


@dataclass(frozen=True)
class Steps:
    """The times of rows as whole numbers of steps, counted from the first time of their group.

    Attributes:
        numbers: For each row; int64.
        step: The time from one step to the next: a `numpy.timedelta64`, of months for calendar
            steps, or a number.
        origins: The first time of each group.
        offset: For calendar steps, what all times lie behind the beginning of their month, and
            their type.
    """

    numbers: NDArray[np.int64]
    step: Any
    origins: NDArray[Any]
    offset: Any = None

    def times(self, groups: NDArray[Any], numbers: NDArray[Any]) -> NDArray[Any]:
        """The times of steps: of their groups and numbers."""
        times: NDArray[Any] = self.origins[groups] + numbers * self.step
        if self.offset is None:
            return times
        behind, kind = self.offset
        return np.asarray(times.astype(kind) + behind)

    @property
    def text(self) -> str:
        """The step in words."""
        if not isinstance(self.step, np.timedelta64):
            return f"{self.step:g}"
        unit, count = np.datetime_data(self.step)[0], int(self.step.astype(np.int64))
        if unit == "M":
            return counted(count // 12, "year") if count % 12 == 0 else counted(count, "month")
        for name, length in (("day", "D"), ("hour", "h"), ("minute", "m"), ("second", "s")):
            whole = self.step / np.timedelta64(1, length)  # type: ignore[call-overload]
            if whole >= 1 and whole == int(whole):
                return counted(int(whole), name)
        return str(self.step)


def time_values(column: Any) -> NDArray[Any]:
    """Times as datetime64 or numbers.

    Raises:
        ValueError: For text, which has to be read first, and for missing times.
    """
    if hasattr(column, "dt") and getattr(column.dt, "tz", None) is not None:
        column = column.dt.tz_convert("UTC").dt.tz_localize(None)
    if str(getattr(column, "dtype", "")).startswith("period"):
        column = column.dt.to_timestamp()
    times = np.asarray(column)
    if times.dtype.kind not in "Mmiuf":
        received = repr(times.flat[0]) if times.size else "none"
        raise ValueError(
            "Expected 'time' to hold dates, as of pandas.to_datetime or "
            "masklstm.data.read_table(..., time=...), or numbers. Received: values such as "
            f"{received}"
        )
    is_missing = np.isnat(times) if times.dtype.kind in "Mm" else np.isnan(times)
    if is_missing.any():
        raise ValueError(
            "Expected 'time' to have a time for every row. Received: none in "
            f"{np.count_nonzero(is_missing):,} rows, the first of them row {np.argmax(is_missing)}"
        )
    return times


def find_steps(
    times: NDArray[Any], groups: NDArray[np.int32], names: list[Any], step: Any
) -> Steps:
    """The numbers of steps of all rows.

    Args:
        times: Of `time_values`.
        groups, names: Of `numbered_groups`.
        step: The time from one step to the next: text such as `"1h"`, a `timedelta`, a number,
            `"month"` or `"year"`; None to find it.
    """
    origins = _first_times(times, groups, len(names))
    if step is None:
        step = _most_frequent_difference(times, groups)
        if _is_calendar(step) and (found := _calendar_steps(times, groups, origins, step)):
            return found
    elif step in _CALENDAR:
        found = _calendar_steps(times, groups, origins, np.timedelta64(31, "D"))
        if found is None:
            raise ValueError(
                f"Expected 'time' to hold one time in each month for step={step!r}, on the same "
                "day, or on the last one of all months"
            )
        return found
    else:
        step = _given_step(step, times)
    elapsed = times - (origins[0] if len(origins) == 1 else origins[groups])
    if times.dtype.kind == "f":
        exact = elapsed / step
        numbers = np.rint(exact).astype(np.int64)
        is_between = np.abs(exact - numbers) > _TOLERANCE
    else:
        numbers, rest = np.divmod(elapsed, step)
        numbers = numbers.astype(np.int64)
        is_between = rest != np.zeros(1, rest.dtype)
    found = Steps(numbers, step, origins)
    if is_between.any():
        raise _irregular(times, is_between, found)
    return found


def _first_times(times: NDArray[Any], groups: NDArray[np.int32], count: int) -> NDArray[Any]:
    if not len(times):
        return times[:0].copy()
    if count == 1:
        return np.asarray(times.min(keepdims=True))
    last = times.max()
    origins = np.full(count, last, times.dtype)
    if times.dtype.kind in "Mm":
        np.minimum.at(origins.view(np.int64), groups, times.view(np.int64))
    else:
        np.minimum.at(origins, groups, times)
    return origins


def _most_frequent_difference(times: NDArray[Any], groups: NDArray[np.int32]) -> Any:
    """The smallest of the most frequent differences between neighbours of a group, above 0."""
    order: Any = slice(None)
    if not is_sorted(groups, times):
        order = np.lexsort((times, groups))
    within = np.diff(groups[order]) == 0
    differences = np.diff(times[order])[within]
    differences = differences[differences > np.zeros(1, differences.dtype)]
    if not len(differences):
        return np.ones(1, differences.dtype)[0]
    if np.all(differences == differences[0]):
        return differences[0]
    if differences.dtype.kind == "f":  # neighbours that differ by rounding alone are one
        least = differences.min()
        places = np.rint(differences / least / _TOLERANCE).astype(np.int64)
        values, first, counts = np.unique(places, return_index=True, return_counts=True)
        return differences[first[np.argmax(counts)]]
    values, counts = np.unique(differences, return_counts=True)
    return values[np.argmax(counts)]


def is_sorted(groups: NDArray[Any], numbers: NDArray[Any]) -> bool:
    """Whether rows are sorted by group, and within a group by time."""
    if len(groups) < 2:
        return True
    later = numbers[1:] >= numbers[:-1]
    return bool(np.all((groups[1:] > groups[:-1]) | ((groups[1:] == groups[:-1]) & later)))


def _is_calendar(step: Any) -> bool:
    return isinstance(step, np.timedelta64) and bool(28 * _ONE_DAY <= step <= 366 * _ONE_DAY)


def _calendar_steps(
    times: NDArray[Any], groups: NDArray[np.int32], origins: NDArray[Any], step: Any
) -> Steps | None:
    """Times that stand alike in their months, on the first or on the last day, say; else None."""
    if times.dtype.kind != "M":
        return None
    kind = times.dtype
    for day in (np.timedelta64(0, "D"), _ONE_DAY):  # the last day lies one before the first
        months = (times + day).astype("M8[M]")
        behind = times - months.astype(kind)
        if len(behind) and np.all(behind == behind[0]):
            break
    else:
        return None
    of_origins = (origins + day).astype("M8[M]")
    numbers = (months - of_origins[groups]).astype(np.int64)
    count = max(1, round(step / np.timedelta64(30, "D") * 30 / 30.44))
    if np.any(numbers % count):
        count = 1
    return Steps(numbers // count, np.timedelta64(count, "M"), of_origins, (behind[0], kind))


def _given_step(step: Any, times: NDArray[Any]) -> Any:
    found: Any
    try:
        if times.dtype.kind in "Mm":
            if isinstance(step, str):
                import pandas

                step = pandas.Timedelta(step)
            step = getattr(step, "to_timedelta64", lambda: step)()
            if not isinstance(step, (timedelta, np.timedelta64)):  # a number has no unit
                raise ValueError
            found = np.timedelta64(step)
        else:
            found = float(step) if times.dtype.kind == "f" else int(step)
            if found != step:
                raise ValueError
        if not found > np.zeros(1, np.asarray(found).dtype)[0]:
            raise ValueError
    except (TypeError, ValueError):
        kind = "a time such as '1h'" if times.dtype.kind in "Mm" else "a number"
        raise ValueError(
            f"Invalid value for argument 'step'. Expected {kind} above 0, 'month' or 'year'. "
            f"Received: step={step!r}"
        ) from None
    return found


def _irregular(times: NDArray[Any], is_between: NDArray[np.bool_], found: Steps) -> ValueError:
    row = int(np.argmax(is_between))
    return ValueError(
        f"Expected 'time' to have regular steps; most rows are {found.text} apart. Received: "
        f"{np.count_nonzero(is_between):,} of {len(times):,} rows between the steps, the first of "
        f"them row {row:,} at {time_text(times[row])}. Give a step that meets all of them, as "
        "step='1min', or bring the table to one: table.resample('1h').mean() in pandas, for each "
        "group"
    )
