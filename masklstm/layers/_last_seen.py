"""Which step of a row was observed last, and how long ago that was."""

from typing import Any, NamedTuple

from keras import ops

from masklstm._core.packing import pack


class LastSeen(NamedTuple):
    """For each step and feature of a row."""

    step: Any
    """The number of the last observed step, int32; any number where there is none."""
    is_there: Any
    """Whether there is one."""


def last_seen(is_observed: Any, before: bool = False) -> LastSeen:
    """The last observation up to each step.

    Args:
        is_observed: Booleans of shape `(batch, time, ...)`.
        before: Whether the step's own observation does not count.
    """
    packing = pack(is_observed)
    count = packing.count - ops.cast(is_observed, "int32") if before else packing.count
    step = ops.take_along_axis(packing.order, ops.maximum(count - 1, 0), axis=1)
    return LastSeen(step, count > 0)


def step_numbers(inputs: Any) -> Any:
    """The numbers of the steps, with an axis of 1 for each axis but the time; int32."""
    steps = ops.arange(ops.shape(inputs)[1], dtype="int32")
    return ops.reshape(steps, (1, -1) + (1,) * (len(inputs.shape) - 2))


def standardize_times(times: Any, inputs: Any) -> Any:
    """Given times with the inputs' number of axes; refuses those that do not fit.

    Args:
        times: Shape `(batch, time)`, or with axes of 1 behind it.
        inputs: Shape `(batch, time, ...)`.
    """
    rank = len(inputs.shape)
    times = ops.convert_to_tensor(times)
    given = tuple(times.shape)
    fits = 2 <= len(given) <= rank and all(length == 1 for length in given[2:])
    if not fits or any(
        own is not None and length is not None and own not in (length, 1)
        for own, length in zip(given[:2], inputs.shape[:2], strict=True)
    ):
        raise ValueError(
            f"Incompatible shape for argument 'times'. Expected (batch, time), "
            f"{tuple(inputs.shape[:2])}. Received: times with shape {given}"
        )
    for _ in range(rank - len(given)):
        times = ops.expand_dims(times, axis=-1)
    return times


def time_since(times: Any, last: LastSeen, like: Any) -> Any:
    """The time since the last observation, in the times' type; since the first step where there is
    none.

    Args:
        times: Of `standardize_times`.
        last: Which observation that was.
        like: A tensor of the inputs' shape.
    """
    times = ops.broadcast_to(times, ops.shape(like))
    seen = ops.take_along_axis(times, last.step, axis=1)
    return times - ops.where(last.is_there, seen, times[:, :1])
