"""What a loss or metric function of a user's own takes as one: found out by trying it.

Design:
    A. Nothing in a function says whether it averages numbers of single elements or compares whole
       rows. Counted by rows, the first loses every label in a row with a gap, and with many tasks
       all of them. So the function is called with a few made-up numbers, once for its shapes.
    B. It is elementwise if each entry of what it returns depends on its own label and prediction
       alone, or if its number for a row is the mean of its numbers for the row's entries, each
       handed on as a row of its own.
    C. With several predictions for a label, the shape of what it returns says what it is: one
       number for each label, or for each row of labels. Labels that are whole numbers are first
       tried as classes, others as they are.
    D. It is tried eagerly, outside of any graph, and what was found is kept as long as the function
       lives: a trace neither sees the calls nor repeats them.
"""

import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from masklstm._core.row_layout import RowLayout
from masklstm._core.types import cast

_Function = Callable[[tf.Tensor, tf.Tensor], Any]
_Key = tuple[Any, ...]

_found: weakref.WeakKeyDictionary[Any, dict[_Key, RowLayout]] = weakref.WeakKeyDictionary()

ROWS = RowLayout()
SINGLES = RowLayout(None, takes_singles=True)
ELEMENTS = RowLayout(None)
CLASSES = RowLayout(-1, has_class_labels=True)


def find_layout(
    owner: Any,
    function: _Function,
    y_true: tf.Tensor,
    y_pred: tf.Tensor,
    counts: str | None = None,
    class_labels: bool | None = None,
) -> RowLayout:
    """The layout of labels and predictions of these shapes and types.

    `owner` is the user's object, `function` calls it with labels and predictions. `counts` and
    `class_labels` are what its user says of it.
    """
    shapes = (y_true.shape.rank, y_pred.shape.rank, _last(y_true), _last(y_pred))
    key = (*shapes, y_true.dtype.is_floating, y_pred.dtype, counts, class_labels)
    try:
        known = _found.setdefault(owner, {})
    except TypeError:  # no weak references, or no hash
        known = {}
    if key not in known:
        with tf.init_scope():
            known[key] = _find(function, y_true, y_pred, counts, class_labels)
    return known[key]


def _last(x: tf.Tensor) -> int | None:
    """The number of entries of a row; a vector has rows of one entry."""
    if x.shape.rank is None or x.shape.rank < 2:
        return 1
    return None if x.shape[-1] is None else int(x.shape[-1])


def _leading(axes: int) -> tuple[int, ...]:
    """A shape for all axes but the last, of unequal lengths: none must pass for another."""
    return (5, 3, 2, *(1 for _ in range(axes)))[:axes]


def _find(
    function: _Function,
    y_true: tf.Tensor,
    y_pred: tf.Tensor,
    counts: str | None,
    class_labels: bool | None,
) -> RowLayout:
    ranks = y_true.shape.rank, y_pred.shape.rank
    if class_labels:
        return CLASSES
    if None in ranks or 0 in ranks:
        return ROWS  # which refuses them
    if _has_channels(y_true, y_pred):
        return _find_with_channels(function, y_true, y_pred, counts, class_labels)
    if counts == "row":
        return ROWS
    rows = _leading(max(y_pred.shape.rank - 1, 1))
    shape = (*rows, _last(y_pred) or _last(y_true) or 4)
    labels, predictions = _numbers(shape, y_pred.dtype)
    values = _try(function, labels, predictions)
    if np.shape(values) == shape and (
        counts == "element" or _is_independent(function, labels, predictions, values)
    ):
        return ELEMENTS
    singles = _try(function, labels.reshape(-1, 1), predictions.reshape(-1, 1))
    if np.shape(values) == rows and np.size(singles) == labels.size:
        singles = singles.reshape(shape)
        rtol = 1e-2 if y_pred.dtype.size == 2 else 1e-4
        if np.allclose(values, singles.mean(axis=-1), rtol):
            return SINGLES
        if counts == "element" and np.allclose(values, singles.sum(axis=-1), rtol):
            return SINGLES
    if counts == "element":
        raise ValueError(
            "Argument 'per' is 'element', but the number for a row is not made of numbers for its "
            "labels alone. Expected a function that returns the labels' shape, or for a row the "
            f"mean or sum of what it returns for each label. Received: {function!r}"
        )
    return ROWS


def _has_channels(y_true: tf.Tensor, y_pred: tf.Tensor) -> bool:
    """Whether the predictions have more numbers than the labels, and fit them otherwise."""
    labels, predictions = y_true.shape, y_pred.shape
    if labels.rank + 1 == predictions.rank:
        return bool(predictions[-1] != 1 and labels.is_compatible_with(predictions[:-1]))
    both = labels.rank == predictions.rank and labels.rank > 1
    fits = both and labels[:-1].is_compatible_with(predictions[:-1])
    return bool(fits and not labels.is_compatible_with(predictions))


def _find_with_channels(
    function: _Function,
    y_true: tf.Tensor,
    y_pred: tf.Tensor,
    counts: str | None,
    class_labels: bool | None,
) -> RowLayout:
    channels = _last(y_pred) or 2
    axes = _leading(y_pred.shape.rank - 1)
    _, predictions = _numbers((*axes, channels), y_pred.dtype)
    shape = axes if y_true.shape.rank < y_pred.shape.rank else (*axes, _last(y_true) or 1)
    labels, _ = _numbers(shape, y_pred.dtype)
    as_rows = RowLayout(-1, has_channels=True)
    as_elements = RowLayout(None, has_channels=True)

    def takes_labels() -> RowLayout | None:
        found = np.shape(_try(function, np.round(labels), predictions))
        if found == shape and counts != "row":
            return as_elements
        # Of labels that are rows of one, a label and a row are the same.
        return as_rows if found == shape[:-1] and len(shape) == len(axes) + 1 else None

    def takes_classes() -> RowLayout | None:
        if class_labels is False or (len(shape) > len(axes) and shape[-1] != 1):
            return None
        classes = np.zeros(axes, np.int64)
        return CLASSES if np.shape(_try(function, classes, predictions)) == axes else None

    tries = (takes_labels, takes_classes)
    for attempt in tries if y_true.dtype.is_floating else reversed(tries):
        found = attempt()
        if found is not None:
            return found
    return ROWS  # which refuses what it does not know


def _numbers(shape: tuple[int, ...], dtype: tf.DType) -> tuple[Any, Any]:
    """Labels and predictions where nearly every loss is defined: between 0 and 1, some labels 0 or
    1.
    """
    rng = np.random.default_rng(0)
    labels, predictions = 0.1 + 0.8 * rng.random((2, *shape))
    labels[::2] = np.round(labels[::2])
    kind = dtype.as_numpy_dtype
    return labels.astype(kind), predictions.astype(kind)


def _try(function: _Function, labels: Any, predictions: Any) -> Any:
    """The values as an array of float64; None where the function does not take these numbers."""
    try:
        values = function(tf.constant(labels), tf.constant(predictions))
        return np.asarray(cast(tf.convert_to_tensor(values), tf.float64))
    except Exception:  # of somebody's own, who knows which
        return None


def _is_independent(function: _Function, labels: Any, predictions: Any, values: Any) -> bool:
    """Whether another first column leaves the others' values as they are."""
    if labels.shape[-1] == 1:
        return True
    for column in (0, -1):
        other_labels, other_predictions = labels.copy(), predictions.copy()
        other_labels[..., column] = 1 - labels[..., column]
        other_predictions[..., column] = 1 - predictions[..., column]
        others = _try(function, other_labels, other_predictions)
        if np.shape(others) != values.shape:
            return False
        others, before = (np.delete(x, column, axis=-1) for x in (others, values))
        if not np.allclose(others, before, rtol=1e-5, atol=1e-7):
            return False
    return True


def find_layout_of_metric(
    metric: Any, known: RowLayout, counts: str | None, class_labels: bool | None
) -> RowLayout:
    """The layout for a metric of somebody's own; `known` if it is not another one."""
    if class_labels:
        return CLASSES
    if counts is not None:
        return SINGLES if counts == "element" else ROWS
    if known != ROWS or class_labels is False:
        return known  # its base is one of Keras's that is known
    labels, predictions = _numbers((6, 4), tf.float32)
    weight = np.arange(1, 7, dtype=np.float32)
    rows = _result(metric, labels, predictions, weight)
    singles = _result(
        metric, labels.reshape(-1, 1), predictions.reshape(-1, 1), np.repeat(weight, 4)
    )
    if rows is None or singles is None or rows.shape != singles.shape:
        return ROWS
    return SINGLES if np.allclose(rows, singles, rtol=1e-4, atol=1e-6) else ROWS


def _result(metric: Any, labels: Any, predictions: Any, weight: Any) -> Any:
    """What another metric of the same kind makes of these numbers; None where it does not."""
    try:
        other = type(metric).from_config(metric.get_config())
        other.update_state(labels, predictions, sample_weight=weight)
        return np.asarray(other.result())
    except Exception:  # of somebody's own, who knows which
        return None
