"""Keras losses that skip missing labels. Names and arguments are those of `keras.losses`.

Every class takes one argument more than Keras's: `missing`, a number that means "no label" besides
NaN (a sentinel such as -999), or `"nonfinite"` to skip infinite labels too.

With no missing label the numbers are Keras's. With gaps, a mean is one mean over all valid
elements: those whose label is there and whose Keras mask, if the predictions carry one, is True.
Under `tf.distribute` it is the mean over the valid elements of the whole global batch.
"""

from typing import Any

import keras
import tensorflow as tf

from masklstm import _arguments, ops
from masklstm._keras_compat import get_keras_mask

__all__ = ["Huber", "MeanAbsoluteError", "MeanSquaredError"]


class ElementwiseLoss(keras.losses.Loss):  # type: ignore[misc]
    """Base of the losses that are computed element by element.

    A subclass names its element loss in `loss` and passes that one's parameters to `__init__`.
    """

    loss: str

    def __init__(
        self, reduction: str | None, name: str, dtype: Any, missing: Any, **parameters: Any
    ) -> None:
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        self.missing = missing
        self.parameters = parameters
        _arguments.standardize_missing(missing)
        ops.check_loss(self.loss, parameters)

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> tf.Tensor:
        """The loss, reduced.

        Keras's own `__call__` would reduce what `call` returns once more, by the wrong count.

        Args:
            y_true: Labels, shape `(batch, ..., features)`; NaN means missing.
            y_pred: Predictions of the same shape.
            sample_weight: Weights, aligned with the labels from the left.

        Returns:
            The loss in this loss's dtype; its shape is as `reduction` says.
        """
        mask = get_keras_mask(y_pred)
        with keras.name_scope(self.name):
            arguments = self._arguments(y_true, y_pred)
            arguments.update(sample_weight=sample_weight, mask=mask)
            reduction = _arguments.standardize_reduction(self.reduction)
            context = tf.distribute.get_replica_context()
            if context and context.num_replicas_in_sync > 1 and reduction.startswith("mean"):
                loss = _global_mean(context, reduction, arguments)
            else:
                loss = ops.masked_loss(**arguments, reduction=reduction)
            return tf.cast(loss, self.dtype)

    def call(self, y_true: Any, y_pred: Any) -> tf.Tensor:
        """The loss of each row, unweighted: shape `y_true.shape[:-1]`."""
        return ops.masked_loss(**self._arguments(y_true, y_pred), reduction="none")

    def _arguments(self, y_true: Any, y_pred: Any) -> dict[str, Any]:
        # As in Keras, the computing type is the loss's, not that of the predictions.
        dtype = "float64" if self.dtype == "float64" else "float32"
        return {
            "y_true": keras.ops.convert_to_tensor(y_true, dtype=dtype),
            "y_pred": keras.ops.convert_to_tensor(y_pred, dtype=dtype),
            "loss": self.loss,
            "missing": self.missing,
            **self.parameters,
        }

    def get_config(self) -> dict[str, Any]:
        config: dict[str, Any] = {**super().get_config(), **self.parameters}
        missing = _arguments.standardize_missing(self.missing)
        if missing != "nan":
            config["missing"] = self.missing
        return config


def _global_mean(
    context: tf.distribute.ReplicaContext, reduction: str, arguments: dict[str, Any]
) -> tf.Tensor:
    """This replica's share of the mean over the global batch.

    Gradients are added up over the replicas, so dividing each replica's sum by the global count
    makes them the gradient of one device that sees the whole batch. Averaging the replicas' own
    means would not: a replica with few labels would count as much as one with many.
    """
    sums = ops.masked_sums(**arguments)
    count = tf.cast(sums.valid_count, tf.float64)
    # Without gradients: a collective in the backward pass can meet the optimizer's own.
    local = [tf.stop_gradient(x) for x in (sums.loss_sum, sums.weight_sum, count)]
    loss_sum, weight_sum, count = context.all_reduce(tf.distribute.ReduceOp.SUM, local)
    if reduction == "mean":
        return tf.math.divide_no_nan(sums.loss_sum, count)
    mean = tf.math.divide_no_nan(loss_sum, weight_sum)
    # The last term is 0; its gradient is that of the divisor.
    own_weight = sums.weight_sum - tf.stop_gradient(sums.weight_sum)
    return tf.math.divide_no_nan(sums.loss_sum - mean * own_weight, weight_sum)


@keras.saving.register_keras_serializable(package="masklstm")
class MeanSquaredError(ElementwiseLoss):
    """Mean of squared errors over the valid elements.

    Formula: `loss = mean((y_pred - y_true)^2)`

    Args:
        reduction: `"sum_over_batch_size"` or `"mean"` (the default: divide by the number of valid
            elements), `"mean_with_sample_weight"` (divide by their weights), `"sum"` (of the row
            means), `"none"` or `None` (the row means).
        name: Name of the loss.
        dtype: Type of the computation and of the result; `keras.backend.floatx()` by default.
        missing: A number that means "no label" besides NaN, or `"nonfinite"`.

    Raises:
        ValueError: For an unknown reduction, or a `missing` that is neither.

    Example:

    >>> import masklstm
    >>> loss = masklstm.losses.MeanSquaredError()
    >>> float(loss([[1.0], [float("nan")], [3.0]], [[2.0], [5.0], [5.0]]))
    2.5

    Source: `keras.losses.MeanSquaredError`.
    """

    loss = "squared_error"

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str = "mean_squared_error",
        dtype: Any = None,
        missing: Any = float("nan"),
    ) -> None:
        super().__init__(reduction, name, dtype, missing)


@keras.saving.register_keras_serializable(package="masklstm")
class MeanAbsoluteError(ElementwiseLoss):
    """Mean of absolute errors over the valid elements.

    Formula: `loss = mean(abs(y_pred - y_true))`. The gradient is 0 where they are equal.

    Args:
        reduction, name, dtype, missing: As for `masklstm.losses.MeanSquaredError`.

    Raises:
        ValueError: For an unknown reduction, or a `missing` that is neither number nor name.

    Example:

    >>> import masklstm
    >>> loss = masklstm.losses.MeanAbsoluteError()
    >>> float(loss([[1.0], [float("nan")], [3.0]], [[2.0], [5.0], [5.0]]))
    1.5

    Source: `keras.losses.MeanAbsoluteError`.
    """

    loss = "absolute_error"

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str = "mean_absolute_error",
        dtype: Any = None,
        missing: Any = float("nan"),
    ) -> None:
        super().__init__(reduction, name, dtype, missing)


@keras.saving.register_keras_serializable(package="masklstm")
class Huber(ElementwiseLoss):
    """Mean of Huber losses over the valid elements: squared for small errors, linear for large.

    Formula, with `e = y_pred - y_true`: `e^2 / 2` where `abs(e) <= delta`, else
    `delta * (abs(e) - delta / 2)`.

    Args:
        delta: Where the loss turns from quadratic to linear; a number above 0.
        reduction, name, dtype, missing: As for `masklstm.losses.MeanSquaredError`.

    Raises:
        ValueError: For a `delta` that is not above 0, an unknown reduction, or a `missing` that is
            neither number nor name.

    Example:

    >>> import masklstm
    >>> loss = masklstm.losses.Huber(delta=1.0)
    >>> float(loss([[1.0], [float("nan")], [3.0]], [[2.0], [5.0], [5.0]]))
    1.0

    Source: `keras.losses.Huber`; P. J. Huber, "Robust Estimation of a Location Parameter", 1964.
    """

    loss = "huber"

    def __init__(
        self,
        delta: float = 1.0,
        reduction: str | None = "sum_over_batch_size",
        name: str = "huber_loss",
        dtype: Any = None,
        missing: Any = float("nan"),
    ) -> None:
        super().__init__(reduction, name, dtype, missing, delta=delta)
