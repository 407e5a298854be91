"""Masked losses as functions of tensors, on the native op.

`masked_loss` finds the missing labels, applies mask and weights and reduces the loss in one pass;
its gradient is one pass as well. With MASKLSTM_BACKEND=reference the same functions are those of
`masklstm.reference`.
"""

from functools import lru_cache
from typing import Any

import keras
import tensorflow as tf

from masklstm import _arguments, _native, _reduction
from masklstm._arguments import MaskedSums

if _native.backend == "native":
    from masklstm import _gradients  # noqa: F401  registers the ops' gradients

    _LOSSES_WITH_EPSILON = {
        loss
        for loss, parameters in _native.losses.items()
        if any(parameter["name"] == "epsilon" for parameter in parameters)
    }

__all__ = ["MaskedSums", "masked_loss", "masked_sums"]


def masked_loss(
    y_true: Any,
    y_pred: Any,
    loss: str = "squared_error",
    sample_weight: Any = None,
    mask: Any = None,
    reduction: str | None = "mean",
    missing: Any = float("nan"),
    balance: str | None = None,
    normalizer: Any = None,
    **parameters: float,
) -> tf.Tensor:
    """A loss over the valid elements: those whose label is not missing and whose mask is True.

    With element losses l and weights w (1 when none are given), over the valid elements only:

    | `reduction` | value |
    | --- | --- |
    | `"mean"`, `"sum_over_batch_size"` | sum(w l) / number of valid elements |
    | `"mean_with_sample_weight"` | sum(w l) / sum(w) |
    | `"none"`, `None` | for each row, the mean of w l over the valid entries of the last axis |
    | `"sum"` | the sum of those row means (Keras's definition) |

    Where there is nothing valid the loss is 0. An invalid element has loss 0 and gradient 0,
    whatever its prediction and weight hold; a valid element with a NaN prediction gives NaN.

    Args:
        y_true: Labels, shape `(batch, ..., features)`; floating point, integer or bool. NaN means
            missing.
        y_pred: Predictions of the same shape (one trailing axis of length 1 may be missing in
            either); float16, bfloat16, float32 or float64. float64 is computed in float64, all
            else in float32. Labels and predictions are read in the types that they have.
        loss: Name of the element loss, such as `"squared_error"`, `"huber"` or
            `"binary_crossentropy_from_logits"`: a key of `masklstm.kernels.losses()`;
            docs/losses.md has their formulas.
        sample_weight: Weights; a scalar, or of a shape whose axes are those of `y_true` from the
            left, or 1. `(batch,)` weighs samples, `(batch, time)` weighs steps.
        mask: Booleans, True = keep; shapes as for `sample_weight`.
        reduction: See above.
        missing: A number that means "no label" besides NaN, or `"nonfinite"` for the infinities.
        balance: `"sample"`, `"timestep"` or `"feature"` (the first, second or last axis): those
            that have a label get the same say, however many gaps they have. A mean is then the mean
            of their means (of w l, or over w for `"mean_with_sample_weight"`), `"sum"` the sum of
            their means. By default every valid element has the same say.
        normalizer: A number above 0, or a scalar tensor, to divide by instead of a mean's divisor
            (with `balance`: instead of the number of groups). Parts of a batch that are divided by
            the count of the whole add up to its mean, which makes gradient accumulation exact.
        **parameters: The loss's own numbers, such as `delta` for `"huber"` or `quantile` for
            `"pinball"`; `masklstm.kernels.losses()` lists them with defaults and domains.
            `epsilon` is `keras.config.epsilon()` where it is not given.

    Returns:
        A float32 (float64 for float64 predictions) tensor: a scalar, or of shape
        `y_true.shape[:-1]` for `"none"`.

    Raises:
        ValueError: For a shape, name or number that does not fit.
        TypeError: For a parameter that the loss does not have.
        tf.errors.InvalidArgumentError: For shapes that turn out not to fit when the op runs.

    Example:

    >>> import masklstm
    >>> loss = masklstm.ops.masked_loss([1.0, float("nan"), 3.0], [2.0, 5.0, 5.0])
    >>> float(loss)
    2.5
    """
    if _native.backend == "reference":
        from masklstm import reference

        return reference.masked_loss(
            y_true,
            y_pred,
            loss,
            sample_weight,
            mask,
            reduction,
            missing,
            balance,
            normalizer,
            **parameters,
        )
    reduction = _arguments.standardize_reduction(reduction)
    _arguments.check_balance(balance, reduction)
    normalizer = _arguments.standardize_normalizer(normalizer, reduction)
    attributes = _attributes(loss, parameters)
    tensors = _arguments.standardize_tensors(y_true, y_pred, sample_weight, mask, missing)
    if attributes["parameters"]:
        _check_not_lost(**attributes, dtype=tensors.computing_dtype)
    if balance is None and normalizer is None:
        return _masked_loss(tensors, reduction, tensors.computing_dtype, attributes).reduced_loss
    sums = _masked_sums(tensors, balance, attributes)
    result = _reduction.reduce_sums(sums, reduction, normalizer)
    return tf.cast(result, tensors.computing_dtype)


def masked_sums(
    y_true: Any,
    y_pred: Any,
    loss: str = "squared_error",
    sample_weight: Any = None,
    mask: Any = None,
    missing: Any = float("nan"),
    balance: str | None = None,
    **parameters: float,
) -> MaskedSums:
    """The plain sums over the valid elements, of which any other reduction can be made.

    Args:
        y_true, y_pred, loss, sample_weight, mask, missing, **parameters: As for `masked_loss`.
        balance: `"sample"`, `"timestep"` or `"feature"`, to have the sums of each one.

    Returns:
        `MaskedSums(loss_sum, weight_sum, valid_count)`: scalars, or with `balance` vectors; the
        sums as float64 and the count as int64. Without weights, `weight_sum` is the count.

    Raises:
        As `masked_loss`.

    Example:

    >>> import masklstm
    >>> sums = masklstm.ops.masked_sums([1.0, float("nan"), 3.0], [2.0, 5.0, 5.0])
    >>> float(sums.loss_sum), float(sums.weight_sum), int(sums.valid_count)
    (5.0, 2.0, 2)
    """
    if _native.backend == "reference":
        from masklstm import reference

        return reference.masked_sums(
            y_true, y_pred, loss, sample_weight, mask, missing, balance, **parameters
        )
    _arguments.check_balance(balance)
    attributes = _attributes(loss, parameters)
    tensors = _arguments.standardize_tensors(y_true, y_pred, sample_weight, mask, missing)
    if attributes["parameters"]:
        _check_not_lost(**attributes, dtype=tensors.computing_dtype)
    return _masked_sums(tensors, balance, attributes)


def check_loss(loss: str, parameters: dict[str, float]) -> None:
    """Raises the error that `masked_loss` would raise for this loss and these parameters."""
    if _native.backend == "reference":
        from masklstm import reference

        return reference.check_loss(loss, parameters)
    _attributes(loss, parameters)


def _attributes(loss: str, parameters: dict[str, float]) -> dict[str, str]:
    """The attributes that say which loss. Numbers travel as text, which keeps all 53 bits."""
    if not isinstance(loss, str) or loss not in _native.losses:
        raise _arguments.unknown_name("loss", loss, _native.losses)
    if loss in _LOSSES_WITH_EPSILON:
        parameters = {"epsilon": keras.config.epsilon(), **parameters}
    numbers = {name: _arguments.number_or_nan(value) for name, value in parameters.items()}
    try:
        text = _parameters_text(loss, tuple(numbers.items()))
    except _OutOfDomain as error:
        name, domain = error.args
        raise _arguments.out_of_domain(name, domain, parameters[name]) from None
    return {"loss": loss, "parameters": text}


class _OutOfDomain(Exception):  # noqa: N818  never leaves this file
    pass


@lru_cache(maxsize=256)
def _parameters_text(loss: str, numbers: tuple[tuple[str, float], ...]) -> str:
    expected = _native.losses[loss]
    values = dict(numbers)
    surplus = values.keys() - {parameter["name"] for parameter in expected}
    if surplus:
        raise TypeError(
            f"Loss '{loss}' has no parameter {sorted(surplus)}. "
            f"Expected only {[parameter['name'] for parameter in expected]}. Received: {values}"
        )
    texts = []
    for parameter in expected:
        number = values.get(parameter["name"], parameter["default"])
        if not parameter["accepts"](number):
            raise _OutOfDomain(parameter["name"], parameter["domain"])
        texts.append(repr(number))
    return ",".join(texts)


@lru_cache(maxsize=256)
def _check_not_lost(loss: str, parameters: str, dtype: tf.DType) -> None:
    for expected, text in zip(_native.losses[loss], parameters.split(","), strict=False):
        _arguments.check_not_lost(expected["name"], expected["domain"], float(text), dtype)


def _as_list(tensor: tf.Tensor | None) -> list[tf.Tensor]:
    return [] if tensor is None else [tensor]


def _masked_loss(
    tensors: _arguments.Tensors, reduction: str, dtype: tf.DType, attributes: dict[str, str]
) -> Any:
    return _native.ops.masklstm_masked_loss(
        *_inputs(tensors),
        Tloss=dtype,
        reduction=reduction,
        missing=tensors.missing,
        **attributes,
    )


def _masked_sums(
    tensors: _arguments.Tensors, balance: str | None, attributes: dict[str, str]
) -> MaskedSums:
    if balance is None:
        return MaskedSums(*_masked_loss(tensors, "sum_of_elements", tf.float64, attributes))
    _arguments.group_axis(balance, tensors.y_true)  # refuses labels that have none
    sums = _native.ops.masklstm_masked_group_sums(
        *_inputs(tensors),
        balance=balance,
        missing=tensors.missing,
        **attributes,
    )
    return MaskedSums(*sums)


def _inputs(tensors: _arguments.Tensors) -> tuple[Any, ...]:
    weights = _as_list(tensors.sample_weight)
    return tensors.y_true, tensors.y_pred, weights, _as_list(tensors.mask)
