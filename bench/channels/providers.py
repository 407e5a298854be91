"""Who computes a likelihood or a set of quantiles, forward with the gradient by all channels."""

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from masklstm import ops

Loss = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]

QUANTILES = [0.1, 0.5, 0.9]
# The losses with their parameters, and how many channels they have.
CASES: dict[str, tuple[dict[str, Any], int]] = {
    "gaussian_nll": ({}, 2),
    "pinball_set": ({"quantile": QUANTILES}, 3),
    "gaussian_mixture_nll": ({"components": 3}, 9),
}

_HALF_LOG_2_PI = np.float32(0.5 * np.log(2 * np.pi))


def arrays(case: str, elements: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows of 64 labels, 30% of them missing, and channels of ordinary size."""
    _, channels = CASES[case]
    rng = np.random.default_rng(0)
    y_true = rng.standard_normal((elements // 64, 64), dtype=np.float32)
    y_true[rng.random(y_true.shape) < 0.3] = np.nan
    y_pred = rng.standard_normal((*y_true.shape, channels), dtype=np.float32)
    scales = {"gaussian_nll": 1, "gaussian_mixture_nll": 3}.get(case, 0)
    if scales:
        y_pred[..., -scales:] = 0.1 + np.abs(y_pred[..., -scales:])
    return y_true, y_pred


def _gaussian(t: tf.Tensor, p: tf.Tensor) -> tf.Tensor:
    mean, scale = tf.unstack(p, axis=-1)
    return _HALF_LOG_2_PI + tf.math.log(scale) + 0.5 * tf.square((t - mean) / scale)


def _quantiles(t: tf.Tensor, p: tf.Tensor) -> tf.Tensor:
    levels = tf.constant(QUANTILES)
    shortfall = t[..., tf.newaxis] - p
    return tf.reduce_mean(tf.maximum(levels * shortfall, (levels - 1) * shortfall), -1)


def _mixture(t: tf.Tensor, p: tf.Tensor) -> tf.Tensor:
    logits, mean, scale = tf.split(p, 3, axis=-1)
    z = (t[..., tf.newaxis] - mean) / scale
    log_density = -_HALF_LOG_2_PI - tf.math.log(scale) - 0.5 * tf.square(z)
    return -tf.reduce_logsumexp(tf.nn.log_softmax(logits) + log_density, -1)


_FORMULAS = {
    "gaussian_nll": _gaussian,
    "pinball_set": _quantiles,
    "gaussian_mixture_nll": _mixture,
}


def _where(case: str) -> Loss:
    """The masked mean that a careful user writes: what must not count is replaced beforehand."""

    def loss(y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
        valid = ~tf.math.is_nan(y_true)
        labels = tf.where(valid, y_true, tf.zeros_like(y_true))
        losses = tf.where(valid, _FORMULAS[case](labels, y_pred), tf.zeros_like(labels))
        return tf.math.divide_no_nan(
            tf.reduce_sum(losses), tf.reduce_sum(tf.cast(valid, "float32"))
        )

    return loss


def _ours(case: str) -> Loss:
    parameters, _ = CASES[case]
    return lambda y_true, y_pred: ops.masked_loss(y_true, y_pred, case, **parameters)


def _with_gradient(loss: Loss, is_compiled: bool) -> Callable[..., Any]:
    @tf.function(jit_compile=is_compiled)
    def run(y_true: tf.Tensor, y_pred: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        with tf.GradientTape() as tape:
            tape.watch(y_pred)
            value = loss(y_true, y_pred)
        return value, tape.gradient(value, y_pred)

    traced: Callable[..., Any] = run
    return traced


PROVIDERS: dict[str, Callable[[str], Callable[..., Any]]] = {
    "masklstm": lambda case: _with_gradient(_ours(case), False),
    "tf.where": lambda case: _with_gradient(_where(case), False),
    "tf.where, XLA": lambda case: _with_gradient(_where(case), True),
}
