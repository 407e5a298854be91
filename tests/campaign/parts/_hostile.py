"""Values of attributes and tensors that nobody in their right mind would hand over."""

from typing import Any

import ml_dtypes
import numpy as np

TEXTS = [
    "",
    "nan",
    "nonfinite",
    "-999",
    "1e400",
    "nan;nan",
    "0x1p3",
    "-0",
    "1,2,3",
    "components=33",
    "components=-1",
    "quantile=0.5;0.5;0.5",
    "epsilon=nan",
    "delta=1;delta=2",
    "=",
    "delta",
    "delta=",
    "δ=1",
    "\x00",
    "%n%s%x",
    "a" * 100_000,
    "9" * 5_000,
    "1e-320",
    "inf",
    "mean",
    "squared_error",
    "feature",
]
# How many inputs there are. TensorFlow itself writes down a type for each, whatever the op is: at
# 2^31 it takes all memory before any op is asked.
NUMBERS_OF_INPUTS = [0, 1, -1, 2, 7, 1000, 2**16, -(2**31), -(2**63)]
DTYPES = [
    "float16",
    "bfloat16",
    "float32",
    "float64",
    "int8",
    "int32",
    "int64",
    "uint64",
    "bool",
    "complex64",
]
FLOATS = [0.0, -0.0, 1.0, -1.0, np.nan, np.inf, -np.inf, 1e-45, 1e38, -1e38, 0.5, -999.0, 1e308]


def shape(rng: Any) -> tuple[int, ...]:
    rank = int(rng.choice([0, 1, 1, 2, 2, 3, 4, 8]))
    return tuple(int(rng.choice([0, 1, 1, 2, 3, 5, 17])) for _ in range(rank))


def array(rng: Any, dtype: str | None = None, like: tuple[int, ...] | None = None) -> Any:
    chosen = shape(rng) if like is None or rng.random() < 0.3 else like
    kind = dtype if dtype is not None and rng.random() < 0.8 else str(rng.choice(DTYPES))
    numbers = rng.choice(FLOATS, size=chosen) if rng.random() < 0.5 else rng.normal(size=chosen)
    own = ml_dtypes.bfloat16 if kind == "bfloat16" else np.dtype(kind)
    with np.errstate(all="ignore"):
        if np.dtype(own).kind in "iub":
            numbers = np.nan_to_num(numbers, posinf=1e9, neginf=-1e9)
        return np.asarray(numbers).astype(own)
