"""What the Keras losses have in common: options, config, and the reduction over replicas."""

from typing import Any

import keras
import tensorflow as tf

from masklstm import _arguments, ops
from masklstm._arguments import MaskedSums
from masklstm._keras_compat import get_keras_mask
from masklstm._logits import from_logits_if_known
from masklstm._reduction import (
    reduce_sums,
    reduce_sums_of_replica,
    reduction_of_group_means,
    sums_of_group_means,
)
from masklstm._shown import ShowsArguments

NAN = float("nan")


class GapAwareLoss(ShowsArguments, keras.losses.Loss):  # type: ignore[misc]
    """Base of all losses. Subclasses override `__call__`.

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
    ) -> None:
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        self._has_own_dtype = dtype is not None
        self.missing = _arguments.missing_option(missing)
        self.balance = balance
        self.normalizer = normalizer
        reduction = _arguments.standardize_reduction(reduction)
        _arguments.check_balance(self.balance, reduction)
        if tf.is_tensor(self.normalizer):
            raise _arguments.out_of_domain("normalizer", "(0, inf)", self.normalizer)
        _arguments.standardize_normalizer(self.normalizer, reduction)

    def get_config(self) -> dict[str, Any]:
        config = dict(super().get_config())
        if self._has_own_dtype:  # which Keras's own config lacks
            config["dtype"] = self.dtype
        if self.missing == self.missing:  # a NaN would not be equal to itself after loading
            config["missing"] = self.missing
        if self.balance is not None:
            config["balance"] = self.balance
        if self.normalizer is not None:
            config["normalizer"] = self.normalizer
        return config

    def additive_sums(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> MaskedSums:
        """Sums that add up over the parts of a batch or of an epoch.

        Args:
            y_true, y_pred, sample_weight: As for `__call__`.

        Returns:
            The sums, of whose totals `loss_of_totals` makes the loss; vectors if `balance` is
            `"timestep"` or `"feature"`.

        Raises:
            ValueError: For a loss that is not made of such sums.
        """
        return self._additive(self._sums(y_true, y_pred, sample_weight))

    def counted(self, y_true: Any, y_pred: Any) -> tf.Tensor:
        """Which labels (or rows of them) the loss counts: those that are there and not masked out.

        Args:
            y_true, y_pred: As for `__call__`.

        Returns:
            Booleans, one for each entry that the loss would count if its label were there.
        """
        raise NotImplementedError

    @property
    def sums_shape(self) -> tuple[int, ...] | None:
        """The shape of each of the additive sums; None for a vector of a length yet unknown."""
        return None if self.balance in ("timestep", "feature") else ()

    def loss_of_totals(self, totals: MaskedSums) -> tf.Tensor:
        """The loss of the whole, a float64 scalar, from the totals of its parts' sums."""
        return reduce_sums(totals, *self._reduction_of_totals())

    def _sums(self, y_true: Any, y_pred: Any, sample_weight: Any) -> MaskedSums:
        """Those that have this loss's balance."""
        raise NotImplementedError

    def _additive(self, sums: MaskedSums) -> MaskedSums:
        if self.balance == "sample":
            # Each part has samples of its own: their means are what is added up.
            return sums_of_group_means(sums, _arguments.standardize_reduction(self.reduction))
        return sums

    def _reduction_of_totals(self) -> tuple[str, tf.Tensor | None]:
        """With the normalizer."""
        reduction = _arguments.standardize_reduction(self.reduction)
        normalizer = _arguments.standardize_normalizer(self.normalizer, reduction)
        if self.balance == "sample":
            reduction = reduction_of_group_means(reduction)
        return reduction, normalizer

    def _reduce(self, sums: MaskedSums) -> tf.Tensor:
        """The loss of sums that have this loss's balance, a float64 scalar."""
        context = _context_of_replica()
        totals = self._additive(sums)
        if context is None:
            return self.loss_of_totals(totals)
        return reduce_sums_of_replica(context, totals, *self._reduction_of_totals())


def _context_of_replica() -> tf.distribute.ReplicaContext | None:
    """None where there is only one replica."""
    context = tf.distribute.get_replica_context()
    return context if context and context.num_replicas_in_sync > 1 else None


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
        **parameters: Any,
    ) -> None:
        super().__init__(reduction, name, dtype, missing, balance, normalizer)
        self.parameters = parameters
        ops.check_loss(self.loss, parameters)

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
            arguments = self._weighted_arguments(y_true, y_pred, sample_weight)
            reduction = _arguments.standardize_reduction(self.reduction)
            if _context_of_replica() is None or reduction == "none":
                loss = ops.masked_loss(
                    **arguments,
                    reduction=reduction,
                    balance=self.balance,
                    normalizer=self.normalizer,
                )
            else:
                loss = self._reduce(self._sums_of(arguments))
            return tf.cast(loss, self.dtype)

    def counted(self, y_true: Any, y_pred: Any) -> tf.Tensor:
        mask = get_keras_mask(y_pred)
        y_pred = self._arguments(y_true, y_pred)["y_pred"]
        tensors = _arguments.standardize_tensors(y_true, y_pred, None, mask, self.missing)
        valid = _arguments.is_observed(tensors.y_true, tensors.missing)
        if tensors.mask is not None:
            valid &= _arguments.broadcast_left(tensors.mask, valid)
        return valid

    def _sums(self, y_true: Any, y_pred: Any, sample_weight: Any) -> MaskedSums:
        return self._sums_of(self._weighted_arguments(y_true, y_pred, sample_weight))

    def _sums_of(self, arguments: dict[str, Any]) -> MaskedSums:
        sums = ops.masked_sums(**arguments, balance=self.balance)
        if self.reduction == "sum" and self.balance is None:
            rows = ops.masked_loss(**arguments, reduction="sum")
            sums = sums._replace(loss_sum=tf.cast(rows, tf.float64))
        return sums

    def call(self, y_true: Any, y_pred: Any) -> tf.Tensor:
        """The loss of each row, unweighted: shape `y_true.shape[:-1]`."""
        return ops.masked_loss(**self._arguments(y_true, y_pred), reduction="none")

    def _weighted_arguments(self, y_true: Any, y_pred: Any, sample_weight: Any) -> dict[str, Any]:
        mask = get_keras_mask(y_pred)
        arguments = self._arguments(y_true, y_pred)
        return {**arguments, "sample_weight": sample_weight, "mask": mask}

    def _arguments(self, y_true: Any, y_pred: Any) -> dict[str, Any]:
        # Labels and predictions are read in the types that they have. Only a float64 loss, and
        # integers as predictions, ask for another one.
        loss, y_pred = from_logits_if_known(self.loss, y_pred)
        y_pred = keras.ops.convert_to_tensor(y_pred)
        if self.dtype == "float64":
            y_pred = _arguments.cast(y_pred, tf.float64)
        elif y_pred.dtype not in _arguments.PREDICTION_DTYPES:
            y_pred = tf.cast(y_pred, tf.float32)
        return {
            "y_true": y_true,
            "y_pred": y_pred,
            "loss": loss,
            "missing": self.missing,
            **self.parameters,
        }

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **self.parameters}
