"""NumPy arrays of odd kinds in the hands of `masklstm.kernels`.

What is accepted has the numbers of a plain copy; everything else is refused by a Python error. An
array that must not be written is not written.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from support.native import kernels

from campaign.parts import Disagreement

CASES = 20_000
MAY_CRASH = True
REFUSALS = (TypeError, ValueError, BufferError, OverflowError, MemoryError)


class Wrapped:
    """An object that is an array by its interface alone."""

    def __init__(self, array: Any, **changes: Any) -> None:
        self.array = array
        self.__array_interface__ = {**array.__array_interface__, **changes}


class Subclass(np.ndarray):
    """An array that changes what it is asked."""

    def __array_finalize__(self, obj: Any) -> None:
        self.note = getattr(obj, "note", "new")


def _strided(rng: Any, shape: tuple[int, ...]) -> Any:
    """Axes of stride 0, backwards, overlapping."""
    base = rng.normal(size=200).astype("float32")
    strides = [int(rng.choice([0, 4, 8, -4, 12, 2])) for _ in shape]
    start = 400
    reach = [(length - 1) * stride for length, stride in zip(shape, strides, strict=True) if length]
    low, high = sum(min(r, 0) for r in reach), sum(max(r, 0) for r in reach)
    if start + low < 0 or start + high + 4 > base.nbytes:
        return base[: int(np.prod(shape))].reshape(shape)
    return np.ndarray(shape, "float32", base.data, start, strides)


KINDS = [
    "plain",
    "strided",
    "read only",
    "swapped",
    "subclass",
    "matrix",
    "masked",
    "object",
    "text",
    "structured",
    "complex",
    "datetime",
    "long double",
    "list",
    "scalar",
    "none",
    "wrapped",
    "wrong shape",
    "deep",
    "gone",
    "endless",
]


def made(rng: Any, kind: str, shape: tuple[int, ...]) -> Any:
    plain = rng.normal(size=shape).astype(str(rng.choice(["float32", "float64", "float16"])))
    if kind == "strided":
        return _strided(rng, shape)
    if kind == "read only":
        plain.flags.writeable = False
        return plain
    if kind == "swapped":
        return plain.astype(plain.dtype.newbyteorder())
    if kind == "subclass":
        return plain.view(Subclass)
    if kind == "matrix":
        return np.asmatrix(plain.reshape(len(plain), -1)) if plain.size else plain
    if kind == "masked":
        return np.ma.masked_greater(plain, 0.5)
    if kind == "wrapped":
        return Wrapped(plain)
    if kind == "wrong shape":
        return rng.normal(size=(*shape, 2)[int(rng.integers(2)) :]).astype("float32")
    if kind == "deep":
        return rng.normal(size=(1,) * int(rng.integers(9, 33))).astype("float32")
    if kind == "gone":  # its memory was another one's
        return np.frombuffer(plain.tobytes(), plain.dtype).reshape(shape)
    if kind == "endless":  # 2^40 elements in four bytes
        return np.lib.stride_tricks.as_strided(np.ones(1, "float32"), (2**20, 2**20), (0, 0))
    return {
        "plain": lambda: plain,
        "object": lambda: plain.astype(object),
        "text": lambda: plain.astype(str),
        "structured": lambda: np.zeros(shape, [("a", "f4"), ("b", "f8")]),
        "complex": lambda: plain.astype(complex),
        "datetime": lambda: np.zeros(shape, "datetime64[s]"),
        "long double": lambda: plain.astype(np.longdouble),
        "list": plain.tolist,
        "scalar": lambda: 3.5,
        "none": lambda: None,
    }[kind]()


def draw(rng: Any) -> dict[str, Any]:
    shape = tuple(int(rng.choice([0, 1, 2, 3, 5])) for _ in range(int(rng.integers(1, 4))))
    kinds = [str(rng.choice(KINDS, p=_LIKELY)) for _ in range(4)]
    seed = int(rng.integers(2**32))
    return {"shape": shape, "kinds": kinds, "seed": seed, "with_out": bool(rng.integers(2))}


_LIKELY = np.array([6.0, 4.0, *[1.0] * (len(KINDS) - 2)])
_LIKELY[-1] = 0.05
_LIKELY /= _LIKELY.sum()


def arguments(case: dict[str, Any]) -> dict[str, Any]:
    rng = np.random.default_rng(case["seed"])
    names = ("y_true", "y_pred", "sample_weight")
    shape = case["shape"]
    given = {name: made(rng, kind, shape) for name, kind in zip(names, case["kinds"], strict=False)}
    return given


def check(case: dict[str, Any]) -> None:
    given = arguments(case)
    before = {name: _copy(value) for name, value in given.items()}
    try:
        value, _, count = kernels.masked_loss(**given)
    except REFUSALS:
        return
    plain = {
        name: np.ascontiguousarray(np.asarray(value))
        for name, value in before.items()
        if value is not None
    }
    expected, _, expected_count = kernels.masked_loss(**plain)
    if count != expected_count or not np.array_equal(value, expected, equal_nan=True):
        raise Disagreement(f"{value} of {count} instead of {expected} of {expected_count}")
    out = made(np.random.default_rng(1), case["kinds"][3], case["shape"])
    try:
        if case["with_out"]:
            kernels.masked_loss_gradient(**given, out=out)
            if isinstance(out, np.ndarray) and not out.flags.writeable:
                raise Disagreement("an array was written that must not be")
        else:
            kernels.masked_loss_gradient(**given)
    except REFUSALS:
        pass
    for name, value in given.items():
        if not _equal(value, before[name]):
            raise Disagreement(f"{name} was changed")


def _copy(value: Any) -> Any:
    return np.array(value) if isinstance(value, np.ndarray) and value.nbytes < 2**30 else value


def _equal(value: Any, before: Any) -> bool:
    if not isinstance(value, np.ndarray) or value.nbytes >= 2**30:
        return True
    return np.array_equal(np.asarray(value), before, equal_nan=value.dtype.kind == "f")


def smaller(case: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for index, kind in enumerate(case["kinds"]):
        if kind != "plain":
            kinds = [*case["kinds"][:index], "plain", *case["kinds"][index + 1 :]]
            yield {**case, "kinds": kinds}


def program(case: dict[str, Any]) -> str:
    return f"""# in tests/
from campaign.parts import arrays

case = {case!r}
print(arrays.arguments(case))
arrays.check(case)
"""
