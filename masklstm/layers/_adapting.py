"""Data that a layer adapts to: read once, batch by batch, in float64, without what is missing."""

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from masklstm._core.keras_compat import get_keras_mask

# So many numbers are looked at at once.
_CHUNK = 1 << 20


class Moments:
    """Count, mean, variance and extremes of observations, feature by feature."""

    def __init__(self, features: int) -> None:
        self.count = np.zeros(features, np.int64)
        self.mean, self._squares = np.zeros((2, features))
        self._low, self._high = np.full(features, np.inf), np.full(features, -np.inf)

    def add(self, values: NDArray[np.float64]) -> None:
        """More rows, shape `(rows, features)`; NaN is missing.

        Source: T. F. Chan, G. H. Golub, R. J. LeVeque, "Algorithms for Computing the Sample
        Variance", 1983.
        """
        for start in range(0, len(values), max(1, _CHUNK // max(1, values.shape[1]))):
            self._add(values[start : start + max(1, _CHUNK // max(1, values.shape[1]))])

    def _add(self, values: NDArray[np.float64]) -> None:
        is_there = ~np.isnan(values)
        count = is_there.sum(axis=0)
        divisor = np.maximum(count, 1)
        mean = np.where(is_there, values, 0).sum(axis=0) / divisor
        # The sum of many numbers has lost some digits, that of their distances gives them back.
        apart = np.where(is_there, values - mean, 0)
        rest = apart.sum(axis=0) / divisor
        squares = np.square(apart, out=apart).sum(axis=0) - count * rest**2
        mean += rest
        total = self.count + count
        share = np.where(total > 0, count / np.maximum(total, 1), 0)
        apart = mean - self.mean
        self._squares += squares + apart**2 * share * self.count
        self.mean += apart * share
        self.count = total
        self._low = np.minimum(self._low, np.where(is_there, values, np.inf).min(axis=0))
        self._high = np.maximum(self._high, np.where(is_there, values, -np.inf).max(axis=0))

    @property
    def variance(self) -> NDArray[np.float64]:
        """Of the population; exactly 0 for what is constant or was never observed."""
        varies = self._high > self._low
        return np.where(varies, self._squares / np.maximum(self.count, 1), 0.0)


def batches(data: Any) -> Iterator[tuple[Any, NDArray[np.float64]]]:
    """Batches as they are given, and in float64 with NaN for what they hide: masks of NumPy and of
    Keras, None, pandas' NA.

    Args:
        data: An array, tensor or data frame; or an iterable of these, such as a dataset, whose
            elements may be tuples that begin with them; or a `keras.utils.PyDataset`.
    """
    for given in _parts(data):
        values = _in_float64(given)
        mask = get_keras_mask(given)
        if mask is not None:
            mask = np.asarray(mask, bool)
            values = np.where(
                mask.reshape(mask.shape + (1,) * (values.ndim - mask.ndim)), values, np.nan
            )
        yield given, values


def _parts(data: Any) -> Iterator[Any]:
    if hasattr(data, "shape"):
        yield data
        return
    if isinstance(data, tf.data.Dataset) and data.cardinality() == tf.data.INFINITE_CARDINALITY:
        raise ValueError(
            "Expected a dataset that ends, as dataset.take(100) does. Received: one that repeats "
            "for ever"
        )
    if isinstance(data, keras.utils.PyDataset):
        data = map(data.__getitem__, range(len(data)))
    for element in data:
        yield element[0] if isinstance(element, tuple) else element


def _in_float64(given: Any) -> NDArray[np.float64]:
    if hasattr(given, "to_numpy"):  # pandas
        return np.asarray(given.to_numpy(dtype=np.float64, na_value=np.nan))
    if isinstance(given, np.ma.MaskedArray):
        return np.ma.filled(given.astype(np.float64), np.nan)
    return np.asarray(given).astype(np.float64)
