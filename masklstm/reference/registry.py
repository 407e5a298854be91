"""The losses of the reference by name, with the domains of their parameters."""

import inspect
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
import tensorflow as tf

from masklstm._core.refusals import number_or_nan, out_of_domain, unknown_name

LOSSES: dict[str, Callable[..., tf.Tensor]] = {}
# For each loss the values that its parameters may take, as intervals.
DOMAINS: dict[str, dict[str, str]] = {}
# For each loss that takes several predictions for a label, how many there are, by its parameters.
CHANNELS: dict[str, Callable[..., int]] = {}

_Loss = TypeVar("_Loss", bound=Callable[..., tf.Tensor])


def element_loss(**domains: str) -> Callable[[_Loss], _Loss]:
    """Makes a function an element loss whose parameters have these domains."""

    def add(function: _Loss) -> _Loss:
        LOSSES[function.__name__] = function
        DOMAINS[function.__name__] = domains
        return function

    return add


def loss_with_channels(
    number: int | Callable[..., int], **domains: str
) -> Callable[[_Loss], _Loss]:
    """The same for one that takes several predictions for a label, each as an argument of its own.

    These are computed in float64.
    """

    def add(function: _Loss) -> _Loss:
        CHANNELS[function.__name__] = number if callable(number) else lambda: number
        return element_loss(**domains)(function)

    return add


def num_channels(loss: str, parameters: dict[str, Any]) -> int:
    """How many predictions the loss takes for each label, along an axis of their own; 0 for losses
    whose labels and predictions have one shape.
    """
    check_loss(loss, parameters)
    if loss not in CHANNELS:
        return 0
    number = CHANNELS[loss]
    known = inspect.signature(number).parameters
    return number(**{name: value for name, value in parameters.items() if name in known})


def check_loss(loss: str, parameters: dict[str, Any]) -> None:
    """Raises the error that `masked_loss` would raise for this loss and these parameters."""
    if not isinstance(loss, str) or loss not in LOSSES:
        raise unknown_name("loss", loss, LOSSES)
    try:
        inspect.signature(LOSSES[loss]).bind_partial(None, **parameters)
    except TypeError as error:
        raise TypeError(f"Loss '{loss}': {error}. Received: {parameters}") from None
    for name, value in parameters.items():
        domain = DOMAINS[loss][name]
        several = isinstance(value, (list, tuple)) or np.ndim(value) == 1
        numbers = value if several and loss == "pinball_set" else [value]
        if not (0 < len(numbers) <= 128 and all(_is_in(domain, number) for number in numbers)):
            raise out_of_domain(name, domain, value)


def _is_in(domain: str, value: Any) -> bool:
    *of_whole, interval = domain.split("the whole numbers of ")
    low, high = (float(end) for end in interval[1:-1].split(","))
    number = number_or_nan(value)
    above = low <= number if interval[0] == "[" else low < number
    below = number <= high if interval[-1] == "]" else number < high
    return above and below and (not of_whole or number == int(number))
