"""Means of one number for each valid element."""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from masklstm._core.arguments import Tensors, standardize_tensors
from masklstm._core.backend import ElementLoss, backend
from masklstm._core.keras_compat import get_keras_mask
from masklstm._core.logits import from_logits_if_known
from masklstm._core.missing import NAN, is_observed
from masklstm._core.totals import MaskedSums, divided
from masklstm.metrics.base import as_predictions
from masklstm.metrics.groups import GroupedTotals


class MeanOverValid(GroupedTotals):
    """Base of the means of one number for each valid element, weighted: sum(w l) / sum(w)."""

    def __init__(
        self,
        name: str,
        dtype: Any,
        missing: Any,
        class_aggregation: str | None = "pooled",
        by: str | None = None,
        names: Sequence[Any] | None = None,
    ) -> None:
        super().__init__(name, dtype, missing, class_aggregation, by, names)
        if self.group_axis is None:
            self.build_groups(1)

    def totals(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> MaskedSums:
        mask = get_keras_mask(y_pred)
        return self.sums(y_true, as_predictions(y_pred), sample_weight, mask)

    def sums(self, y_true: Any, y_pred: tf.Tensor, sample_weight: Any, mask: Any) -> MaskedSums:
        """Those of a batch."""
        raise NotImplementedError

    def sums_of(self, tensors: Tensors, loss: ElementLoss) -> MaskedSums:
        """The sums of an element loss, of each group."""
        tensors = self.with_groups(tensors)
        sums = backend.masked_sums(tensors, loss, self.group_axis)
        if self.group_axis is not None:
            groups = tensors.y_true.shape[-1 if self.group_axis == "feature" else 1]
            self.build_groups(groups)
            sums = MaskedSums(*(tf.ensure_shape(each, [groups]) for each in sums))
        return sums

    def of_totals(self, totals: MaskedSums) -> tf.Tensor:
        # 0 where the weights of valid elements add up to 0, as in Keras.
        return divided(totals.loss_sum, totals.weight_sum)


class ElementwiseMetric(MeanOverValid):
    """Base of the means of an element loss of `masklstm.ops`.

    A subclass names it in `loss` and passes its parameters to `__init__`.
    """

    loss: str

    def __init__(
        self,
        name: str,
        dtype: Any,
        missing: Any,
        class_aggregation: str | None = "pooled",
        by: str | None = None,
        names: Sequence[Any] | None = None,
        **parameters: Any,
    ) -> None:
        super().__init__(name, dtype, missing, class_aggregation, by, names)
        self.parameters = parameters
        backend.check_loss(ElementLoss(self.loss, parameters))

    def sums(self, y_true: Any, y_pred: tf.Tensor, sample_weight: Any, mask: Any) -> MaskedSums:
        loss, y_pred = from_logits_if_known(self.loss, y_pred)
        y_pred = tf.cast(y_pred, tf.float64)
        element_loss = ElementLoss(loss, self.parameters)
        channels = backend.num_channels(element_loss)
        tensors = standardize_tensors(y_true, y_pred, sample_weight, mask, self.missing, channels)
        return self.sums_of(tensors, element_loss)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **self.parameters}


class ValueMetric(MeanOverValid):
    """Base of the means of a number that no native loss computes."""

    def sums(self, y_true: Any, y_pred: tf.Tensor, sample_weight: Any, mask: Any) -> MaskedSums:
        tensors = standardize_tensors(y_true, y_pred, None, None, self.missing)
        observed = is_observed(tensors.y_true, tensors.missing)
        values = self.values(tensors.y_true, tensors.y_pred)
        # Values that are not negative are their own distance from 0.
        labels = tf.where(observed, tf.zeros_like(values), NAN)
        tensors = standardize_tensors(labels, values, sample_weight, mask, NAN)
        return self.sums_of(tensors, ElementLoss("absolute_error", {}))

    def values(self, y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
        """One float64 for each element, not negative; anything where the label is missing."""
        raise NotImplementedError
