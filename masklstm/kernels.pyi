from collections.abc import Callable, Sequence
from typing import Any, NoReturn, Protocol, TypedDict, TypeVar, final, overload, type_check_only

import numpy as np

@type_check_only
class Parameter(TypedDict):
    name: str
    default: float
    domain: str
    is_list: bool
    accepts: Callable[[float], bool]

@type_check_only
class Interval(TypedDict):
    lower: float
    upper: float
    includes_lower: bool
    includes_upper: bool
    whole: bool
    text: str

@type_check_only
class Channel(Interval):
    name: str
    repeats: bool

@type_check_only
class Description(TypedDict):
    parameters: list[Parameter]
    labels: Interval
    predictions: Interval
    channels: list[Channel]

@type_check_only
class DataType(TypedDict):
    typestr: str
    bytes: int
    floating_point: bool
    prediction: bool

# What lies in a GPU's memory: arrays of CuPy and Numba, tensors of PyTorch, a DeviceArray. Without
# CUDA all functions refuse it.
@type_check_only
class _OnDevice(Protocol):
    @property
    def __cuda_array_interface__(self) -> dict[str, Any]: ...

_Out = TypeVar("_Out", bound=_OnDevice)

@overload
def masked_loss(
    y_true: np.ndarray[Any, Any],
    y_pred: np.ndarray[Any, Any],
    loss: str = "squared_error",
    sample_weight: np.ndarray[Any, Any] | None = None,
    mask: np.ndarray[Any, Any] | None = None,
    reduction: str = "mean",
    missing: Any = ...,
    threads: int = 1,
    **parameters: Any,
) -> tuple[Any, float, int]: ...
@overload
def masked_loss(
    y_true: _OnDevice,
    y_pred: _OnDevice,
    loss: str = "squared_error",
    sample_weight: _OnDevice | None = None,
    mask: _OnDevice | None = None,
    reduction: str = "mean",
    missing: Any = ...,
    stream: int = 0,
    **parameters: Any,
) -> tuple[DeviceArray, DeviceArray, DeviceArray]: ...
@overload
def masked_group_sums(
    y_true: np.ndarray[Any, Any],
    y_pred: np.ndarray[Any, Any],
    loss: str = "squared_error",
    sample_weight: np.ndarray[Any, Any] | None = None,
    mask: np.ndarray[Any, Any] | None = None,
    balance: str = "sample",
    missing: Any = ...,
    threads: int = 1,
    **parameters: Any,
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any], np.ndarray[Any, Any]]: ...
@overload
def masked_group_sums(
    y_true: _OnDevice,
    y_pred: _OnDevice,
    loss: str = "squared_error",
    sample_weight: _OnDevice | None = None,
    mask: _OnDevice | None = None,
    balance: str = "sample",
    missing: Any = ...,
    stream: int = 0,
    **parameters: Any,
) -> tuple[DeviceArray, DeviceArray, DeviceArray]: ...
@overload
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
    **parameters: Any,
) -> np.ndarray[Any, Any]: ...
@overload
def masked_loss_gradient(
    y_true: _OnDevice,
    y_pred: _OnDevice,
    loss: str = "squared_error",
    sample_weight: _OnDevice | None = None,
    mask: _OnDevice | None = None,
    reduction: str = "mean",
    missing: Any = ...,
    out: None = None,
    stream: int = 0,
    **parameters: Any,
) -> DeviceArray: ...
@overload
def masked_loss_gradient(
    y_true: _OnDevice,
    y_pred: _OnDevice,
    loss: str = "squared_error",
    sample_weight: _OnDevice | None = None,
    mask: _OnDevice | None = None,
    reduction: str = "mean",
    missing: Any = ...,
    *,
    out: _Out,
    stream: int = 0,
    **parameters: Any,
) -> _Out: ...
def losses() -> dict[str, list[Parameter]]: ...
def descriptions() -> dict[str, Description]: ...
def num_channels(loss: str, **parameters: Any) -> int: ...
def types() -> dict[str, DataType]: ...
def instruction_set() -> str: ...

@type_check_only
class RecurrentGradients(TypedDict):
    sequences: np.ndarray[Any, Any] | None
    kernel: np.ndarray[Any, Any]
    recurrent_kernel: np.ndarray[Any, Any]
    bias: np.ndarray[Any, Any] | None
    initial_states: list[np.ndarray[Any, Any]]

def recurrent(
    cell: str,
    sequences: np.ndarray[Any, Any],
    kernel: np.ndarray[Any, Any],
    recurrent_kernel: np.ndarray[Any, Any],
    bias: np.ndarray[Any, Any] | None = None,
    initial_states: Sequence[np.ndarray[Any, Any]] = (),
    mask: np.ndarray[Any, Any] | None = None,
    go_backwards: bool = False,
    zero_output_for_mask: bool = False,
    threads: int = 1,
) -> tuple[np.ndarray[Any, Any], list[np.ndarray[Any, Any]]]: ...
def recurrent_gradients(
    cell: str,
    sequences: np.ndarray[Any, Any],
    kernel: np.ndarray[Any, Any],
    recurrent_kernel: np.ndarray[Any, Any],
    bias: np.ndarray[Any, Any] | None = None,
    initial_states: Sequence[np.ndarray[Any, Any]] = (),
    mask: np.ndarray[Any, Any] | None = None,
    go_backwards: bool = False,
    zero_output_for_mask: bool = False,
    output_gradient: np.ndarray[Any, Any] | None = None,
    state_gradients: Sequence[np.ndarray[Any, Any]] = (),
    of_sequences: bool = True,
    threads: int = 1,
) -> RecurrentGradients: ...

# The rest is there where masklstm was built with CUDA.

# pybind11's classes have a metaclass of its own.
@type_check_only
class _Pybind11Type(type): ...

@final
class DeviceArray(metaclass=_Pybind11Type):
    # It has memory from the start, so it comes from the functions alone.
    def __init__(self, *args: object, **kwargs: object) -> NoReturn: ...
    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def dtype(self) -> str: ...
    @property
    def __cuda_array_interface__(self) -> dict[str, Any]: ...
    def numpy(self) -> np.ndarray[Any, Any]: ...

def to_device(array: np.ndarray[Any, Any], stream: int = 0) -> DeviceArray: ...
def copy(source: _OnDevice, target: _OnDevice, stream: int = 0) -> None: ...
def synchronize(stream: int = 0) -> None: ...
def cuda_launches() -> int: ...
