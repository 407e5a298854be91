"""What is to be computed: metrics by name, as objects or as functions."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from masklstm import metrics as streaming
from masklstm._core.refusals import one_of
from masklstm.scoring.measures import MEASURES, Measure

Floats = NDArray[np.float64]
# These need arguments, or do not look at predictions.
_NOT_BY_NAME = ("Loss", "Masked", "MeanAbsoluteScaledError", "ValidFraction", "ValidShare")
_CLASSES = tuple(name for name in streaming.__all__ if name not in _NOT_BY_NAME)


def measures_of(given: Any) -> dict[str, Measure]:
    """What is to be computed, by the names of the columns."""
    if isinstance(given, Mapping):
        pairs: Iterator[tuple[Any, Any]] = iter(given.items())
    else:
        is_list = isinstance(given, Sequence) and not isinstance(given, str)
        pairs = ((None, each) for each in (given if is_list else [given]))
    measures: dict[str, Measure] = {}
    for name, metric in pairs:
        own, measure = _measure(metric)
        name = own if name is None else str(name)
        if name in measures:
            raise ValueError(
                "Expected the names in 'metrics' to differ; a dict names them: {'name': metric}. "
                f"Received: {name!r} twice"
            )
        measures[name] = measure
    if not measures:
        raise ValueError(f"Expected 'metrics' to hold a metric. Received: metrics={given!r}")
    return measures


def _measure(metric: Any) -> tuple[str, Measure]:
    """The name of the column, and what computes it."""
    if isinstance(metric, str):
        if metric.lower() in MEASURES:
            return metric, MEASURES[metric.lower()]
        if metric not in _CLASSES:
            raise ValueError(
                f"Unknown name in argument 'metrics'. Expected one of {one_of(MEASURES)}, the name "
                f"of a class of masklstm.metrics, one of {one_of(_CLASSES)}, a metric such as "
                "masklstm.metrics.Masked('AUC'), or a function of labels and predictions. "
                f"Received: {metric!r}"
            )
        return metric, _Streamed(getattr(streaming, metric)())
    if isinstance(metric, keras.metrics.Metric):
        return metric.name, _Streamed(metric)
    if callable(metric):
        return getattr(metric, "__name__", type(metric).__name__).strip("<>"), metric
    raise ValueError(
        "Expected 'metrics' to hold names, metrics or functions. "
        f"Received: {metric!r} of type {type(metric).__name__}"
    )


class _Streamed:
    """A metric that is updated once; what it holds already stays."""

    def __init__(self, metric: Any) -> None:
        self._metric = metric

    def __call__(self, y_true: Floats, y_pred: Floats) -> float:
        metric = type(self._metric).from_config(self._metric.get_config())
        metric.update_state(y_true[:, None], y_pred[:, None])
        result = metric.result()
        if isinstance(result, dict) and len(result) == 1:
            (result,) = result.values()
        if isinstance(result, dict) or np.size(result) != 1:
            raise ValueError(
                "Expected metrics whose result is one number. Received: "
                f"{metric.name}, whose result is {result!r}"
            )
        return float(np.reshape(result, []))
