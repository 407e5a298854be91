"""Which inputs are missing."""

from typing import Any

from keras import ops


def standardize_mask_value(value: Any) -> float:
    """The number that marks what is missing."""
    try:
        return float(value)
    except (TypeError, ValueError):
        raise ValueError(
            "Invalid value for argument 'mask_value'. Expected a number or NaN. "
            f"Received: mask_value={value!r}"
        ) from None


def is_missing(inputs: Any, mask_value: float) -> Any:
    """Where the inputs are the mask value, a Python float; NaN is equal to NaN."""
    if mask_value != mask_value:
        return ops.isnan(inputs)
    return ops.equal(inputs, ops.cast(mask_value, inputs.dtype))


def mask_value_config(mask_value: float) -> dict[str, float]:
    """Nothing for NaN, the default, which would not be equal to itself after loading."""
    return {} if mask_value != mask_value else {"mask_value": mask_value}
