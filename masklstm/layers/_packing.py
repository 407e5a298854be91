"""The kept steps of every row moved to its left, in their order, and spread out again.

Design:
    A. `order` sorts the steps of a row: first those that are kept, then the others, each in time.
       Its keys are all different, so that any sort is a stable one.
    B. `count` is, at every step, how many steps have been kept so far, this one included. So the
       last kept step at or before step t stands at place `count[t] - 1` of the packed row, and
       where `count` is 0 there is none.
"""

from typing import Any, NamedTuple

from keras import ops


class Packing(NamedTuple):
    """How rows of steps are packed; the time is axis 1."""

    order: Any
    """The step that stands at each place of the packed row; int32, of the mask's shape."""
    count: Any
    """The number of kept steps up to each step, inclusive; int32, of the mask's shape."""


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
