"""What the metrics have in common: their state, the sentinel, totals that add up.

Design:
    A. State is float64 sums and int64 counts, whatever the metric's dtype is and the policy under
       which it was built. Keras's float32 count stops at 2^24, and its mean with it.
    B. Element losses are computed in float64 too: predictions are cast before they are read. A
       float32 element loss has a relative error of 1e-7, which no sum over many elements removes.
    C. State adds up over batches, and so over replicas: each has its own, and Keras adds them up
       when it reads them.
"""

import functools
import warnings
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from masklstm._core.arguments import to_tensor
from masklstm._core.keras_compat import cast_keeping_mask, set_direction
from masklstm._core.missing import missing_option
from masklstm._core.refusals import one_of
from masklstm._core.shown import ShowsArguments
from masklstm._core.totals import MadeOfTotals, remade
from masklstm._core.types import LABEL_DTYPES, PREDICTION_DTYPES, cast

# Keras has these in the logs itself: in file names ModelCheckpoint fails for the first and takes
# the second for the batch's number; the others overwrite one another.
_TAKEN_NAMES = ("epoch", "batch", "loss", "learning_rate")


def put_labels_on_predictions(y_true: Any, y_pred: tf.Tensor) -> tf.Tensor:
    """Predictions that metrics know the labels of where Keras has none to give: in a model whose
    labels are inputs. They travel as a Keras mask does, on the tensor itself.
    """
    y_pred = tf.identity(y_pred)
    y_pred._masklstm_labels = y_true
    return y_pred


def labels_of_predictions(y_pred: Any) -> Any:
    """None if it carries none."""
    return getattr(y_pred, "_masklstm_labels", None)


def _with_labels_of_predictions(update_state: Any) -> Any:
    @functools.wraps(update_state)
    def update(self: Any, y_true: Any, y_pred: Any, *arguments: Any, **options: Any) -> Any:
        if y_true is None:
            y_true = labels_of_predictions(y_pred)
        return update_state(self, y_true, y_pred, *arguments, **options)

    return update


class GapAwareMetric(ShowsArguments, keras.metrics.Metric):  # type: ignore[misc]  # Keras has no types
    """Base of all metrics."""

    default_dtype = "float64"
    direction: str | None = "down"
    """Which way is better, for Keras's callbacks."""

    def __init__(self, name: str, dtype: Any, missing: Any) -> None:
        if _is_taken(name):
            raise ValueError(
                f"Invalid value for argument 'name'. Expected one that is free in the logs of fit: "
                f"none of {one_of(_TAKEN_NAMES)}, and none that begins with 'val_'. "
                f"Received: name={name!r}"
            )
        super().__init__(name=name, dtype=dtype or self.default_dtype)
        self.missing = missing_option(missing)
        if self.direction is not None:
            set_direction(self, self.direction)

    def __init_subclass__(cls, **arguments: Any) -> None:
        super().__init_subclass__(**arguments)
        if "update_state" in vars(cls):
            cls.update_state = _with_labels_of_predictions(cls.update_state)

    def add_sum(self, name: str, shape: tuple[int, ...] = ()) -> Any:
        """A variable for a sum."""
        return self.add_variable(shape=shape, initializer="zeros", dtype="float64", name=name)

    def add_count(self, name: str, shape: tuple[int, ...] = ()) -> Any:
        """A variable for a number of elements."""
        return self.add_variable(shape=shape, initializer="zeros", dtype="int64", name=name)

    def as_result(self, value: tf.Tensor, count: Any) -> tf.Tensor:
        """The value in the metric's dtype; NaN where nothing was counted."""
        count = tf.convert_to_tensor(count)
        nan = tf.constant(float("nan"), value.dtype)
        return cast(tf.where(count == 0, nan, value), tf.as_dtype(self.dtype))

    def log_names(self) -> list[str]:
        """Under which names its figures are in the logs."""
        return [self.name]

    def get_config(self) -> dict[str, Any]:
        config = dict(super().get_config())
        if self.missing == self.missing:  # a NaN would not be equal to itself after loading
            config["missing"] = self.missing
        return config

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        return cls(**with_free_name(config))


def _is_taken(name: Any) -> bool:
    return isinstance(name, str) and (name in _TAKEN_NAMES or name.startswith("val_"))


def with_free_name(config: dict[str, Any]) -> dict[str, Any]:
    """The config of a metric. Files of earlier versions may have a name that is refused now."""
    name = config.get("name")
    if not _is_taken(name):
        return config
    free = f"{str(name).removeprefix('val_')}_metric"
    warnings.warn(f"The metric '{name}' is loaded as '{free}', a name that is free", stacklevel=2)
    return {**config, "name": free}


class TotalsMetric(MadeOfTotals, GapAwareMetric):
    """Base of the metrics whose state is totals, and whose result is a function of them."""

    _sums: tuple[Any, ...] | None = None

    def build_totals(self, spec: Sequence[tf.TensorSpec]) -> None:
        """Makes the state, of known shapes."""
        names = getattr(spec, "_fields", None) or [f"total_{n}" for n in range(len(spec))]
        for name, part in zip(names, spec, strict=True):
            variable = self.add_variable(part.shape.as_list(), "zeros", part.dtype.name, name=name)
            setattr(self, name, variable)
        self._sums = tuple(getattr(self, name) for name in names)

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Adds a batch.

        Args:
            y_true: Labels, shape `(batch, ..., features)`; NaN means missing.
            y_pred: Predictions of the same shape.
            sample_weight: Weights, aligned with the labels from the left.
        """
        totals = self.totals(y_true, y_pred, sample_weight)
        if self._sums is None:
            self.build_totals(remade(totals, [tf.TensorSpec(x.shape, x.dtype) for x in totals]))
        for variable, total in zip(self._sums or (), totals, strict=True):
            variable.assign_add(total)

    def result(self) -> tf.Tensor:
        """The result over all batches so far; NaN without a valid label."""
        if self._sums is None:
            return self.as_result(tf.zeros([], tf.float64), tf.zeros([], tf.int64))
        totals = remade(self.totals_spec, [tf.convert_to_tensor(x) for x in self._sums])
        return self.as_result(self.of_totals(totals), self.number_of(totals))

    def number_of(self, totals: Any) -> tf.Tensor:
        """How many labels the totals are of, so that the result is NaN for none: the counts."""
        counts = [tf.reduce_sum(total) for total in totals if not total.dtype.is_floating]
        return tf.add_n(counts)


def as_predictions(y_pred: Any) -> tf.Tensor:
    """A tensor of predictions in their own type; integers and bools as float64."""
    y_pred = to_tensor("y_pred", y_pred, LABEL_DTYPES, tf.float64)
    if y_pred.dtype in PREDICTION_DTYPES:
        return y_pred
    return cast_keeping_mask(y_pred, tf.float64)
