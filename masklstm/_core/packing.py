"""The kept steps of every row moved to its left, in their order, and spread out again.

Design:
    A. `order` sorts the steps of a row: first those that are kept, then the others, each in time.
       Its keys are all different, so any sort is a stable one.
    B. `count` is, at every step, how many steps have been kept so far, this one included. So the
       last kept step at or before step t stands at place `count[t] - 1` of the packed row, and
       where `count` is 0 there is none.
"""

from typing import Any, NamedTuple

import tensorflow as tf
from keras import ops


class Packing(NamedTuple):
    """How rows of steps are packed; the time is axis 1."""

    order: Any
    """The step that stands at each place of the packed row; int32, of the mask's shape."""
    count: Any
    """The number of kept steps up to each step, inclusive; int32, of the mask's shape."""


def kept_steps(mask: Any, sequences: Any) -> Any:
    """The mask as booleans of the sequences' shape `(batch, time)`; refuses one that does not fit.

    As in Keras it may have a last axis of length 1, and be one row for the whole batch.
    """
    kept = ops.cast(mask, "bool")
    if kept.shape.rank is None:
        kept = tf.ensure_shape(kept, [None, None])
    batch, time = sequences.shape[:2]
    forms = [[rows, time, *last] for rows in (batch, 1) for last in ([], [1])]
    if not any(kept.shape.is_compatible_with(form) for form in forms):
        raise ValueError(
            "Incompatible shape for argument 'mask'. Expected that of the steps, (batch, time), of "
            f"sequences with shape {sequences.shape}. Received: mask with shape {kept.shape}"
        )
    if kept.shape.rank == 3:
        kept = ops.squeeze(kept, axis=-1)
    steps = tf.shape(sequences)[:2]
    if None in (*kept.shape, batch, time):
        given = tf.shape(kept)
        fits = (given[1] == steps[1]) & ((given[0] == steps[0]) | (given[0] == 1))
        expected = (
            "Incompatible shape for argument 'mask'. Expected (batch, time) of the sequences:"
        )
        check = tf.debugging.Assert(fits, [expected, steps, "Received: mask with shape", given])
        with tf.control_dependencies([] if check is None else [check]):
            kept = tf.identity(kept)
    return tf.broadcast_to(kept, steps)


def pack(kept: Any) -> Packing:
    """The packing that keeps some steps: booleans of shape `(batch, time, ...)`."""
    time = ops.shape(kept)[1]
    steps = ops.arange(time, dtype="int32")
    steps = ops.reshape(steps, (1, -1) + (1,) * (len(kept.shape) - 2))
    order = ops.argsort(ops.where(kept, steps, steps + time), axis=1)
    return Packing(order, ops.cumsum(ops.cast(kept, "int32"), axis=1))


def take_steps(x: Any, steps: Any) -> Any:
    """`x[b, steps[b, t]]` for all rows b and places t; `x` has the shape `(batch, time, features)`.

    One gather of whole rows; its gradient adds whole rows up.
    """
    batch, time = ops.shape(x)[0], ops.shape(x)[1]
    first = ops.expand_dims(ops.arange(batch, dtype="int32") * time, axis=1)
    rows = ops.reshape(x, (-1, x.shape[-1]))
    return ops.take(rows, first + steps, axis=0)
