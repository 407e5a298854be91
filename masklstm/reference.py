"""Masked losses in pure TensorFlow: the definition that the native op is tested against.

Written for clarity: every intermediate has the labels' full shape. It is derived from the
definitions and shares no formula with the native code.
"""

import inspect
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

import keras
import numpy as np
import tensorflow as tf

from masklstm._core.arguments import Tensors, broadcast_left, standardize_tensors
from masklstm._core.missing import is_observed
from masklstm._core.reductions import check_balance, group_axis
from masklstm._core.refusals import check_not_lost, number_or_nan, out_of_domain, unknown_name
from masklstm._core.totals import MaskedSums, Reduction, divided

LOSSES: dict[str, Callable[..., tf.Tensor]] = {}
# For each loss the values that its parameters may take, as intervals.
DOMAINS: dict[str, dict[str, str]] = {}
# For each loss that takes several predictions for a label, how many there are, by its parameters.
CHANNELS: dict[str, Callable[..., int]] = {}

_Loss = TypeVar("_Loss", bound=Callable[..., tf.Tensor])


def _element_loss(**domains: str) -> Callable[[_Loss], _Loss]:
    """Makes a function an element loss whose parameters have these domains."""

    def add(function: _Loss) -> _Loss:
        LOSSES[function.__name__] = function
        DOMAINS[function.__name__] = domains
        return function

    return add


def _loss_with_channels(
    number: int | Callable[..., int], **domains: str
) -> Callable[[_Loss], _Loss]:
    """The same for one that takes several predictions for a label, each as an argument of its own.

    These are computed in float64.
    """

    def add(function: _Loss) -> _Loss:
        CHANNELS[function.__name__] = number if callable(number) else lambda: number
        return _element_loss(**domains)(function)

    return add


@_element_loss()
def squared_error(y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
    return tf.square(y_pred - y_true)


@_element_loss()
def absolute_error(y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
    return tf.abs(y_pred - y_true)


@_element_loss(delta="(0, inf)")
def huber(y_true: tf.Tensor, y_pred: tf.Tensor, delta: float = 1.0) -> tf.Tensor:
    error = y_pred - y_true
    near = tf.clip_by_value(error, -delta, delta)  # so that the square cannot overflow
    far = 2 * (delta * (tf.abs(_half_difference(y_pred, y_true)) - 0.25 * delta))
    return tf.where(tf.abs(error) <= delta, 0.5 * tf.square(near), far)


def _half_difference(a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
    """Half of a - b, which cannot overflow."""
    return 0.5 * a - 0.5 * b


def _nan_if_diverged(y_pred: tf.Tensor) -> tf.Tensor:
    """0, or NaN for what is not finite; added where clipping would hide it."""
    return y_pred - y_pred


@_element_loss()
def log_cosh(y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
    error = tf.abs(y_pred - y_true)
    return error + tf.math.softplus(-2 * error) - tf.math.log(tf.constant(2.0, error.dtype))


@_element_loss(epsilon="(0, 0.5)")
def absolute_percentage_error(
    y_true: tf.Tensor, y_pred: tf.Tensor, epsilon: float = 1e-7
) -> tf.Tensor:
    half = tf.abs(_half_difference(y_pred, y_true)) / tf.maximum(tf.abs(y_true), epsilon)
    return 200 * half


@_element_loss(epsilon="(0, 0.5)")
def squared_logarithmic_error(
    y_true: tf.Tensor, y_pred: tf.Tensor, epsilon: float = 1e-7
) -> tf.Tensor:
    def log_of(x: tf.Tensor) -> tf.Tensor:
        return tf.math.log1p(tf.maximum(x, epsilon))

    return tf.square(log_of(y_pred) - log_of(y_true)) + _nan_if_diverged(y_pred)


@_element_loss(epsilon="(0, 0.5)")
def poisson(y_true: tf.Tensor, y_pred: tf.Tensor, epsilon: float = 1e-7) -> tf.Tensor:
    quarter = 0.25 * y_pred - 0.25 * y_true * tf.math.log(y_pred + epsilon)
    return 4 * quarter  # either term alone could overflow


@_element_loss(quantile="(0, 1)")
def pinball(y_true: tf.Tensor, y_pred: tf.Tensor, quantile: float = 0.5) -> tf.Tensor:
    half = _half_difference(y_true, y_pred)
    return 2 * (quantile * tf.nn.relu(half) + (1 - quantile) * tf.nn.relu(-half))


def _smoothed(y_true: tf.Tensor, label_smoothing: float) -> tf.Tensor:
    return y_true * (1 - label_smoothing) + 0.5 * label_smoothing


def _clipped(y_pred: tf.Tensor, epsilon: float) -> tuple[tf.Tensor, tf.Tensor]:
    """The clipped probability and what is left to 1: epsilon also where it is lost beside 1."""
    below_1 = tf.where(y_pred < 1, y_pred, tf.stop_gradient(y_pred))
    clipped = tf.clip_by_value(below_1, epsilon, 1 - epsilon) + _nan_if_diverged(y_pred)
    return clipped, tf.where(clipped == 1, tf.constant(epsilon, clipped.dtype), 1 - clipped)


def _log(probability: tf.Tensor, rest: tf.Tensor) -> tf.Tensor:
    """By the smaller one of the two, which has more digits."""
    near_1 = tf.math.log1p(-tf.minimum(rest, 0.5))
    return tf.where(probability < 0.5, tf.math.log(probability), near_1)


@_element_loss(label_smoothing="[0, 1]", epsilon="(0, 0.5)")
def binary_crossentropy(
    y_true: tf.Tensor, y_pred: tf.Tensor, label_smoothing: float = 0.0, epsilon: float = 1e-7
) -> tf.Tensor:
    target = _smoothed(y_true, label_smoothing)
    clipped, rest = _clipped(y_pred, epsilon)
    return -(target * _log(clipped, rest) + (1 - target) * _log(rest, clipped))


@_element_loss(label_smoothing="[0, 1]")
def binary_crossentropy_from_logits(
    y_true: tf.Tensor, y_pred: tf.Tensor, label_smoothing: float = 0.0
) -> tf.Tensor:
    target = _smoothed(y_true, label_smoothing)
    return target * tf.math.softplus(-y_pred) + (1 - target) * tf.math.softplus(y_pred)


def _balanced_classes(
    target: tf.Tensor, alpha: float, apply_class_balancing: bool
) -> tf.Tensor | float:
    return target * alpha + (1 - target) * (1 - alpha) if apply_class_balancing else 1.0


@_element_loss(
    gamma="[0, inf)",
    alpha="[0, 1]",
    apply_class_balancing="[0, 1]",
    from_logits="[0, 1]",
    label_smoothing="[0, 1]",
    epsilon="(0, 0.5)",
)
def binary_focal_crossentropy(
    y_true: tf.Tensor,
    y_pred: tf.Tensor,
    gamma: float = 2.0,
    alpha: float = 0.25,
    apply_class_balancing: bool = False,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    epsilon: float = 1e-7,
) -> tf.Tensor:
    if from_logits:
        return binary_focal_crossentropy_from_logits(
            y_true, y_pred, gamma, alpha, apply_class_balancing, label_smoothing
        )
    target = _smoothed(y_true, label_smoothing)
    clipped, rest = _clipped(y_pred, epsilon)
    wrong = target * rest + (1 - target) * clipped
    losses = tf.pow(wrong, gamma) * binary_crossentropy(target, y_pred, epsilon=epsilon)
    return losses * _balanced_classes(target, alpha, apply_class_balancing)


@_element_loss(
    gamma="[0, inf)", alpha="[0, 1]", apply_class_balancing="[0, 1]", label_smoothing="[0, 1]"
)
def binary_focal_crossentropy_from_logits(
    y_true: tf.Tensor,
    y_pred: tf.Tensor,
    gamma: float = 2.0,
    alpha: float = 0.25,
    apply_class_balancing: bool = False,
    label_smoothing: float = 0.0,
) -> tf.Tensor:
    target = _smoothed(y_true, label_smoothing)
    losses = _power_of_wrong(target, y_pred, gamma) * binary_crossentropy_from_logits(
        target, y_pred
    )
    return losses * _balanced_classes(target, alpha, apply_class_balancing)


def _power_of_wrong(target: tf.Tensor, y_pred: tf.Tensor, gamma: float) -> tf.Tensor:
    """The probability of being wrong, to the power of gamma.

    An exponential for labels between 0 and 1: in logarithms, the probability is never 0. Other
    labels make it negative. Each way gets numbers that it can take where the other one is chosen.
    """
    is_probability = (target >= 0) & (target <= 1)
    share = tf.where(is_probability, target, tf.fill(tf.shape(target), tf.cast(0.5, target.dtype)))
    log_wrong = tf.reduce_logsumexp(
        [
            tf.math.log(share) - tf.math.softplus(y_pred),
            tf.math.log(1 - share) - tf.math.softplus(-y_pred),
        ],
        axis=0,
    )
    other = tf.where(is_probability, tf.zeros_like(y_pred), y_pred)
    wrong = target * tf.sigmoid(-other) + (1 - target) * tf.sigmoid(other)
    return tf.where(is_probability, tf.exp(gamma * log_wrong), tf.pow(wrong, gamma))


_LOG_2_PI = 1.8378770664093453


def _positive(x: tf.Tensor) -> tf.Tensor:
    """x, or NaN where it is not above 0, where there is no distribution."""
    return tf.where(x > 0, x, tf.constant(float("nan"), x.dtype))


def _not_negative(x: tf.Tensor) -> tf.Tensor:
    return tf.where(x >= 0, x, tf.constant(float("nan"), x.dtype))


@_loss_with_channels(2)
def gaussian_nll(y_true: tf.Tensor, mean: tf.Tensor, scale: tf.Tensor) -> tf.Tensor:
    variance = tf.square(_positive(scale))
    return 0.5 * (_LOG_2_PI + tf.math.log(variance) + tf.square(y_true - mean) / variance)


@_loss_with_channels(2)
def laplace_nll(y_true: tf.Tensor, location: tf.Tensor, scale: tf.Tensor) -> tf.Tensor:
    return tf.math.log(2 * _positive(scale)) + tf.abs(y_true - location) / scale


@_loss_with_channels(3)
def student_t_nll(
    y_true: tf.Tensor, location: tf.Tensor, scale: tf.Tensor, degrees: tf.Tensor
) -> tf.Tensor:
    n = _positive(degrees)
    z = (y_true - location) / _positive(scale)
    normalizer = tf.math.lgamma((n + 1) / 2) - tf.math.lgamma(n / 2)
    log_of_root = 0.5 * tf.math.log(n * np.pi)
    return log_of_root + tf.math.log(scale) - normalizer + (n + 1) / 2 * tf.math.log1p(z * z / n)


@_loss_with_channels(3)
def asymmetric_laplace_nll(
    y_true: tf.Tensor, location: tf.Tensor, scale: tf.Tensor, asymmetry: tf.Tensor
) -> tf.Tensor:
    above = tf.nn.relu(y_true - location)
    below = tf.nn.relu(location - y_true)
    rest = _positive(1 - asymmetry)
    distance = (_positive(asymmetry) * above + rest * below) / _positive(scale)
    return tf.math.log(scale / (asymmetry * rest)) + distance


@_loss_with_channels(2)
def lognormal_nll(y_true: tf.Tensor, location: tf.Tensor, scale: tf.Tensor) -> tf.Tensor:
    log_label = tf.math.log(_positive(y_true))
    return log_label + gaussian_nll(log_label, location, scale)


@_loss_with_channels(2)
def gamma_nll(y_true: tf.Tensor, concentration: tf.Tensor, rate: tf.Tensor) -> tf.Tensor:
    a, b, t = _positive(concentration), _positive(rate), _positive(y_true)
    return tf.math.lgamma(a) - a * tf.math.log(b) - (a - 1) * tf.math.log(t) + b * t


@_loss_with_channels(2)
def beta_nll(y_true: tf.Tensor, concentration1: tf.Tensor, concentration0: tf.Tensor) -> tf.Tensor:
    a, b = _positive(concentration1), _positive(concentration0)
    log_beta = tf.math.lgamma(a) + tf.math.lgamma(b) - tf.math.lgamma(a + b)
    t, rest = _positive(y_true), _positive(1 - y_true)
    return log_beta - (a - 1) * tf.math.log(t) - (b - 1) * tf.math.log(rest)


@_loss_with_channels(2)
def negative_binomial_nll(y_true: tf.Tensor, mean: tf.Tensor, dispersion: tf.Tensor) -> tf.Tensor:
    t, m = _not_negative(y_true), _positive(mean)
    r = 1 / tf.maximum(_not_negative(dispersion), 1e-100)
    log_choices = tf.math.lgamma(t + r) - tf.math.lgamma(r) - tf.math.lgamma(t + 1)
    return -log_choices + r * tf.math.log1p(m / r) + t * (tf.math.log(r + m) - tf.math.log(m))


@_loss_with_channels(1)
def poisson_nll(y_true: tf.Tensor, rate: tf.Tensor) -> tf.Tensor:
    t = _not_negative(y_true)
    return _not_negative(rate) - tf.math.xlogy(t, rate) + tf.math.lgamma(t + 1)


@_loss_with_channels(1)
def bernoulli_nll(y_true: tf.Tensor, logit: tf.Tensor) -> tf.Tensor:
    t, rest = _not_negative(y_true), _not_negative(1 - y_true)
    return t * tf.math.softplus(-logit) + rest * tf.math.softplus(logit)


@_loss_with_channels(1, power="(1, 2)")
def tweedie_deviance(y_true: tf.Tensor, mean: tf.Tensor, power: float = 1.5) -> tf.Tensor:
    t, m = _not_negative(y_true), _positive(mean)
    of_label = tf.pow(t, 2 - power) / ((1 - power) * (2 - power))
    of_both = t * tf.pow(m, 1 - power) / (1 - power)
    return 2 * (of_label - of_both + tf.pow(m, 2 - power) / (2 - power))


def _mixture(
    of_component: Callable[..., tf.Tensor], y_true: tf.Tensor, channels: Any, components: float
) -> tf.Tensor:
    number = int(components)
    logits, *of_family = (channels[i : i + number] for i in range(0, len(channels), number))
    logits = tf.stack(logits, -1)
    losses = [of_component(y_true, *parameters) for parameters in zip(*of_family, strict=True)]
    log_weights = tf.nn.log_softmax(logits)
    return -tf.reduce_logsumexp(log_weights - tf.stack(losses, -1), -1)


_COMPONENTS = "the whole numbers of [1, 32]"


@_loss_with_channels(lambda components=2: int(components) * 3, components=_COMPONENTS)
def gaussian_mixture_nll(y_true: tf.Tensor, *channels: tf.Tensor, components: int = 2) -> tf.Tensor:
    return _mixture(gaussian_nll, y_true, channels, components)


@_loss_with_channels(lambda components=2: int(components) * 3, components=_COMPONENTS)
def laplace_mixture_nll(y_true: tf.Tensor, *channels: tf.Tensor, components: int = 2) -> tf.Tensor:
    return _mixture(laplace_nll, y_true, channels, components)


@_loss_with_channels(lambda components=2: int(components) * 4, components=_COMPONENTS)
def asymmetric_laplace_mixture_nll(
    y_true: tf.Tensor, *channels: tf.Tensor, components: int = 2
) -> tf.Tensor:
    return _mixture(asymmetric_laplace_nll, y_true, channels, components)


@_loss_with_channels(lambda quantile=0.5: np.size(quantile), quantile="(0, 1)")
def pinball_set(
    y_true: tf.Tensor, *channels: tf.Tensor, quantile: float | Sequence[float] = 0.5
) -> tf.Tensor:
    levels = np.reshape(quantile, [-1])
    return tf.add_n([pinball(y_true, p, q) for p, q in zip(channels, levels, strict=True)]) / len(
        levels
    )


@_loss_with_channels(2)
def gaussian_crps(y_true: tf.Tensor, mean: tf.Tensor, scale: tf.Tensor) -> tf.Tensor:
    s = _positive(scale)
    z = (y_true - mean) / s
    density = tf.exp(-0.5 * tf.square(z)) / np.sqrt(2 * np.pi)
    return s * (z * tf.math.erf(z / np.sqrt(2)) + 2 * density - 1 / np.sqrt(np.pi))


class _Elements(NamedTuple):
    """Tensors of the labels' full shape; the float64 ones are 0 where not valid."""

    valid: tf.Tensor
    weight: tf.Tensor
    weighted_loss: tf.Tensor


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
    **parameters: Any,
) -> tf.Tensor:
    """`masklstm.ops.masked_loss` in pure TensorFlow; see there for arguments and results.

    Example:

    >>> import masklstm
    >>> loss = masklstm.reference.masked_loss([1.0, float("nan"), 3.0], [2.0, 5.0, 5.0])
    >>> float(loss)
    2.5
    """
    how = Reduction.of(reduction, balance, normalizer)
    channels = num_channels(loss, parameters)
    tensors = standardize_tensors(y_true, y_pred, sample_weight, mask, missing, channels)
    return loss_of_tensors(tensors, loss, parameters, how)


def loss_of_tensors(
    tensors: Tensors, loss: str, parameters: dict[str, Any], how: Reduction
) -> tf.Tensor:
    """`masked_loss` of standardised arguments."""
    reduction, balance, normalizer = how
    if normalizer is not None:
        normalizer = tf.convert_to_tensor(normalizer, tf.float64)
    elements = _elements(tensors, loss, parameters)
    if balance is not None:
        result = _balanced(_sums(elements, _other_axes(elements, balance)), reduction, normalizer)
    elif reduction in ("none", "sum"):
        result = _row_means(elements)
        if reduction == "sum":
            result = tf.reduce_sum(result)
    else:
        sums = _sums(elements)
        divisor = sums.weight_sum
        if reduction == "mean":
            divisor = tf.cast(sums.valid_count, tf.float64)
        if normalizer is not None:
            divisor = normalizer
        result = divided(sums.loss_sum, divisor)
    return tf.cast(result, tensors.computing_dtype)


def masked_sums(
    y_true: Any,
    y_pred: Any,
    loss: str = "squared_error",
    sample_weight: Any = None,
    mask: Any = None,
    missing: Any = float("nan"),
    balance: str | None = None,
    **parameters: Any,
) -> MaskedSums:
    """`masklstm.ops.masked_sums` in pure TensorFlow; see there for arguments and results.

    Example:

    >>> import masklstm
    >>> sums = masklstm.reference.masked_sums([1.0, float("nan"), 3.0], [2.0, 5.0, 5.0])
    >>> float(sums.loss_sum), float(sums.weight_sum), int(sums.valid_count)
    (5.0, 2.0, 2)
    """
    check_balance(balance)
    channels = num_channels(loss, parameters)
    tensors = standardize_tensors(y_true, y_pred, sample_weight, mask, missing, channels)
    return sums_of_tensors(tensors, loss, parameters, balance)


def sums_of_tensors(
    tensors: Tensors, loss: str, parameters: dict[str, Any], balance: str | None
) -> MaskedSums:
    """`masked_sums` of standardised arguments."""
    elements = _elements(tensors, loss, parameters)
    return _sums(elements, None if balance is None else _other_axes(elements, balance))


def _elements(tensors: Tensors, loss: str, parameters: dict[str, Any]) -> _Elements:
    y_true, y_pred, mask, missing = tensors.y_true, tensors.y_pred, tensors.mask, tensors.missing
    valid = is_observed(y_true, missing)
    if mask is not None:
        valid &= broadcast_left(mask, y_true)

    # NaN times 0 is NaN, and so is the gradient of a NaN that tf.where throws away afterwards:
    # what must not count is replaced before any arithmetic sees it.
    def where_valid(x: tf.Tensor) -> tf.Tensor:
        return tf.where(valid, x, tf.zeros_like(x))

    dtype = tensors.computing_dtype
    if loss in CHANNELS:
        losses = where_valid(_losses_of_channels(tensors, valid, loss, parameters))
    else:
        y_true, y_pred = tf.cast(y_true, dtype), tf.cast(y_pred, dtype)
        losses = _formula(loss, parameters, dtype)(where_valid(y_true), where_valid(y_pred))
        losses = tf.cast(where_valid(losses), tf.float64)
    weight = tf.cast(valid, tf.float64)
    for small in tensors.weights:
        weight *= tf.cast(where_valid(broadcast_left(small, valid)), tf.float64)
    return _Elements(valid, weight, weight * losses)


def _losses_of_channels(
    tensors: Tensors, valid: tf.Tensor, loss: str, parameters: dict[str, Any]
) -> tf.Tensor:
    """In float64; what must not count is replaced by 1/2, which every support and scale has."""

    def safe(x: tf.Tensor) -> tf.Tensor:
        x = tf.cast(x, tf.float64)
        return tf.where(valid, x, tf.fill(tf.shape(x), tf.constant(0.5, tf.float64)))

    channels = [safe(tensors.y_pred[..., c]) for c in range(num_channels(loss, parameters))]
    return LOSSES[loss](safe(tensors.y_true), *channels, **parameters)


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


def _formula(loss: str, parameters: dict[str, Any], dtype: tf.DType) -> Callable[..., tf.Tensor]:
    check_loss(loss, parameters)
    formula = LOSSES[loss]
    if "epsilon" in inspect.signature(formula).parameters:
        parameters = {"epsilon": keras.config.epsilon(), **parameters}
    for name, value in parameters.items():
        check_not_lost(name, DOMAINS[loss][name], value, dtype)
    return lambda y_true, y_pred: formula(y_true, y_pred, **parameters)


def _sums(elements: _Elements, axes: tf.Tensor | None = None) -> MaskedSums:
    return MaskedSums(
        tf.reduce_sum(elements.weighted_loss, axes),
        tf.reduce_sum(elements.weight, axes),
        tf.math.count_nonzero(elements.valid, axes),
    )


def _other_axes(elements: _Elements, balance: str) -> tf.Tensor:
    """All axes but that of the groups."""
    rank = tf.rank(elements.valid)
    axis = group_axis(balance, elements.valid) % rank
    return tf.concat([tf.range(axis), tf.range(axis + 1, rank)], axis=0)


def _balanced(sums: MaskedSums, reduction: str, normalizer: tf.Tensor | None) -> tf.Tensor:
    """Every group that has a label (or a weight) counts equally."""
    divisor = tf.cast(sums.valid_count, tf.float64)
    if reduction == "mean_with_sample_weight":
        divisor = sums.weight_sum
    counts = divisor != 0
    total = tf.reduce_sum(divided(sums.loss_sum, divisor))
    if reduction == "sum":
        return total
    number = tf.reduce_sum(tf.cast(counts, tf.float64)) if normalizer is None else normalizer
    return divided(total, number)


def _row_means(elements: _Elements) -> tf.Tensor:
    if elements.valid.shape.rank == 0:
        return elements.weighted_loss
    count = tf.math.count_nonzero(elements.valid, axis=-1)
    total = tf.reduce_sum(elements.weighted_loss, axis=-1)
    return tf.math.divide_no_nan(total, tf.cast(count, tf.float64))
