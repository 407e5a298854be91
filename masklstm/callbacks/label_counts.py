"""What `callbacks.MissingLabels` counts, on the device.

Design:
    A. Counts are variables: a step that is compiled, by XLA too, cannot call Python, and nobody
       waits for the device until the counts are read. A replica counts its own share of a batch.
    B. What counts is what the loss says that it counts. Only for other losses than masklstm's the
       labels themselves are looked at.
    C. Labels that are a forgotten sentinel are the lowest or the highest ones. So of each side the
       extreme is kept, how often it came, and what came next to it: three numbers, in one pass,
       whatever the sentinel is.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from masklstm._core.arguments import broadcast_left
from masklstm._core.keras_compat import get_keras_mask
from masklstm._core.missing import is_observed, sentinel, standardize_missing
from masklstm._core.types import LABEL_DTYPES
from masklstm._core.workers import gathered, have_company
from masklstm.losses.base import GapAwareLoss
from masklstm.losses.likelihoods import Support
from masklstm.losses.masked import Masked

_Counts = NDArray[np.int64]


class Failure(NamedTuple):
    """The first batch whose loss or predictions are not finite: its number in its epoch, from 1, or
    0 for none.

    The others count what is not finite in it; `model_weights` are those before its step.
    """

    batch: int
    inputs: int
    model_weights: int
    predictions: int
    sample_weights: int
    nan_labels: int
    infinite_labels: int


class Counts(NamedTuple):
    """Numbers of the labels in one place or, as arrays, in each."""

    valid: Any
    """What the loss counts: labels, or rows of them."""
    entries: Any
    """What it would count if no label were missing."""
    there: Any
    """Labels that are neither missing nor masked out."""
    labels: Any
    gaps: Any
    """Labels that are missing, masked out or not."""
    weighted_gaps: Any
    """Those of them whose weight is not 0."""
    nan: Any
    """Those of them that are NaN."""
    fractions: Any
    """Labels that are there and no whole numbers."""


class Extremes(NamedTuple):
    """Of the finite labels that are there."""

    value: float
    """Infinite if there is none."""
    times: int
    other: float
    """The one next to it; infinite for none."""


class Layout(NamedTuple):
    """How the labels of one place look."""

    label: tf.TensorSpec
    prediction: tf.TensorSpec | None
    loss: str
    """Names of the loss and of its type."""
    missing: tuple[float, ...]
    """Numbers that are no labels."""
    support: Support | None = None
    """Where the loss's distribution has its labels."""

    @property
    def has_class_labels(self) -> bool:
        """Whether a label is one class of those that the predictions' last axis has."""
        if self.prediction is None or None in (self.label.shape.rank, self.prediction.shape.rank):
            return False
        label, prediction = self.label.shape, self.prediction.shape
        is_alone = label.rank > 0 and label[-1] == 1
        return bool(label.rank < prediction.rank or is_alone) and (prediction[-1:] or [1])[0] != 1


class Seen(NamedTuple):
    """What was seen since the last `reset`."""

    counts: Counts
    lowest: list[Extremes]
    highest: list[Extremes]
    batches: int
    batches_without_label: int
    failure: Failure


class LabelCounts:
    """Counts of the labels of several places: the outputs of a model, and its `MaskedLoss`es."""

    def __init__(self, strategy: tf.distribute.Strategy, places: int, missing: Any) -> None:
        self.missing = missing
        self.layouts: list[Layout | None] = [None] * places
        self._strategy = strategy
        with strategy.scope():
            self._counts = _variable(tf.zeros([len(Counts._fields), places], tf.int64))
            self._extremes = _variable(_no_extremes(places))
            # What counts, of how many; NaN and infinite labels that are inputs of the model.
            self._of_batch = _variable(tf.zeros([4], tf.int64))
            self._batches = _variable(tf.zeros([2], tf.int64))
            self._failure = _variable(tf.zeros([len(Failure._fields)], tf.int64))

    def reset(self) -> None:
        for variable in (self._counts, self._of_batch, self._batches, self._failure):
            variable.assign(tf.zeros_like(variable))
        self._extremes.assign(_no_extremes(len(self.layouts)))

    def read(self) -> Seen:
        replicas = self._of_replicas(self._extremes)
        extremes = replicas[0]
        for other in replicas[1:]:
            extremes = _merged(extremes, other)
        lowest, highest = (
            [Extremes(sign * low, int(count), sign * follows) for low, count, follows in side.T]
            for sign, side in zip((1, -1), np.asarray(extremes), strict=True)
        )
        batches, without_label = self._sum(self._batches).tolist()
        failures = [Failure(*value.tolist()) for value in self._of_replicas(self._failure)]
        failed = [failure for failure in failures if failure.batch]
        return Seen(
            Counts(*self._sum(self._counts)),
            lowest,
            highest,
            batches,
            without_label,
            min(failed or failures),
        )

    def without_label(self) -> list[bool]:
        """Places that have had labels, none of which the loss counted."""
        counts = Counts(*self._sum(self._counts))
        found: list[bool] = ((counts.entries > 0) & (counts.valid == 0)).tolist()
        return found

    def have_no_label(self) -> bool:
        """Whether there were labels, none of which a loss counted."""
        counts = Counts(*self._sum(self._counts))
        return bool(counts.entries.any() and not counts.valid.any())

    def _of_replicas(self, variable: tf.Variable) -> list[Any]:
        own = [each.numpy() for each in self._strategy.experimental_local_results(variable)]
        if not have_company(self._strategy):
            return own
        return list(gathered(self._strategy, own).astype(own[0].dtype))

    def _sum(self, variable: tf.Variable) -> _Counts:
        total: _Counts = np.sum(self._of_replicas(variable), axis=0)
        return total

    def add(
        self,
        place: int,
        label: Any,
        loss: Any,
        prediction: Any,
        sample_weight: Any,
        is_input: bool = False,
    ) -> None:
        """The labels of a batch in one place."""
        dense = _leaves(label)
        if len(dense) != 1 or dense[0].dtype not in LABEL_DTYPES:
            return
        label = dense[0]
        numbers = _missing_numbers(self.missing, loss)
        self.layouts[place] = Layout(
            tf.TensorSpec(label.shape, label.dtype),
            _spec(prediction),
            f"{loss if isinstance(loss, str) else getattr(loss, 'name', '')} "
            f"{getattr(loss, '__name__', type(loss).__name__)}",
            numbers,
            getattr(loss, "support", None),
        )
        observed = _is_observed(label, self.missing, loss)
        there = observed & _mask(prediction, label)
        counted = there if self.missing is not None else _counted(loss, label, prediction, there)
        gaps = ~observed
        floating = label.dtype.is_floating
        counts = Counts(
            valid=counted,
            entries=tf.ones_like(counted),
            there=there,
            labels=tf.ones_like(there),
            gaps=gaps,
            weighted_gaps=gaps & _has_weight(sample_weight, label),
            nan=tf.math.is_nan(label) if floating else tf.zeros_like(gaps),
            fractions=there & (label != tf.floor(label)) if floating else tf.zeros_like(gaps),
        )
        numbers_of = tf.stack([tf.math.count_nonzero(each) for each in counts])
        here = tf.one_hot(place, len(self.layouts), dtype=tf.int64)
        self._counts.assign_add(numbers_of[:, tf.newaxis] * here)
        of_inputs = tf.zeros([2], tf.int64)
        if is_input and floating:
            not_finite = (tf.math.is_nan(label), tf.math.is_inf(label))
            of_inputs = tf.stack([tf.math.count_nonzero(each) for each in not_finite])
        self._of_batch.assign_add(tf.concat([numbers_of[:2], of_inputs], axis=0))
        found = _extremes(label, there)
        rest = _no_extremes(len(self.layouts))
        found = tf.where(here > 0, found[:, :, tf.newaxis], rest)
        self._extremes.assign(_merged(self._extremes, found))

    def end_batch(
        self, x: Any, y: Any, y_pred: Any, sample_weight: Any, weights: list[Any], loss: tf.Tensor
    ) -> None:
        """After all labels of the batch were added."""
        valid, entries, nan, infinite = tf.unstack(tf.identity(self._of_batch))
        self._of_batch.assign(tf.zeros([4], tf.int64))
        without_label = tf.cast((valid == 0) & (entries > 0), tf.int64)
        self._batches.assign_add(tf.stack([tf.ones([], tf.int64), without_label]))

        def record() -> tf.Tensor:
            floating = [label for label in _leaves(y) if label.dtype.is_floating]
            failure = Failure(
                batch=self._batches[0],
                inputs=tf.maximum(_not_finite(x) - nan - infinite, 0),
                model_weights=_not_finite(weights),
                predictions=_not_finite(y_pred),
                sample_weights=_not_finite(sample_weight),
                nan_labels=nan + _total(tf.math.is_nan(label) for label in floating),
                infinite_labels=infinite + _total(tf.math.is_inf(label) for label in floating),
            )
            return tf.stack(failure)

        # Predictions too: where the label is missing they do not reach the loss, but the gradient.
        fails = ~tf.reduce_all(tf.math.is_finite(loss)) | (_not_finite(y_pred) > 0)
        is_first = fails & (self._failure[0] == 0)
        self._failure.assign(tf.cond(is_first, record, lambda: tf.identity(self._failure)))


def _variable(initial: tf.Tensor) -> tf.Variable:
    return tf.Variable(
        initial,
        trainable=False,
        synchronization=tf.VariableSynchronization.ON_READ,
        aggregation=tf.VariableAggregation.SUM,
    )


def _leaves(structure: Any) -> list[tf.Tensor]:
    """The dense tensors in it."""
    leaves = [leaf for leaf in keras.tree.flatten(structure) if hasattr(leaf, "dtype")]
    sparse = (tf.RaggedTensor, tf.SparseTensor)
    return [tf.convert_to_tensor(leaf) for leaf in leaves if not isinstance(leaf, sparse)]


def _total(conditions: Iterator[tf.Tensor]) -> tf.Tensor:
    return sum((tf.math.count_nonzero(each) for each in conditions), tf.zeros([], tf.int64))


def _not_finite(structure: Any) -> tf.Tensor:
    floating = (leaf for leaf in _leaves(structure) if leaf.dtype.is_floating)
    return _total(~tf.math.is_finite(leaf) for leaf in floating)


def _spec(prediction: Any) -> tf.TensorSpec | None:
    dense = _leaves(prediction)
    return tf.TensorSpec(dense[0].shape, dense[0].dtype) if len(dense) == 1 else None


def _missing_kinds(missing: Any, loss: Any) -> list[Any]:
    """By the given `missing`; where it is None, by the loss."""
    if missing is not None:
        return [missing]
    kinds = [loss.missing if isinstance(loss, GapAwareLoss) else "nan"]
    if isinstance(loss, Masked) and loss.has_class_labels:
        kinds.append(-1)
    if getattr(loss, "ignore_class", None) is not None:  # Keras's own way
        kinds.append(loss.ignore_class)
    return kinds


def _missing_numbers(missing: Any, loss: Any) -> tuple[float, ...]:
    """Those among the kinds that are numbers."""
    flat = keras.tree.flatten(_missing_kinds(missing, loss))
    numbers = [float(each) for each in flat if not isinstance(each, str)]
    return tuple(number for number in numbers if np.isfinite(number))


def _is_observed(label: tf.Tensor, missing: Any, loss: Any) -> tf.Tensor:
    observed = tf.ones_like(label, tf.bool)
    for kind in _missing_kinds(missing, loss):
        observed &= is_observed(label, sentinel(standardize_missing(kind), label.dtype))
    return observed


def _counted(loss: Any, label: tf.Tensor, prediction: Any, there: tf.Tensor) -> tf.Tensor:
    """What the loss counts; if it does not say, or is one for all rows, what is there."""
    if not isinstance(loss, GapAwareLoss):
        return there
    try:
        counted = loss.counted(label, prediction)
    except (ValueError, TypeError, NotImplementedError):  # not the shapes that the loss got
        return there
    return there if counted.shape.rank == 0 else counted


def _mask(prediction: Any, label: tf.Tensor) -> tf.Tensor:
    """The Keras mask of a prediction, where it fits the label from the left."""
    mask = get_keras_mask(prediction)
    return tf.ones_like(label, tf.bool) if mask is None else _fitted(mask, label)


def _has_weight(sample_weight: Any, label: tf.Tensor) -> tf.Tensor:
    """Where the weight is not 0, if it fits the label from the left."""
    dense = _leaves(sample_weight)
    return _fitted(dense[0] != 0, label) if len(dense) == 1 else tf.ones_like(label, tf.bool)


def _fitted(condition: Any, label: tf.Tensor) -> tf.Tensor:
    rank = condition.shape.rank
    if rank is None or label.shape.rank is None:
        return tf.ones_like(label, tf.bool)
    while rank > label.shape.rank and condition.shape[-1] == 1:
        condition, rank = tf.squeeze(condition, -1), rank - 1
    lengths = zip(condition.shape, label.shape, strict=False)
    if rank > label.shape.rank or not all(
        length == 1 or tf.TensorShape([length]).is_compatible_with([full])
        for length, full in lengths
    ):
        return tf.ones_like(label, tf.bool)
    return broadcast_left(tf.cast(condition, tf.bool), label)


def _no_extremes(places: int) -> tf.Tensor:
    nothing = tf.constant([np.inf, 0.0, np.inf], tf.float64)
    return tf.tile(nothing[tf.newaxis, :, tf.newaxis], [2, 1, places])


def _extremes(label: tf.Tensor, there: tf.Tensor) -> tf.Tensor:
    """Of both sides; the higher one with its sign changed."""
    if not label.dtype.is_floating:
        label = tf.cast(label, tf.float64)
    infinite = tf.constant(np.inf, label.dtype)
    there &= tf.math.is_finite(label)
    sides = []
    for values in (label, -label):
        values = tf.where(there, values, infinite)
        low = tf.reduce_min(values)
        count = tf.math.count_nonzero(there & (values == low))
        follows = tf.reduce_min(tf.where(values > low, values, infinite))
        sides.append(tf.stack([tf.cast(each, tf.float64) for each in (low, count, follows)]))
    return tf.stack(sides)


def _merged(one: Any, other: Any) -> tf.Tensor:
    """Extremes of two parts, as those of the whole."""
    one, other = tf.unstack(one, axis=1), tf.unstack(other, axis=1)
    low = tf.minimum(one[0], other[0])
    zero = tf.zeros_like(low)
    count = tf.where(one[0] == low, one[1], zero) + tf.where(other[0] == low, other[1], zero)
    values = tf.stack([one[0], one[2], other[0], other[2]])
    follows = tf.reduce_min(tf.where(values > low, values, tf.constant(np.inf, low.dtype)), axis=0)
    return tf.stack([low, count, follows], axis=1)
