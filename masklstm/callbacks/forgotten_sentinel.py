"""Which labels look like a number that means "no label", and was forgotten."""

import math

from masklstm._core.sentinels import is_conventional
from masklstm.callbacks.label_counts import Extremes

_TOO_LARGE = 1e15
_CLASSES_THAT_ARE_NONE = (-1.0, -100.0)


def forgotten_sentinel(
    lowest: Extremes, highest: Extremes, has_fractions: bool, are_classes: bool, labels: int
) -> float | None:
    """The lowest or the highest label, if nothing but a sentinel looks like it; else None.

    It is a number that is in use for this, comes again and again, and lies far from all others.

    Args:
        lowest, highest: Of the labels that are there.
        has_fractions: Whether some of them are no whole numbers.
        are_classes: Whether the loss takes them for classes or their probabilities.
        labels: How many there are.
    """
    if _is_far(lowest, highest) or _is_no_class(lowest, has_fractions, are_classes, labels):
        return lowest.value
    mirrored = [Extremes(-each.value, each.times, -each.other) for each in (highest, lowest)]
    return highest.value if _is_far(mirrored[0], mirrored[1], is_mirrored=True) else None


def _is_far(end: Extremes, other: Extremes, is_mirrored: bool = False) -> bool:
    """Whether the lower end is a sentinel that lies far from all other labels."""
    number = end.value
    if not math.isfinite(number):
        return False
    if abs(number) >= _TOO_LARGE:
        return not math.isfinite(end.other) or abs(end.other - number) > abs(number) / 2
    if end.times < 2 or not _is_in_use(-number if is_mirrored else number):
        return False
    if not math.isfinite(end.other):  # there are no others
        return abs(number) > 900
    # A sentinel at the other end does not make the range of the others wide.
    is_alone_there = other.times >= 2 and _is_in_use(other.value * (-1 if is_mirrored else 1))
    top = other.other if is_alone_there and math.isfinite(other.other) else other.value
    width = max(top, end.other) - end.other
    is_only_negative = not is_mirrored and number < 0 <= end.other
    return is_only_negative or end.other - number >= width / 4


def _is_in_use(number: float) -> bool:
    """Those below 99 are too often measured: nobody looks at the other values here."""
    return abs(number) >= 99 and is_conventional(number)


def _is_no_class(lowest: Extremes, has_fractions: bool, are_classes: bool, labels: int) -> bool:
    """-1 among classes, or among labels that are otherwise not negative and have fractions."""
    if not lowest.other >= 0 or not math.isfinite(lowest.other) or lowest.times < 2:
        return False
    if are_classes:
        return lowest.value in _CLASSES_THAT_ARE_NONE
    return has_fractions and lowest.value == -1 and lowest.times >= labels / 100
