"""`Loss`: a loss of masklstm as a streaming metric."""

from typing import Any

import keras
import tensorflow as tf

from masklstm import _arguments
from masklstm._arguments import MaskedSums
from masklstm._keras_compat import cast_keeping_mask, complete_config
from masklstm._loss_bases import GapAwareLoss
from masklstm._metric_bases import GapAwareMetric, as_predictions, with_free_name


@keras.saving.register_keras_serializable(package="masklstm.metrics")
class Loss(GapAwareMetric):
    """A loss over all batches: what it would be if the whole epoch were one batch.

    Keras reports a mean of the batches' losses, weighted by their sizes. With unequal numbers of
    gaps that depends on how the samples fell into batches; this figure does not.

    Formula: that of the loss, with each sum taken over all batches. So `"mean"` is
    `sum(w * l) / number of valid elements`, with a `balance` every group of the epoch counts
    equally, `reduction="sum"` grows with every batch, and so does a loss with a `normalizer`.

    Args:
        loss: A loss of `masklstm.losses`.
        name: Name of the metric; that of the loss by default. Not `"epoch"`, `"batch"`, `"loss"` or
            `"learning_rate"`, nor one that begins with `"val_"`: callbacks use them in the logs.
        dtype: Type of the result; float64 by default. The state is always float64 and int64.

    Raises:
        ValueError: For what is not a loss of masklstm, or has no figure for an epoch: reduction
            `"none"`, an inner loss that has one value for many rows (Dice) or compares them
            (Circle), `balance="timestep"` or `"feature"` when their number is unknown or changes.

    Example:

    >>> import masklstm
    >>> metric = masklstm.metrics.Loss(masklstm.losses.MeanSquaredError())
    >>> metric.update_state([[1.0], [float("nan")], [3.0]], [[2.0], [5.0], [5.0]])
    >>> metric.update_state([[4.0]], [[0.0]])
    >>> float(metric.result())  # (1 + 4 + 16) / 3
    7.0

    Source: the losses are those of `masklstm.losses`.
    """

    def __init__(self, loss: Any, name: str | None = None, dtype: Any = None) -> None:
        if not isinstance(loss, GapAwareLoss):
            raise ValueError(
                "Invalid value for argument 'loss'. Expected a loss of masklstm.losses, such as "
                "masklstm.losses.Masked(loss) for one of Keras's or masklstm.losses.Sum(parts) for "
                f"a sum of several. Received: loss={loss!r}"
            )
        if _arguments.standardize_reduction(loss.reduction) == "none":
            raise ValueError(
                "Invalid value for argument 'loss'. Expected one that is reduced to one number. "
                f"Received: a loss with reduction={loss.reduction!r}"
            )
        super().__init__(name or loss.name, dtype, float("nan"))
        self.loss = loss
        self._is_built = False
        if loss.sums_shape is not None:
            self._build(loss.sums_shape)

    def _build(self, shape: tuple[int, ...]) -> None:
        self.loss_sum = self.add_sum("loss_sum", shape)
        self.weight_sum = self.add_sum("weight_sum", shape)
        self.valid_count = self.add_count("valid_count", shape)
        self._is_built = True

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Adds a batch.

        Args:
            y_true, y_pred, sample_weight: As the loss takes them.
        """
        y_pred = cast_keeping_mask(as_predictions(y_pred), tf.float64)
        sums = self.loss.additive_sums(y_true, y_pred, sample_weight)
        if self.loss.sums_shape is None:
            self._check_number(sums.loss_sum.shape[0])
        self.loss_sum.assign_add(sums.loss_sum)
        self.weight_sum.assign_add(sums.weight_sum)
        self.valid_count.assign_add(sums.valid_count)

    def _check_number(self, groups: int | None) -> None:
        if groups is not None and not self._is_built:
            self._build((groups,))
        expected = self.loss_sum.shape[0] if self._is_built else "a known number"
        if groups != expected:
            raise ValueError(
                f"A loss with balance={self.loss.balance!r} has sums for each one of them. "
                f"Expected {expected}. Received: {groups}"
            )

    def result(self) -> tf.Tensor:
        """The loss of all batches so far; NaN without a valid label."""
        if not self._is_built:
            return self.as_result(tf.zeros([], tf.float64), tf.zeros([], tf.int64))
        variables = self.loss_sum, self.weight_sum, self.valid_count
        totals = MaskedSums(*map(tf.convert_to_tensor, variables))
        return self.as_result(self.loss.loss_of_totals(totals), tf.reduce_sum(totals.valid_count))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "loss": complete_config(self.loss)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Loss":
        config = with_free_name(config)
        return cls(**{**config, "loss": keras.losses.deserialize(config["loss"])})
