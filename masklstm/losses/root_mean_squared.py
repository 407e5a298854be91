"""`RootMeanSquaredError`: a root for each feature, or one for all."""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from masklstm._core.arguments import Tensors
from masklstm._core.backend import ElementLoss, backend
from masklstm._core.keras_compat import get_keras_mask
from masklstm._core.missing import NAN
from masklstm._core.own_weights import along_axis, with_length, with_own_weight
from masklstm._core.reductions import standardize_reduction
from masklstm._core.refusals import one_of
from masklstm._core.summation import total_of_rows
from masklstm._core.totals import MaskedSums, divided, divisor_of
from masklstm.losses.base import GapAwareLoss
from masklstm.losses.series import safe_sqrt

_REDUCTIONS = ("sum_over_batch_size", "mean", "mean_with_sample_weight")


@keras.saving.register_keras_serializable(package="masklstm")
class RootMeanSquaredError(GapAwareLoss):
    """Root of the mean squared error of each feature, averaged over features.

    Formula, with the weights v of the features (1 by default) and the weights w of their labels:
    `loss = sum(v * sqrt(sum(w * (y_pred - y_true)^2) / n)) / sum(v)`, the inner sum over the valid
    labels of a feature, n of them, the outer ones over the features that have a label. A feature
    that is met exactly has the root 0, with slope 0. With `pooled=True` it is one root of the mean
    over all labels, `sqrt(mean(v * w * (y_pred - y_true)^2))`.

    Features are the entries of the last axis, so labels `(batch, steps)` have a root for each step.
    The root is that of the whole batch: over several replicas of all of them, and as
    `masklstm.metrics.Loss` of the epoch.

    Args:
        reduction: `"sum_over_batch_size"` or `"mean"` (the default: n is the number of valid labels
            of the feature) or `"mean_with_sample_weight"` (n is the sum of their weights, and a
            feature whose weights add up to 0 does not count).
        name, dtype, missing, step_weights: As for `masklstm.losses.MeanSquaredError`.
        feature_weights: The numbers v, one for each entry of the last axis, 0 or above.
        pooled: Whether to take one root for all features, as the metric of this name does; the
            weights of features are then those of their squared errors.

    Raises:
        ValueError: For another reduction, or an invalid option.

    Example:

    >>> import masklstm
    >>> loss = masklstm.losses.RootMeanSquaredError(feature_weights=[1.0, 3.0])
    >>> nan = float("nan")
    >>> float(loss([[1.0, nan], [nan, 2.0]], [[3.0, 0.0], [0.0, 3.0]]))  # (1 * 2 + 3 * 1) / 4
    1.25

    Source: not in `keras.losses`; `keras.metrics.RootMeanSquaredError` has one root for all
    features.
    """

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str = "root_mean_squared_error",
        dtype: Any = None,
        *,
        missing: Any = NAN,
        feature_weights: Sequence[float] | None = None,
        step_weights: Sequence[float] | None = None,
        pooled: bool = False,
    ) -> None:
        super().__init__(
            reduction,
            name,
            dtype,
            missing,
            feature_weights=feature_weights,
            step_weights=step_weights,
        )
        if not standardize_reduction(reduction).startswith("mean"):
            raise ValueError(
                f"Invalid value for argument 'reduction'. Expected one of {one_of(_REDUCTIONS)}: "
                f"samples have no roots of their own. Received: reduction={reduction!r}"
            )
        self.pooled = bool(pooled)

    @property
    def totals_spec(self) -> MaskedSums:
        """Sums of each feature, or of all."""
        if self.pooled:
            return MaskedSums.spec()
        weights = self.feature_weights
        return MaskedSums.spec((None if weights is None else len(weights),))

    def totals(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> MaskedSums:
        tensors = self._tensors(y_true, y_pred, sample_weight, get_keras_mask(y_pred))
        balance = None if self.pooled else "feature"
        return backend.masked_sums(tensors, ElementLoss("squared_error", {}), balance)

    def of_totals(self, totals: MaskedSums) -> tf.Tensor:
        if self.pooled:
            return safe_sqrt(super().of_totals(totals))
        divisor = divisor_of(self.how.kind, *totals[1:])
        roots = safe_sqrt(divided(totals.loss_sum, divisor))
        weight = tf.ones_like(roots)
        if self.feature_weights is not None:
            weight *= self.feature_weights
        counts = tf.cast(divisor != 0, tf.float64)
        return divided(total_of_rows(weight * roots), total_of_rows(weight * counts))

    def counted(self, y_true: Any, y_pred: Any) -> tf.Tensor:
        return self._tensors(y_true, y_pred, None, get_keras_mask(y_pred)).valid()

    def call(self, y_true: Any, y_pred: Any) -> tf.Tensor:
        """The loss without sample weights, a scalar."""
        return tf.cast(self.of_totals(self.totals(y_true, y_pred)), self.dtype)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "pooled": self.pooled}

    def _with_own_weights(self, tensors: Tensors) -> Tensors:
        if self.pooled:
            return super()._with_own_weights(tensors)
        y_true, y_pred = tensors.y_true, tensors.y_pred
        if y_true.shape.rank == 1:  # of one feature
            y_true, y_pred = y_true[:, None], y_pred[:, None]
        if self.feature_weights is not None:
            shape = y_true.shape.merge_with(y_pred.shape)
            along_axis("feature_weights", self.feature_weights, shape)  # refuses another length
            y_true = with_length(y_true, self.feature_weights)
        tensors = tensors._replace(y_true=y_true, y_pred=y_pred)
        return with_own_weight(tensors, None, self.step_weights)
