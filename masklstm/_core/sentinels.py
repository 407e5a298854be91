"""Numbers that look as if they meant "missing", and that nobody said so of."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

# Fewer are as likely to be measured.
_RECURS = 3
# Columns are looked at one by one, for each has a scale of its own; beyond so many, all as one.
_MOST_COLUMNS = 256
# Quantiles and distinct values are taken of about so many.
_SAMPLE = 100_000
# What integers hold at their ends, and netCDF's fill values.
_CONVENTIONAL = (255, 32767, -32768, 65535, 2**31 - 1, -(2**31), 2**32 - 1, -32767, -2147483647)


def suspected_sentinels(values: Any) -> dict[float, int]:
    """Numbers that may be sentinels, such as -999 or 9.96921e36, and how often they occur.

    A number is suspected if it is the smallest or the largest of its column, recurs (three times or
    more), and lies apart from all others: by more than twice the distance between the others'
    extremes, if those have ten values or more; by more than a quarter of the others' interquartile
    range, if it is one that is commonly used: nothing but nines (two or more), the end of an
    integer type, or 1e20 and beyond. A sentinel among the others is found after those outside of
    it.

    Args:
        values: Labels or inputs, of which the last axis is that of the columns if there are two or
            more; floating point or integer. What is not finite is not looked at: set to NaN what
            is known to be missing.

    Returns:
        The counts by number, the most frequent first; empty for bools and for what is clean.
    """
    values = np.asarray(values)
    if values.dtype == np.bool_ or values.size < _RECURS:
        return {}
    columns = values.reshape(-1, values.shape[-1]).T if values.ndim > 1 else values[None]
    if len(columns) > _MOST_COLUMNS:
        columns = values.reshape(1, -1)
    found: dict[float, int] = {}
    for column in columns:
        for number, count in _of_column(column.astype(np.float64)):
            found[number] = found.get(number, 0) + count
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def sentinel_text(number: float, dtype: Any) -> str:
    """The shortest text that reads back to the number in the labels' type."""
    if number.is_integer() and abs(number) < 1e15:
        return str(int(number))
    kind = np.dtype(dtype)
    return str(kind.type(number)) if kind.kind == "f" else repr(number)


def _of_column(values: NDArray[np.float64]) -> list[tuple[float, int]]:
    values = values[np.isfinite(values)]
    found = []
    while len(values) > _RECURS:
        for number in (values.min(), values.max()):
            is_number = values == number
            count = int(np.count_nonzero(is_number))
            if not _RECURS <= count < len(values):
                continue
            rest = values[~is_number]
            if _lies_apart(number, rest):
                found.append((float(number), count))
                values = rest
                break
        else:
            break
    return found


def _lies_apart(number: float, rest: NDArray[np.float64]) -> bool:
    low, high = rest.min(), rest.max()
    distance = low - number if number < low else number - high
    sample = rest[:: 1 + len(rest) // _SAMPLE]
    if distance > 2 * (high - low) and len(np.unique(sample)) >= 10:
        return True
    first, third = np.percentile(sample, (25, 75))
    return bool(is_conventional(number) and distance > (third - first) / 4 and distance > 1)


def is_conventional(number: float) -> bool:
    """Whether a number is commonly used for what is missing: nines and nothing else, as in -999 and
    99.9, the end of an integer type, or 1e20 and beyond.
    """
    if abs(number) >= 1e20:  # float32 does not have them all
        return True
    digits = f"{np.float32(abs(number)):.7g}".replace(".", "")
    nines = len(digits) > 1 and set(digits) == {"9"}
    return nines or number in _CONVENTIONAL
