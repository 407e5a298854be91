from collections.abc import Callable
from typing import Any, TypedDict

import numpy as np

class Parameter(TypedDict):
    name: str
    default: float
    domain: str
    accepts: Callable[[float], bool]

def masked_loss(
    y_true: np.ndarray[Any, Any],
    y_pred: np.ndarray[Any, Any],
    loss: str = "squared_error",
    sample_weight: np.ndarray[Any, Any] | None = None,
    mask: np.ndarray[Any, Any] | None = None,
    reduction: str = "mean",
    missing: Any = ...,
    threads: int = 1,
    **parameters: float,
) -> tuple[Any, float, int]: ...
def masked_group_sums(
    y_true: np.ndarray[Any, Any],
    y_pred: np.ndarray[Any, Any],
    loss: str = "squared_error",
    sample_weight: np.ndarray[Any, Any] | None = None,
    mask: np.ndarray[Any, Any] | None = None,
    balance: str = "sample",
    missing: Any = ...,
    threads: int = 1,
    **parameters: float,
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any], np.ndarray[Any, Any]]: ...
def masked_loss_gradient(
    y_true: np.ndarray[Any, Any],
    y_pred: np.ndarray[Any, Any],
    loss: str = "squared_error",
    sample_weight: np.ndarray[Any, Any] | None = None,
    mask: np.ndarray[Any, Any] | None = None,
    reduction: str = "mean",
    missing: Any = ...,
    threads: int = 1,
    out: np.ndarray[Any, Any] | None = None,
    **parameters: float,
) -> np.ndarray[Any, Any]: ...
def losses() -> dict[str, list[Parameter]]: ...
def instruction_set() -> str: ...
