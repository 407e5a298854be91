"""Counts what the steps of a Keras model see: the half of `callbacks.MissingLabels` on the device.

Design:
    A. Keras shows callbacks neither batches nor predictions. What every step calls with all of them
       is `model.compute_loss`, a method that users may override. It is replaced, on the instance,
       only while a step runs: whatever ends the step, the model is as it was.
    B. A step that was traced before would not see the replacement, so the model makes its function
       for steps anew; the earlier one returns when the watching ends.
    C. Counts are variables: a step that is compiled, by XLA too, cannot call Python, and nobody
       waits for the device until the counts are read. A replica counts its own share of a batch.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from masklstm import _arguments
from masklstm._keras_compat import get_keras_mask
from masklstm._loss_bases import GapAwareLoss
from masklstm._masked import Masked


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


class Seen(NamedTuple):
    """What was seen since the last `reset`, but for `failure`, which stays."""

    valid: NDArray[np.int64]
    """Number of valid labels of each output."""
    labels: NDArray[np.int64]
    """Number of labels of each output."""
    batches: int
    batches_without_label: int
    failure: Failure


class WatchedSteps:
    """The training steps (`kind="train"`) or the evaluation steps (`"test"`) of a model."""

    def __init__(self, model: keras.Model, kind: str, missing: Any) -> None:
        self.model = model
        self.kind = kind
        self.missing = missing
        self._names: list[str] = list(getattr(model, "output_names", ["output"]))
        self._are_apart = True
        self._original: Callable[[Any], Any] | None = None
        self._watched: Callable[[Any], Any] | None = None
        with model.distribute_strategy.scope():
            self._labels = _counter(2, len(self._names))
            self._batches = _counter(2)
            self._failure = _counter(len(Failure._fields))

    @property
    def outputs(self) -> list[str]:
        """Names of the outputs that are counted apart."""
        return self._names if self._are_apart else self._names[:1]

    def start(self) -> None:
        """Watches from now on."""
        self._original = getattr(self._function, "unwatched", self._function)
        getattr(self.model, f"make_{self.kind}_function")(force=True)
        steps = self._function

        def watched(iterator: Any) -> Any:
            try:
                with self._observed_loss():
                    return steps(iterator)
            except (StopIteration, tf.errors.OutOfRangeError):  # the end of the data
                raise
            except BaseException:  # Keras then calls no callback any more
                self.stop()
                raise

        # mypy knows no attributes of functions.
        watched.unwatched = self._original  # type: ignore[attr-defined]
        self._function = self._watched = watched

    def stop(self) -> None:
        """The model is as it was; but a step function that somebody made in the meantime stays."""
        if self._function is self._watched:
            self._function = self._original

    def reset(self) -> None:
        self._labels.assign(tf.zeros_like(self._labels))
        self._batches.assign(tf.zeros_like(self._batches))

    def read(self) -> Seen:
        valid, labels = self._sum(self._labels)
        batches, without_label = self._sum(self._batches)
        failures = [Failure(*value.tolist()) for value in self._of_replicas(self._failure)]
        failed = [failure for failure in failures if failure.batch]
        return Seen(valid, labels, int(batches), int(without_label), min(failed or failures))

    @property
    def _function(self) -> Any:
        return getattr(self.model, f"{self.kind}_function")

    @_function.setter
    def _function(self, function: Any) -> None:
        setattr(self.model, f"{self.kind}_function", function)

    def _of_replicas(self, variable: tf.Variable) -> list[NDArray[np.int64]]:
        strategy = self.model.distribute_strategy
        return [value.numpy() for value in strategy.experimental_local_results(variable)]

    def _sum(self, variable: tf.Variable) -> NDArray[np.int64]:
        total: NDArray[np.int64] = np.sum(self._of_replicas(variable), axis=0)
        return total

    @contextmanager
    def _observed_loss(self) -> Iterator[None]:
        own = vars(self.model)  # past Keras's __setattr__, which would look for layers in it
        before = {name: own[name] for name in ("compute_loss",) if name in own}
        compute_loss = self.model.compute_loss

        def observed(
            x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, **rest: Any
        ) -> Any:
            loss = compute_loss(x, y, y_pred, sample_weight, **rest)
            self._count(x, y, y_pred, sample_weight, tf.convert_to_tensor(loss))
            return loss

        own["compute_loss"] = observed
        try:
            yield
        finally:
            del own["compute_loss"]
            own.update(before)

    def _count(self, x: Any, y: Any, y_pred: Any, sample_weight: Any, loss: Any) -> None:
        labels = _leaves(y)
        of_outputs = self._counts_of_outputs(y, y_pred)
        self._labels.assign_add(of_outputs)
        valid, number = tf.unstack(tf.reduce_sum(of_outputs, axis=1))
        without_label = tf.cast((valid == 0) & (number > 0), tf.int64)
        self._batches.assign_add(tf.stack([tf.ones([], tf.int64), without_label]))

        def record() -> tf.Tensor:
            floating = [label for label in labels if label.dtype.is_floating]
            failure = Failure(
                batch=self._batches[0],
                inputs=_not_finite(x),
                model_weights=_not_finite([v.value for v in self.model.trainable_variables]),
                predictions=_not_finite(y_pred),
                sample_weights=_not_finite(sample_weight),
                nan_labels=_total(tf.math.is_nan(label) for label in floating),
                infinite_labels=_total(tf.math.is_inf(label) for label in floating),
            )
            return tf.stack(failure)

        # Predictions too: where the label is missing they do not reach the loss, but the gradient.
        fails = ~tf.reduce_all(tf.math.is_finite(loss)) | (_not_finite(y_pred) > 0)
        is_first = fails & (self._failure[0] == 0)
        self._failure.assign(tf.cond(is_first, record, lambda: tf.identity(self._failure)))

    def _counts_of_outputs(self, y: Any, y_pred: Any) -> tf.Tensor:
        """Valid labels, and labels, of each output."""
        names = self._names
        labels = _of_outputs(y, names)
        if labels is None:  # they cannot be told apart: all of them count for the first one
            self._are_apart = False
            counts = [self._counts(label, None, None) for label in _leaves(y)]
            rest = [_nothing()] * (len(names) - 1)
            return tf.stack([sum(counts, _nothing()), *rest], axis=1)
        if isinstance(y, dict) and not y.keys() <= set(names):
            self._names = sorted(y)
        losses = self.model.loss
        is_one_for_all = not isinstance(losses, (dict, list, tuple))
        losses = [losses] * len(names) if is_one_for_all else _of_outputs(losses, names)
        nothing = [None] * len(names)
        each = zip(labels, losses or nothing, _of_outputs(y_pred, names) or nothing, strict=True)
        return tf.stack([self._counts(*one) for one in each], axis=1)

    def _counts(self, label: Any, loss: Any, prediction: Any) -> tf.Tensor:
        dense = _leaves(label)
        if len(dense) != 1:
            return _nothing()
        observed = _is_observed(dense[0], self.missing, loss) & _mask(prediction, dense[0])
        return tf.stack([tf.math.count_nonzero(observed), tf.size(dense[0], tf.int64)])


def _of_outputs(structure: Any, names: list[str]) -> list[Any] | None:
    """What a dict, a list or a single entry has for each output; None if it has not one for each.

    As in Keras a dict may lack outputs, and a list has their order.
    """
    if isinstance(structure, dict):
        if structure.keys() <= set(names):
            return [structure.get(name) for name in names]
        entries = [structure[name] for name in sorted(structure)]
    else:
        entries = list(structure) if isinstance(structure, (list, tuple)) else [structure]
    return entries if len(entries) == len(names) else None


def _nothing() -> tf.Tensor:
    return tf.zeros([2], tf.int64)


def _counter(*shape: int) -> tf.Variable:
    return tf.Variable(
        tf.zeros(shape, tf.int64),
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


def _is_observed(label: tf.Tensor, missing: Any, loss: Any) -> tf.Tensor:
    """By the given `missing`; where it is None, by the loss."""
    kinds = [missing]
    if missing is None:
        kinds = [loss.missing if isinstance(loss, GapAwareLoss) else "nan"]
        if isinstance(loss, Masked) and loss.has_class_labels:
            kinds.append(-1)
    observed = tf.ones_like(label, tf.bool)
    for kind in kinds:
        sentinel = _arguments.sentinel(_arguments.standardize_missing(kind), label.dtype)
        observed &= _arguments.is_observed(label, sentinel)
    return observed


def _mask(prediction: Any, label: tf.Tensor) -> tf.Tensor:
    """The Keras mask of a prediction, where it fits the label from the left."""
    mask = get_keras_mask(prediction)
    if (
        mask is None
        or mask.shape.rank is None
        or not mask.shape.is_compatible_with(label.shape[: mask.shape.rank])
    ):
        return tf.ones_like(label, tf.bool)
    return _arguments.broadcast_left(tf.cast(mask, tf.bool), label)
