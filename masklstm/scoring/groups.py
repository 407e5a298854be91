"""Which labels belong together."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

_AXES = {"feature": -1, "timestep": 1}


class Grouped(NamedTuple):
    """The valid labels of a group, and their predictions: vectors."""

    name: Any
    y_true: NDArray[np.float64]
    y_pred: NDArray[np.float64]


def sorted_into_groups(
    y_true: NDArray[np.float64],
    y_pred: NDArray[np.float64],
    is_valid: NDArray[np.bool_],
    groups: Any,
    columns: Sequence[Any],
) -> list[Grouped]:
    """The groups in the order in which they first occur, also those without a valid label.

    Args:
        y_true, y_pred, is_valid: Of one shape.
        groups: As `masklstm.scores` takes it.
        columns: Names of the features, if they have any.
    """
    names, numbers = _numbered(groups, y_true.shape, columns)
    if np.any(is_valid & (numbers < 0)):
        raise ValueError(
            "Expected 'groups' to name the group of every label that is there: leave the others "
            "out by NaN labels. Received: None or NaN as the group of "
            f"{np.count_nonzero(is_valid & (numbers < 0)):,} labels"
        )
    chosen = numbers[is_valid]
    order = np.argsort(chosen, kind="stable")
    cuts = np.searchsorted(chosen[order], np.arange(1, len(names)))
    parts = zip(*(np.split(x[is_valid][order], cuts) for x in (y_true, y_pred)), strict=True)
    return [Grouped(name, *part) for name, part in zip(names, parts, strict=True)]


def _numbered(
    groups: Any, shape: tuple[int, ...], columns: Sequence[Any]
) -> tuple[list[Any], NDArray[np.intp]]:
    """The groups' names, and for each label the number of its group; -1 for none."""
    if groups is None:
        return ["all"], np.zeros(shape, np.intp)
    if isinstance(groups, str):
        return _by_axis(groups, shape, columns)
    ids = np.asarray(groups)
    while ids.ndim > len(shape) and ids.shape[-1] == 1:
        ids = ids[..., 0]
    fits = all(own in (1, length) for own, length in zip(ids.shape, shape, strict=False))
    if not 0 < ids.ndim <= len(shape) or not fits:
        raise ValueError(
            "Expected 'groups' to have the axes of y_true, from the left, or 1, as an id for each "
            "sample; or to be 'feature' or 'timestep'. Received: groups with shape "
            f"{ids.shape} for y_true with shape {shape}"
        )
    places: dict[Any, int] = {}
    numbers = np.array(
        [
            -1 if _is_none(each) else places.setdefault(each, len(places))
            for each in ids.ravel().tolist()
        ],
        np.intp,
    )
    if "all" in places:
        raise ValueError(
            "Expected another name than 'all' in 'groups': the row of that name is over all labels"
        )
    numbers = numbers.reshape(ids.shape + (1,) * (len(shape) - ids.ndim))
    return list(places), np.broadcast_to(numbers, shape)


def _by_axis(
    axis: str, shape: tuple[int, ...], columns: Sequence[Any]
) -> tuple[list[Any], NDArray[np.intp]]:
    if axis not in _AXES or len(shape) < 2:
        raise ValueError(
            "Expected 'groups' to be 'feature', the last axis of labels with two or more, "
            "'timestep', the second one, or an array with the group of each label. Received: "
            f"groups={axis!r} for y_true with shape {shape}"
        )
    place = _AXES[axis] % len(shape)
    length = shape[place]
    along = np.arange(length).reshape([-1 if k == place else 1 for k in range(len(shape))])
    names = list(columns) if axis == "feature" and len(columns) == length else list(range(length))
    return names, np.broadcast_to(along, shape)


def _is_none(name: Any) -> bool:
    """None, NaN, and pandas' NA, which is not equal to anything."""
    return name is None or type(name).__name__ == "NAType" or name != name
