"""Totals that add up, and losses as functions of them.

A loss or metric is a tuple of totals, which add up over batches, replicas and epochs, and a
function of these totals: a mean is the sum of the losses over their number. `MaskedSums` are the
totals of nearly everything, and `Reduction` is the function; others can be made of any tuple.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

import tensorflow as tf

from masklstm._core import summation
from masklstm._core.reductions import (
    check_balance,
    group_axis,
    standardize_normalizer,
    standardize_reduction,
)

Totals = TypeVar("Totals", bound=Sequence[tf.Tensor])


class MaskedSums(NamedTuple):
    """Sums over the valid elements, of which every reduction can be made.

    Scalars; with a balance, vectors of one entry for each sample, step or feature.
    """

    loss_sum: tf.Tensor
    """Sum of w l; float64."""
    weight_sum: tf.Tensor
    """Sum of w; float64."""
    valid_count: tf.Tensor
    """Number of valid elements; int64."""

    @classmethod
    def spec(cls, shape: tuple[int | None, ...] = ()) -> "MaskedSums":
        """Shapes and dtypes."""
        return cls(
            tf.TensorSpec(shape, tf.float64),
            tf.TensorSpec(shape, tf.float64),
            tf.TensorSpec(shape, tf.int64),
        )


def divided(value: tf.Tensor, divisor: tf.Tensor) -> tf.Tensor:
    """0 where there is nothing to divide by; but what is not finite stays so: weights that add up
    to 0 do not hide that the predictions have diverged.
    """
    hidden = tf.stop_gradient(tf.where(divisor == 0, value - value, tf.zeros_like(value)))
    return tf.math.divide_no_nan(value, divisor) + hidden


def sums_of(
    weighted: tf.Tensor, weight: tf.Tensor, valid: tf.Tensor, balance: str | None, what: str
) -> MaskedSums:
    """The sums of plain tensors of one shape: w l and w, float64 and 0 where not valid.

    With a balance they are those of each group; `what` is what errors call the tensors.
    """
    if balance is None:
        count = tf.math.count_nonzero(valid)
        return MaskedSums(summation.total(weighted), summation.total(weight), count)
    axis = group_axis(balance, weighted, what) % weighted.shape.rank
    axes = [other for other in range(weighted.shape.rank) if other != axis]
    return MaskedSums(
        summation.total_along(weighted, axes) if axes else weighted,
        summation.total_along(weight, axes) if axes else weight,
        tf.math.count_nonzero(valid, axes),
    )


class Reduction(NamedTuple):
    """From `MaskedSums` to the loss: what `reduction`, `balance` and `normalizer` ask for."""

    kind: str
    """`"mean"`, `"mean_with_sample_weight"`, `"sum"` or `"none"`."""
    balance: str | None
    normalizer: float | tf.Tensor | None
    """A number or a float64 scalar, to divide by instead of a mean's own divisor."""

    @classmethod
    def of(cls, reduction: str | None, balance: str | None, normalizer: Any) -> "Reduction":
        """Checks the three options, and gives each reduction one name."""
        kind = standardize_reduction(reduction)
        check_balance(balance, kind)
        return cls(kind, balance, standardize_normalizer(normalizer, kind))

    @property
    def is_plain(self) -> bool:
        """Whether it is one that an op makes in its one pass."""
        return self.balance is None and self.normalizer is None

    def additive(self, sums: MaskedSums) -> MaskedSums:
        """What adds up over the parts of a batch, of the sums of one part."""
        if self.balance == "sample":  # each part has samples of its own: their means add up
            return self._of_groups(sums)
        return sums

    def of_totals(self, totals: MaskedSums) -> tf.Tensor:
        """The loss, a float64 scalar.

        Of vectors it is that of the groups' means: groups that have something to divide by count
        equally.
        """
        kind = self.kind
        if totals.loss_sum.shape.rank == 1:
            totals = self._of_groups(totals)
        if self.balance is not None and kind != "sum":
            kind = "mean"  # of the groups
        if kind == "sum":
            return totals.loss_sum
        if self.normalizer is not None:
            return divided(totals.loss_sum, tf.convert_to_tensor(self.normalizer, tf.float64))
        return divided(totals.loss_sum, divisor_of(kind, *totals[1:]))

    def _of_groups(self, sums: MaskedSums) -> MaskedSums:
        """Groups as elements: the sum of their means, and their number."""
        divisor = divisor_of(self.kind, *sums[1:])
        total = summation.total(divided(sums.loss_sum, divisor))
        count = tf.math.count_nonzero(divisor)
        return MaskedSums(total, tf.cast(count, tf.float64), count)


def divisor_of(kind: str, weight_sum: tf.Tensor, valid_count: tf.Tensor) -> tf.Tensor:
    """What a mean divides by; float64."""
    if kind == "mean_with_sample_weight":
        return weight_sum
    return tf.cast(valid_count, tf.float64)


class MadeOfTotals:
    """Base of what is a function of totals: losses and metrics."""

    def totals(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Sequence[tf.Tensor]:
        """What it is made of: sums that add up over the parts of a batch or of an epoch.

        Args:
            y_true, y_pred, sample_weight: As a loss or metric takes them.

        Returns:
            A tuple of tensors, float64, or int64 for counts.

        Raises:
            ValueError: For what is not made of such sums.
        """
        raise NotImplementedError

    @property
    def totals_spec(self) -> Sequence[tf.TensorSpec]:
        """Shapes and dtypes of the totals, in a tuple of their kind."""
        return MaskedSums.spec()

    def of_totals(self, totals: Any) -> tf.Tensor:
        """The result for the whole, float64, from the sum of its parts' totals."""
        raise NotImplementedError


def context_of_replica() -> tf.distribute.ReplicaContext | None:
    """None where there is only one replica."""
    context = tf.distribute.get_replica_context()
    return context if context and context.num_replicas_in_sync > 1 else None


def over_replicas(own: Totals, of_totals: Callable[[Totals], tf.Tensor]) -> tf.Tensor:
    """A function of the totals of the whole global batch; on a replica, its part of it.

    Strategies add up the gradients of the replicas. So each must have the gradient by its own
    totals, with the slopes of the function at the global ones; averaging the replicas' own results
    would not do, since a replica with few labels would count as much as one with many. The value is
    the same on each replica, the global one over the number of replicas: so whatever adds or
    averages the values, by whatever weights, gets what one device would have reported.

    `own` is a tuple of totals of shapes that all replicas have. A function sees them as float64,
    counts included.
    """
    context = context_of_replica()
    if context is None:
        return of_totals(own)

    own = remade(own, [tf.cast(total, tf.float64) for total in own])
    # Without gradients: a collective in the backward pass can meet the optimizer's own.
    stopped = [tf.stop_gradient(total) for total in own]
    totals = remade(own, context.all_reduce(tf.distribute.ReduceOp.SUM, stopped))

    @tf.custom_gradient  # type: ignore[untyped-decorator]
    def part(*_: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], list[tf.Tensor]]]:
        def gradient(upstream: tf.Tensor) -> list[tf.Tensor]:
            with tf.GradientTape() as tape:
                tape.watch(list(totals))
                value = of_totals(totals)
            slopes: list[tf.Tensor] = tape.gradient(
                value, list(totals), upstream, unconnected_gradients="zero"
            )
            return slopes

        return of_totals(totals) / context.num_replicas_in_sync, gradient

    return part(*own)


def remade(like: Sequence[Any], parts: Sequence[tf.Tensor]) -> Any:
    """A tuple of the same kind, of other parts."""
    make: Any = getattr(like, "_make", type(like))
    return make(parts)
