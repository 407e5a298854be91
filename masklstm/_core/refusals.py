"""How arguments are refused: what was expected, and what was received."""

from collections.abc import Collection
from typing import Any

import numpy as np
import tensorflow as tf


def one_of(known: Collection[str | None]) -> str:
    """The names as Keras's errors list them, but always in the same order."""
    return "{" + ", ".join(map(repr, known)) + "}"


def unknown_name(argument: str, name: Any, known: Collection[str | None]) -> ValueError:
    return ValueError(
        f"Invalid value for argument '{argument}'. Expected one of {one_of(known)}. "
        f"Received: {argument}={name!r}"
    )


def out_of_domain(name: str, domain: str, value: Any) -> ValueError:
    return ValueError(
        f"Invalid value for argument '{name}'. Expected a number in {domain}. "
        f"Received: {name}={value!r}"
    )


def check_not_lost(name: str, domain: str, value: Any, dtype: tf.DType) -> None:
    """A number above 0 must be one in the computing dtype too: formulas divide by it."""
    least = float(np.finfo(dtype.as_numpy_dtype).tiny)
    if domain.startswith("(0,") and 0 < float(value) < least:
        raise out_of_domain(name, f"{domain}, for {dtype.name} of at least {least!r}", value)


def number_or_nan(value: Any) -> float:
    """NaN, which lies in no domain, for what is not a number."""
    try:
        return float("nan") if isinstance(value, str) else float(value)
    except (TypeError, ValueError, OverflowError):
        return float("nan")
