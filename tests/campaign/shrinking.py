"""From a case that fails to a small one."""

import time
from collections.abc import Iterator
from typing import Any

import numpy as np

SECONDS = 60.0


def failure_of(part: Any, case: Any) -> str | None:
    """What is wrong with it: the kind of error and its first line; None for nothing."""
    try:
        part.check(case)
    except Exception as error:
        lines = str(error).strip().splitlines()
        return f"{type(error).__name__}: {lines[0] if lines else ''}"
    return None


def shrunk(part: Any, case: Any) -> Any:
    """The smallest one that is found by taking away what can go while it still fails."""
    end = time.monotonic() + SECONDS
    kind = _kind(failure_of(part, case))
    while True:
        for candidate in part.smaller(case):
            if time.monotonic() > end:
                return case
            if _kind(failure_of(part, candidate)) == kind:
                case = candidate
                break
        else:
            return case


def _kind(failure: str | None) -> str:
    """The error and the beginning of its text, in which there are no numbers yet."""
    return (failure or "")[:24]


def smaller_arrays(case: dict[str, Any], names: list[str]) -> Iterator[dict[str, Any]]:
    """Halves of all arrays along each axis of the first of them, then simpler numbers.

    The others have axes of its length or of 1, or fewer of them.
    """
    first = case[names[0]]
    arrays = [name for name in names if isinstance(case.get(name), np.ndarray)]
    for axis, length in enumerate(first.shape):
        for part in (slice(0, length // 2), slice(length // 2, None), slice(1, None)):
            if length > 1:
                cut = {name: _along(case[name], axis, part, length) for name in arrays}
                yield {**case, **cut}
    for name in arrays:
        array = case[name]
        if array.dtype.kind == "f":
            with np.errstate(all="ignore"):
                rounded = np.round(array.astype(np.float64), 1).astype(array.dtype)
            if not np.array_equal(rounded, array, equal_nan=True):
                yield {**case, name: rounded}


def _along(array: Any, axis: int, part: slice, length: int) -> Any:
    if array.ndim <= axis or array.shape[axis] != length:
        return array
    return np.ascontiguousarray(array[(slice(None),) * axis + (part,)])


def smaller_options(case: dict[str, Any], defaults: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """With an option at its default, or left out where that is None."""
    for name, default in defaults.items():
        if name in case and not (case[name] is default or np.array_equal(case[name], default)):
            rest = {key: value for key, value in case.items() if key != name}
            yield rest if default is None else {**case, name: default}


def written(value: Any) -> str:
    """As it stands in a program."""
    if not isinstance(value, np.ndarray):
        return repr(value) if value == value else 'float("nan")'
    if value.dtype.name == "bfloat16":
        return f"{written(value.astype('float32'))}.astype(ml_dtypes.bfloat16)"
    with np.printoptions(threshold=100_000, linewidth=88, floatmode="unique"):
        text = np.array2string(value, separator=", ")
    text = text.replace("nan", "np.nan").replace("inf", "np.inf")
    text = text.replace("True", "True").replace("False", "False")
    if value.size == 0:
        return f"np.zeros({value.shape}, {value.dtype.name!r})"
    return f"np.array({text}, {value.dtype.name!r})"


def arguments(case: dict[str, Any]) -> str:
    return ",\n    ".join(f"{name}={written(value)}" for name, value in case.items())


def checked_again(part: str, case: dict[str, Any]) -> str:
    """A program that checks the case once more."""
    return f"""# in tests/
import numpy as np
from campaign.parts import {part}

case = dict(
    {arguments(case)}
)
{part}.check(case)
"""
