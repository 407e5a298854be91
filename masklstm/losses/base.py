"""What the Keras losses have in common: options, config, totals, and the way over replicas."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import keras
import tensorflow as tf

from masklstm._core.arguments import Tensors, predictions_to_tensor, standardize_tensors
from masklstm._core.backend import ElementLoss, backend
from masklstm._core.keras_compat import get_keras_mask
from masklstm._core.logits import from_logits_if_known
from masklstm._core.missing import NAN, missing_option
from masklstm._core.own_weights import standardize_weights, with_own_weight
from masklstm._core.refusals import out_of_domain
from masklstm._core.shown import ShowsArguments
from masklstm._core.totals import (
    MadeOfTotals,
    MaskedSums,
    Reduction,
    context_of_replica,
    over_replicas,
)
from masklstm._core.types import PREDICTION_DTYPES, cast

_reduction_of = lru_cache(maxsize=256)(Reduction.of)


class GapAwareLoss(MadeOfTotals, ShowsArguments, keras.losses.Loss):  # type: ignore[misc]
    """Base of all losses: totals that add up, and a function of them.

    A subclass says what its totals are (`totals`, with `totals_spec` if they are not three
    scalars), and overrides `of_totals` if the loss is no mean or sum. That is enough for gradients
    that are exact over replicas, and for `masklstm.metrics.Loss`.

    Keras's own `__call__` would reduce once more what is reduced already, by the wrong count.
    """

    def __init__(
        self,
        reduction: str | None,
        name: str,
        dtype: Any,
        missing: Any = NAN,
        balance: str | None = None,
        normalizer: float | None = None,
        feature_weights: Any = None,
        step_weights: Any = None,
    ) -> None:
        super().__init__(name=name, reduction=None, dtype=dtype)
        self.reduction = reduction  # which Keras before 3.7 would refuse, if it is a newer one
        self._has_own_dtype = dtype is not None
        self.missing = missing_option(missing)
        self.balance = balance
        if tf.is_tensor(normalizer):
            raise out_of_domain("normalizer", "(0, inf)", normalizer)
        how = Reduction.of(reduction, balance, normalizer)
        is_number = type(normalizer) in (int, float)  # others have no hash, or are not saved
        self.normalizer = normalizer if is_number else how.normalizer
        self.feature_weights = standardize_weights("feature_weights", feature_weights)
        self.step_weights = standardize_weights("step_weights", step_weights)

    @property
    def how(self) -> Reduction:
        """How it is reduced."""
        return _reduction_of(self.reduction, self.balance, self.normalizer)

    def get_config(self) -> dict[str, Any]:
        config = dict(super().get_config())
        if self._has_own_dtype:  # which Keras's own config lacks
            config["dtype"] = self.dtype
        if self.missing == self.missing:  # a NaN would not be equal to itself after loading
            config["missing"] = self.missing
        for name in ("balance", "normalizer", "feature_weights", "step_weights"):
            if getattr(self, name) is not None:
                config[name] = getattr(self, name)
        return config

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> tf.Tensor:
        """The loss, reduced: a scalar in this loss's dtype."""
        with keras.name_scope(self.name):
            return self._reduced(self.totals(y_true, y_pred, sample_weight))

    @property
    def totals_spec(self) -> Sequence[tf.TensorSpec]:
        return MaskedSums.spec((None,) if self.balance in ("timestep", "feature") else ())

    def of_totals(self, totals: Any) -> tf.Tensor:
        return self.how.of_totals(totals)

    def counted(self, y_true: Any, y_pred: Any) -> tf.Tensor:
        """Which labels (or rows of them) the loss counts: those that are there and not masked out.

        Args:
            y_true, y_pred: As for `__call__`.

        Returns:
            Booleans, one for each entry that the loss would count if its label were there.
        """
        raise NotImplementedError

    def _tensors(
        self, y_true: Any, y_pred: Any, sample_weight: Any, mask: Any, num_channels: int = 0
    ) -> Tensors:
        """Labels and predictions in the types that they have, and all weights. Only a float64 loss,
        and integers as predictions, ask for another type.
        """
        y_pred = predictions_to_tensor(y_pred)
        if self.dtype == "float64":
            y_pred = cast(y_pred, tf.float64)
        elif y_pred.dtype not in PREDICTION_DTYPES:
            y_pred = tf.cast(y_pred, tf.float32)
        tensors = standardize_tensors(
            y_true, y_pred, sample_weight, mask, self.missing, num_channels
        )
        return self._with_own_weights(tensors)

    def _with_own_weights(self, tensors: Tensors) -> Tensors:
        return with_own_weight(tensors, self.feature_weights, self.step_weights)

    def _reduced(self, totals: Sequence[tf.Tensor]) -> tf.Tensor:
        return tf.cast(over_replicas(totals, self.of_totals), self.dtype)


class ElementwiseLoss(GapAwareLoss):
    """Base of the losses that are computed element by element.

    A subclass names its element loss in `loss` and passes that one's parameters to `__init__`.
    Overriding `call` has no effect on `__call__`, which reduces in the same pass.
    """

    loss: str

    def __init__(
        self,
        reduction: str | None,
        name: str,
        dtype: Any,
        missing: Any,
        balance: str | None,
        normalizer: float | None,
        feature_weights: Any = None,
        step_weights: Any = None,
        **parameters: Any,
    ) -> None:
        super().__init__(
            reduction, name, dtype, missing, balance, normalizer, feature_weights, step_weights
        )
        self.parameters = parameters
        backend.check_loss(ElementLoss(self.loss, parameters))

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> tf.Tensor:
        """The loss, reduced.

        Args:
            y_true: Labels, shape `(batch, ..., features)`; NaN means missing.
            y_pred: Predictions of the same shape.
            sample_weight: Weights, aligned with the labels from the left.

        Returns:
            The loss in this loss's dtype; its shape is as `reduction` says.
        """
        with keras.name_scope(self.name):
            tensors, loss = self._standardized(y_true, y_pred, sample_weight)
            how = self.how
            if how.kind == "none" or context_of_replica() is None:
                return tf.cast(backend.masked_loss(tensors, loss, how), self.dtype)
            return self._reduced(self._totals(tensors, loss))

    def totals(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> MaskedSums:
        return self._totals(*self._standardized(y_true, y_pred, sample_weight))

    def _totals(self, tensors: Tensors, loss: ElementLoss) -> MaskedSums:
        how = self.how
        sums = backend.masked_sums(tensors, loss, how.balance)
        if how.kind == "sum" and how.balance is None:
            rows = backend.masked_loss(tensors, loss, how)
            sums = sums._replace(loss_sum=tf.cast(rows, tf.float64))
        return how.additive(sums)

    def counted(self, y_true: Any, y_pred: Any) -> tf.Tensor:
        tensors, _ = self._standardized(y_true, y_pred)
        return tensors.valid()

    def call(self, y_true: Any, y_pred: Any) -> tf.Tensor:
        """The loss of each row, without sample weights: shape `y_true.shape[:-1]`."""
        tensors, loss = self._standardized(y_true, y_pred)
        rows = Reduction("none", None, None)
        return backend.masked_loss(tensors._replace(mask=None), loss, rows)

    def _standardized(
        self, y_true: Any, y_pred: Any, sample_weight: Any = None
    ) -> tuple[Tensors, ElementLoss]:
        mask = get_keras_mask(y_pred)
        name, y_pred = from_logits_if_known(self.loss, y_pred)
        loss = ElementLoss(name, self.parameters)
        channels = backend.num_channels(loss)
        return self._tensors(y_true, y_pred, sample_weight, mask, channels), loss

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **self.parameters}
