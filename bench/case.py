"""One case: labels with gaps, predictions, weights, and the right result."""

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import ml_dtypes
import numpy as np

STEPS = 16  # of each sequence
BLOCK = 1000  # elements of one gap of the pattern "blocks"
PART = 2**20  # elements that are computed at once, where the memory of all would not do


class Arrays(NamedTuple):
    y_true: np.ndarray
    y_pred: np.ndarray
    weight: np.ndarray | None = None  # of a shape that NumPy would broadcast


@dataclass(frozen=True)
class Case:
    """Labels of shape (samples, STEPS, features), of `elements` elements or a few less."""

    elements: int
    loss: str = "squared_error"
    dtype: str = "float32"
    missing_share: float = 0.3
    pattern: str = "random"
    weights: str | None = None  # "(B, T, F)", "(B, T)" or "(F,)"
    features: int = 8
    gradient: bool = True  # with the gradient by y_pred, or forward only
    calls: int = 1  # within one tf.function, each with predictions of its own

    def __str__(self) -> str:
        return f"{self.without_gaps()}, {self.missing_share:.0%} missing, {self.pattern}"

    def without_gaps(self) -> str:
        size = f"2^{self.elements.bit_length() - 1}"
        weights = f", weights {self.weights}" if self.weights else ""
        direction = "forward and gradient" if self.gradient else "forward"
        calls = f", {self.calls} in one graph" if self.calls > 1 else ""
        return f"{self.loss}, {size} {self.dtype}{weights}, {direction}{calls}"

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.elements // (STEPS * self.features), STEPS, self.features

    @property
    def label_bytes(self) -> int:
        return int(np.prod(self.shape)) * np.dtype(self.numpy_type).itemsize

    @property
    def numpy_type(self) -> type:
        found: type = ml_dtypes.bfloat16 if self.dtype == "bfloat16" else getattr(np, self.dtype)
        return found

    def arrays(self) -> Arrays:
        y_true, y_pred = _numbers(self.loss, self.shape)
        y_true = np.where(self._gaps(), np.nan, y_true).astype(self.numpy_type)
        return Arrays(y_true, y_pred.astype(self.numpy_type), self._weight())

    def expected(self, arrays: Arrays) -> tuple[float, np.ndarray | None]:
        """Loss and gradient in float64, by the formulas of the reference."""
        valid = ~np.isnan(arrays.y_true.astype(np.float32))
        # The last arrays that were asked for are often the next ones but for their gaps.
        losses, derivatives = _exact(self.loss, self.shape, self.dtype, self.gradient)
        weight = 1.0 if arrays.weight is None else arrays.weight.astype(np.float64)
        count = max(1, int(valid.sum()))
        loss = float(np.sum(np.where(valid, losses * weight, 0.0)) / count)
        if derivatives is None:
            return loss, None
        return loss, np.where(valid, derivatives * weight / count, 0.0)

    def _gaps(self) -> np.ndarray:
        rng = np.random.default_rng(1)
        share, shape = self.missing_share, self.shape
        samples, steps, features = shape
        if share in (0.0, 1.0):
            return np.full(shape, share == 1.0)
        if self.pattern == "random":
            return rng.random(shape, dtype=np.float32) < share
        if self.pattern == "blocks":
            size = int(np.prod(shape))
            return np.repeat(rng.random(size // BLOCK + 1) < share, BLOCK)[:size].reshape(shape)
        if self.pattern == "columns":
            missing = np.arange(features) < max(1, round(share * features))
            return np.broadcast_to(missing, shape)
        if self.pattern == "tail":  # sequences of different lengths, padded
            padding = rng.binomial(steps, share, size=samples)
            is_padding = np.arange(steps) >= steps - padding[:, None]
            return np.broadcast_to(is_padding[:, :, None], shape)
        if self.pattern == "alternating":  # what a processor that guesses branches likes least
            return np.resize([False, True], shape)
        raise ValueError(f"unknown pattern {self.pattern!r}")

    def _weight(self) -> np.ndarray | None:
        samples, steps, features = self.shape
        if self.weights is None:
            return None
        shapes = {
            "(B, T, F)": self.shape,
            "(B, T)": (samples, steps, 1),
            "(F,)": (1, 1, features),
        }
        dtype = np.float64 if self.dtype == "float64" else np.float32
        return np.random.default_rng(2).random(shapes[self.weights]).astype(dtype)


@lru_cache(maxsize=1)
def _numbers(loss: str, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Numbers, positive numbers or probabilities, where the loss is defined."""
    y_true, y_pred = np.random.default_rng(0).standard_normal((2, *shape), dtype=np.float32)
    from masklstm import kernels

    description = kernels.descriptions()[loss]
    if description["labels"]["upper"] == 1:
        y_true = np.float32(y_true > 0)
    elif description["labels"]["lower"] == 0:
        y_true = np.exp(y_true)
    if description["predictions"]["upper"] == 1:
        y_pred = np.float32(0.05 + 0.9 / (1 + np.exp(-y_pred)))
    elif description["predictions"]["lower"] == 0:
        y_pred = np.exp(y_pred)
    return y_true, y_pred


@lru_cache(maxsize=1)
def _exact(
    loss: str, shape: tuple[int, ...], dtype: str, gradient: bool
) -> tuple[np.ndarray, np.ndarray | None]:
    """Element losses and their derivatives, without gaps."""
    losses = np.empty(shape)
    derivatives = np.empty(shape) if gradient else None
    stored = Case(1, dtype=dtype).numpy_type
    rows = max(1, PART * shape[0] // int(np.prod(shape)))
    for begin in range(0, shape[0], rows):
        part = slice(begin, begin + rows)
        y_true, y_pred = (x[part].astype(stored).astype(np.float64) for x in _numbers(loss, shape))
        losses[part], of_part = _exact_part(loss, y_true, y_pred, gradient)
        if derivatives is not None:
            derivatives[part] = of_part
    return losses, derivatives


def _exact_part(
    loss: str, y_true: np.ndarray, y_pred: np.ndarray, gradient: bool
) -> tuple[np.ndarray, np.ndarray | None]:
    import tensorflow as tf

    from masklstm import reference

    t, p = tf.constant(y_true), tf.constant(y_pred)
    if not gradient:
        return reference.LOSSES[loss](t, p).numpy(), None
    with tf.GradientTape() as tape:
        tape.watch(p)
        losses = reference.LOSSES[loss](t, p)
    return losses.numpy(), tape.gradient(losses, p).numpy()
