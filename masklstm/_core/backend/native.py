"""The native ops: one pass over labels and predictions."""

from functools import lru_cache
from typing import Any

import keras
import tensorflow as tf

from masklstm import kernels
from masklstm._core import library
from masklstm._core.arguments import Tensors
from masklstm._core.backend import gradients  # noqa: F401  registers the ops' gradients
from masklstm._core.backend.interface import ElementLoss
from masklstm._core.reductions import group_axis
from masklstm._core.refusals import check_not_lost, number_or_nan, out_of_domain, unknown_name
from masklstm._core.totals import MaskedSums, Reduction

name = "native"

_WITH_EPSILON = {
    loss
    for loss, parameters in library.losses.items()
    if any(parameter["name"] == "epsilon" for parameter in parameters)
}


def check_loss(loss: ElementLoss) -> None:
    _attributes(loss)


def num_channels(loss: ElementLoss) -> int:
    # First of all: an eager call of another loss is not to wait for its parameters twice.
    if not isinstance(loss.name, str) or loss.name not in library.losses_with_channels:
        return 0  # what there is not is refused where it is computed
    return _num_channels(**_attributes(loss))


@lru_cache(maxsize=256)
def _num_channels(loss: str, parameters: str) -> int:
    values = [float(text) for text in parameters.split(",") if text]
    given: dict[str, Any] = {}
    for expected in library.losses[loss]:
        size = len(values) if expected["is_list"] else 1
        given[expected["name"]] = values[:size] if expected["is_list"] else values[0]
        values = values[size:]
    return int(kernels.num_channels(loss, **given))


def masked_loss(tensors: Tensors, loss: ElementLoss, reduction: Reduction) -> tf.Tensor:
    if reduction.is_plain:
        attributes = _attributes_for(loss, tensors)
        return _masked_loss(
            tensors, reduction.kind, tensors.computing_dtype, attributes
        ).reduced_loss
    sums = masked_sums(tensors, loss, reduction.balance)
    return tf.cast(reduction.of_totals(sums), tensors.computing_dtype)


def masked_sums(tensors: Tensors, loss: ElementLoss, balance: str | None) -> MaskedSums:
    attributes = _attributes_for(loss, tensors)
    if balance is None:
        return MaskedSums(*_masked_loss(tensors, "sum_of_elements", tf.float64, attributes))
    group_axis(balance, tensors.y_true)  # refuses labels that have none
    sums = library.ops.masklstm_masked_group_sums(
        *_inputs(tensors), balance=balance, missing=tensors.missing, **attributes
    )
    return MaskedSums(*sums)


def _masked_loss(
    tensors: Tensors, reduction: str, dtype: tf.DType, attributes: dict[str, str]
) -> Any:
    return library.ops.masklstm_masked_loss(
        *_inputs(tensors),
        Tloss=dtype,
        reduction=reduction,
        missing=tensors.missing,
        **attributes,
    )


def _inputs(tensors: Tensors) -> tuple[Any, ...]:
    mask = [] if tensors.mask is None else [tensors.mask]
    return tensors.y_true, tensors.y_pred, tensors.weights, mask


def _attributes_for(loss: ElementLoss, tensors: Tensors) -> dict[str, str]:
    attributes = _attributes(loss)
    if attributes["parameters"] and loss.name not in library.losses_with_channels:
        _check_not_lost(**attributes, dtype=tensors.computing_dtype)
    return attributes


def _attributes(loss: ElementLoss) -> dict[str, str]:
    """The attributes that say which loss. Numbers travel as text, which keeps all 53 bits."""
    name, parameters = loss
    if not isinstance(name, str) or name not in library.losses:
        raise unknown_name("loss", name, library.losses)
    if name in _WITH_EPSILON:
        parameters = {"epsilon": keras.config.epsilon(), **parameters}
    numbers = {name: _numbers(value) for name, value in parameters.items()}
    try:
        text = _parameters_text(name, tuple(numbers.items()))
    except _OutOfDomain as error:
        parameter, domain = error.args
        raise out_of_domain(parameter, domain, parameters[parameter]) from None
    return {"loss": name, "parameters": text}


def _numbers(value: Any) -> float | tuple[float, ...]:
    """A parameter's number, or those of one that takes several."""
    if isinstance(value, (list, tuple)) or getattr(value, "ndim", 0) == 1:
        return tuple(number_or_nan(each) for each in value)
    return number_or_nan(value)


class _OutOfDomain(Exception):  # noqa: N818  never leaves this file
    pass


@lru_cache(maxsize=256)
def _parameters_text(loss: str, numbers: tuple[tuple[str, Any], ...]) -> str:
    expected = library.losses[loss]
    values = dict(numbers)
    surplus = values.keys() - {parameter["name"] for parameter in expected}
    if surplus:
        raise TypeError(
            f"Loss '{loss}' has no parameter {sorted(surplus)}. "
            f"Expected only {[parameter['name'] for parameter in expected]}. Received: {values}"
        )
    texts: list[str] = []
    for parameter in expected:
        value = values.get(parameter["name"], parameter["default"])
        several = value if isinstance(value, tuple) else (value,)
        fits = isinstance(value, float) or (parameter["is_list"] and 0 < len(several) <= _MOST)
        if not (fits and all(map(parameter["accepts"], several))):
            raise _OutOfDomain(parameter["name"], _expected(parameter))
        texts += map(repr, several)
    return ",".join(texts)


_MOST = 128  # numbers of a parameter that takes several, as in csrc/losses/channels.h


def _expected(parameter: Any) -> str:
    """The numbers that it may have."""
    domain: str = parameter["domain"]
    return f"{domain}, or up to {_MOST} of them" if parameter["is_list"] else domain


@lru_cache(maxsize=256)
def _check_not_lost(loss: str, parameters: str, dtype: tf.DType) -> None:
    for expected, text in zip(library.losses[loss], parameters.split(","), strict=False):
        check_not_lost(expected["name"], expected["domain"], float(text), dtype)
