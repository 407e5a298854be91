"""Whether a metric skips missing labels: tried out, since nothing about a metric says so."""

import math
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from masklstm.callbacks.label_counts import Layout
from masklstm.metrics.base import GapAwareMetric

_SAMPLES = 12
_MISSING = 6
_TRIALS = 4  # one alone may give the same figure by chance


def skips_gaps(metric: Any, layout: Layout | None, gaps: list[float]) -> bool:
    """Whether the metric gives the same figure with samples that have no label as without them.

    The metric's own state is left alone. Of a metric that cannot be tried out only Keras's own are
    known not to skip anything.

    Args:
        metric: A `keras.metrics.Metric` that has seen a batch.
        layout: How its labels and predictions look.
        gaps: What stands where a label is missing.
    """
    if isinstance(metric, GapAwareMetric):
        return True
    unknown = not type(metric).__module__.startswith("keras.")
    if layout is None or layout.prediction is None:
        return unknown
    try:
        for trial in range(_TRIALS):
            y_true, y_pred = _samples(layout, trial)
            expected = _result(metric, y_true[_MISSING:], y_pred[_MISSING:])
            for gap in gaps:
                y_true[:_MISSING] = gap
                result = _result(metric, y_true, y_pred)
                if not np.allclose(result, expected, rtol=1e-4, equal_nan=True):
                    return False
    except Exception:  # whatever a user's metric raises for labels that are not its own
        return unknown
    return True


def _samples(layout: Layout, trial: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Every second prediction is perfect: what takes a gap for a mistake has something to lose.

    Where labels and predictions have the same last axis it is that of classes in every second
    trial, and of tasks in the others.
    """
    rng = np.random.default_rng(trial)
    assert layout.prediction is not None
    label_shape, shape = (
        (_SAMPLES, *(length or 4 for length in spec.shape[1:]))
        for spec in (layout.label, layout.prediction)
    )
    y_pred = rng.uniform(0.1, 0.9, shape)
    if layout.has_class_labels:
        y_true = rng.integers(0, shape[-1], label_shape)
        classes = y_true.reshape(shape[:-1])
        y_pred[::2] = np.eye(shape[-1])[classes[::2]]
    else:
        y_true = rng.integers(0, 2, label_shape)
        if trial % 2 and label_shape[-1] > 1:
            y_true = np.eye(label_shape[-1], dtype=np.int64)[
                rng.integers(0, label_shape[-1], label_shape[:-1])
            ]
        y_pred[::2] = y_true.reshape(shape)[::2]
    label_dtype, dtype = layout.label.dtype, layout.prediction.dtype
    return y_true.astype(label_dtype.as_numpy_dtype), y_pred.astype(dtype.as_numpy_dtype)


def _result(metric: Any, y_true: NDArray[Any], y_pred: NDArray[Any]) -> NDArray[np.float64]:
    variables = metric.stateless_reset_state()
    variables = metric.stateless_update_state(variables, y_true, y_pred)
    result = keras.tree.flatten(metric.stateless_result(variables))
    numbers = np.concatenate([np.ravel(np.asarray(each, np.float64)) for each in result])
    return numbers


def gaps_of(layout: Layout | None, missing: float, nan: float) -> list[float]:
    """What stands where a label is missing: NaN, sentinels, or both.

    Args:
        layout: Of the place.
        missing: Number of missing labels.
        nan: Number of those that are NaN.
    """
    gaps = [math.nan] if nan else []
    if missing > nan and layout is not None:
        gaps.extend(layout.missing)
    return gaps
