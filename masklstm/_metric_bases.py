"""What the metrics have in common: their state, the sentinel, means over the valid elements.

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
from typing import Any

import keras
import tensorflow as tf

from masklstm import _arguments, ops
from masklstm._arguments import MaskedSums
from masklstm._keras_compat import cast_keeping_mask, get_keras_mask, set_direction
from masklstm._logits import from_logits_if_known
from masklstm._shown import ShowsArguments

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
                f"none of {_arguments.one_of(_TAKEN_NAMES)}, and none that begins with 'val_'. "
                f"Received: name={name!r}"
            )
        super().__init__(name=name, dtype=dtype or self.default_dtype)
        self.missing = _arguments.missing_option(missing)
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
        return _arguments.cast(tf.where(count == 0, nan, value), tf.as_dtype(self.dtype))

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


class MeanOverValid(GapAwareMetric):
    """Base of the means of one number for each valid element, weighted: sum(w l) / sum(w)."""

    def __init__(self, name: str, dtype: Any, missing: Any) -> None:
        super().__init__(name, dtype, missing)
        self.loss_sum = self.add_sum("loss_sum")
        self.weight_sum = self.add_sum("weight_sum")
        self.valid_count = self.add_count("valid_count")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Adds a batch.

        Args:
            y_true: Labels, shape `(batch, ..., features)`; NaN means missing.
            y_pred: Predictions of the same shape.
            sample_weight: Weights, aligned with the labels from the left.
        """
        sums = self.sums(y_true, as_predictions(y_pred), sample_weight, get_keras_mask(y_pred))
        self.loss_sum.assign_add(sums.loss_sum)
        self.weight_sum.assign_add(sums.weight_sum)
        self.valid_count.assign_add(sums.valid_count)

    def sums(self, y_true: Any, y_pred: tf.Tensor, sample_weight: Any, mask: Any) -> MaskedSums:
        """Those of a batch."""
        raise NotImplementedError

    def result(self) -> tf.Tensor:
        """The mean over all batches so far; NaN without a valid label."""
        # 0 where the weights of valid elements add up to 0, as in Keras.
        mean = _arguments.divided(
            tf.convert_to_tensor(self.loss_sum), tf.convert_to_tensor(self.weight_sum)
        )
        return self.as_result(mean, self.valid_count)


class ElementwiseMetric(MeanOverValid):
    """Base of the means of an element loss of `masklstm.ops`.

    A subclass names it in `loss` and passes its parameters to `__init__`.
    """

    loss: str

    def __init__(self, name: str, dtype: Any, missing: Any, **parameters: Any) -> None:
        super().__init__(name, dtype, missing)
        self.parameters = parameters
        ops.check_loss(self.loss, parameters)

    def sums(self, y_true: Any, y_pred: tf.Tensor, sample_weight: Any, mask: Any) -> MaskedSums:
        loss, y_pred = from_logits_if_known(self.loss, y_pred)
        return ops.masked_sums(
            y_true,
            tf.cast(y_pred, tf.float64),
            loss,
            sample_weight,
            mask,
            self.missing,
            **self.parameters,
        )

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **self.parameters}


class ValueMetric(MeanOverValid):
    """Base of the means of a number that no native loss computes."""

    def sums(self, y_true: Any, y_pred: tf.Tensor, sample_weight: Any, mask: Any) -> MaskedSums:
        tensors = _arguments.standardize_tensors(y_true, y_pred, None, None, self.missing)
        observed = _arguments.is_observed(tensors.y_true, tensors.missing)
        values = self.values(tensors.y_true, tensors.y_pred)
        # Values that are not negative are their own distance from 0.
        zeros = tf.zeros_like(values)
        labels = tf.where(observed, zeros, float("nan"))
        return ops.masked_sums(labels, values, "absolute_error", sample_weight, mask)

    def values(self, y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
        """One float64 for each element, not negative; anything where the label is missing."""
        raise NotImplementedError


def as_predictions(y_pred: Any) -> tf.Tensor:
    """A tensor of predictions in their own type; integers and bools as float64."""
    y_pred = _arguments.to_tensor("y_pred", y_pred, _arguments.LABEL_DTYPES, tf.float64)
    if y_pred.dtype in _arguments.PREDICTION_DTYPES:
        return y_pred
    return cast_keeping_mask(y_pred, tf.float64)
