"""Numbers for each feature, as arguments of layers."""

from typing import Any

import numpy as np


def standardize_numbers(name: str, value: Any) -> Any:
    """A number, or a list of them."""
    try:
        return np.asarray(value, "float64").tolist()
    except (TypeError, ValueError, OverflowError):
        raise ValueError(
            f"Invalid value for argument '{name}'. Expected a number for each feature, or one for "
            f"all. Received: {name}={value!r}"
        ) from None
