"""`Loss`: a loss of masklstm as a streaming metric."""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from masklstm._core.keras_compat import cast_keeping_mask, complete_config
from masklstm._core.reductions import standardize_reduction
from masklstm._core.totals import MadeOfTotals
from masklstm.metrics.base import TotalsMetric, as_predictions, with_free_name


@keras.saving.register_keras_serializable(package="masklstm.metrics")
class Loss(TotalsMetric):
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
        if not _is_of_masklstm(loss):
            raise ValueError(
                "Invalid value for argument 'loss'. Expected a loss of masklstm.losses, such as "
                "masklstm.losses.Masked(loss) for one of Keras's or masklstm.losses.Sum(parts) for "
                f"a sum of several. Received: loss={loss!r}"
            )
        if standardize_reduction(loss.reduction) == "none":
            raise ValueError(
                "Invalid value for argument 'loss'. Expected one that is reduced to one number. "
                f"Received: a loss with reduction={loss.reduction!r}"
            )
        super().__init__(name or loss.name, dtype, float("nan"))
        self.loss = loss
        if all(spec.shape.is_fully_defined() for spec in loss.totals_spec):
            self.build_totals(loss.totals_spec)

    @property
    def totals_spec(self) -> Sequence[tf.TensorSpec]:
        """Those of the loss."""
        spec: Sequence[tf.TensorSpec] = self.loss.totals_spec
        return spec

    def totals(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Sequence[tf.Tensor]:
        """Those of the loss, computed in float64."""
        y_pred = cast_keeping_mask(as_predictions(y_pred), tf.float64)
        totals: Sequence[tf.Tensor] = self.loss.totals(y_true, y_pred, sample_weight)
        if not all(spec.shape.is_fully_defined() for spec in self.totals_spec):
            self._check_number(totals[0].shape[0])
        return totals

    def of_totals(self, totals: Any) -> tf.Tensor:
        """The loss of the whole."""
        return self.loss.of_totals(totals)

    def _check_number(self, groups: int | None) -> None:
        expected: Any = "a known number"
        if self._sums is not None:
            expected = self._sums[0].shape[0]
        elif groups is not None:
            return
        if groups != expected:
            raise ValueError(
                f"A loss with balance={self.loss.balance!r} has sums for each one of them. "
                f"Expected {expected}. Received: {groups}"
            )

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "loss": complete_config(self.loss)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Loss":
        config = with_free_name(config)
        return cls(**{**config, "loss": keras.losses.deserialize(config["loss"])})


def _is_of_masklstm(loss: Any) -> bool:
    return isinstance(loss, MadeOfTotals) and isinstance(loss, keras.losses.Loss)
