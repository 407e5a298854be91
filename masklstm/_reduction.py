"""From sums over the valid elements to the loss; on one device, and on one of several replicas."""

import tensorflow as tf

from masklstm import _sums
from masklstm._arguments import MaskedSums, divided


def reduce_sums(sums: MaskedSums, reduction: str, normalizer: tf.Tensor | None = None) -> tf.Tensor:
    """The loss, a float64 scalar.

    Of scalars it is "mean", "mean_with_sample_weight" or "sum" of the elements; of vectors that of
    the groups' means: those groups that have something to divide by have the same say.
    """
    if sums.loss_sum.shape.rank == 1:
        sums = sums_of_group_means(sums, reduction)
        reduction = reduction_of_group_means(reduction)
    if reduction == "sum":
        return sums.loss_sum
    divisor = _divisor(sums, reduction) if normalizer is None else normalizer
    return divided(sums.loss_sum, divisor)


def _divisor(sums: MaskedSums, reduction: str) -> tf.Tensor:
    if reduction == "mean_with_sample_weight":
        return sums.weight_sum
    return tf.cast(sums.valid_count, tf.float64)


def sums_of_group_means(sums: MaskedSums, reduction: str) -> MaskedSums:
    """Groups as elements: the sums of their means."""
    divisor = _divisor(sums, reduction)
    total = _sums.total(divided(sums.loss_sum, divisor))
    count = tf.math.count_nonzero(divisor)
    return MaskedSums(total, tf.cast(count, tf.float64), count)


def reduction_of_group_means(reduction: str) -> str:
    """What is left to do with the sums of the groups' means."""
    return "sum" if reduction == "sum" else "mean"


def reduce_sums_of_replica(
    context: tf.distribute.ReplicaContext,
    sums: MaskedSums,
    reduction: str,
    normalizer: tf.Tensor | None = None,
) -> tf.Tensor:
    """This replica's part of the loss of the whole global batch.

    Strategies add up the gradients of the replicas. So each must have the gradient of its own sum
    over the divisor of the global batch; averaging the replicas' own means would not do, since a
    replica with few labels would count as much as one with many. The value is the same on each
    replica, the global loss over the number of replicas: so whatever adds or averages the values,
    by whatever weights, gets what one device would have reported.

    `sums` are scalars, or vectors of groups that every replica has.
    """

    def over_all(tensors: list[tf.Tensor]) -> list[tf.Tensor]:
        # Without gradients: a collective in the backward pass can meet the optimizer's own.
        tensors = [tf.stop_gradient(tensor) for tensor in tensors]
        return list(context.all_reduce(tf.distribute.ReduceOp.SUM, tensors))

    loss_sum, weight_sum, count = over_all(
        [sums.loss_sum, sums.weight_sum, tf.cast(sums.valid_count, tf.float64)]
    )
    of_all = MaskedSums(loss_sum, weight_sum, count)
    own_loss_sum = sums.loss_sum
    if reduction == "mean_with_sample_weight":
        # This term is 0; its gradient is that of the divisor.
        own_weight = sums.weight_sum - tf.stop_gradient(sums.weight_sum)
        own_loss_sum -= divided(loss_sum, weight_sum) * own_weight
    own = reduce_sums(MaskedSums(own_loss_sum, weight_sum, count), reduction, normalizer)
    value = reduce_sums(of_all, reduction, normalizer) / context.num_replicas_in_sync
    return value + (own - tf.stop_gradient(own))
