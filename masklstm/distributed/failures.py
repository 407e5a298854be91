"""What is said when another worker is gone."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import tensorflow as tf

from masklstm._core.workers import have_company, place_of

# What a sum over workers ends with that is not there to add to it.
_BROKEN = (
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.InternalError,
    tf.errors.UnavailableError,
    tf.errors.UnknownError,
)


@contextmanager
def named(strategy: tf.distribute.Strategy) -> Iterator[None]:
    """Turns TensorFlow's error into one that names the worker."""
    try:
        yield
    except _BROKEN as error:
        if not have_company(strategy) or "ollective" not in error.message:
            raise
        index, count = place_of(strategy)
        tasks = re.findall(r"/job:(chief|worker)/(?:replica:\d+/)?task:(\d+)", error.message)
        places = [_place(strategy, kind, int(number)) for kind, number in tasks]
        others = [place for place in places if place != index]
        who = f"worker {others[0]}" if others else "another worker"
        raise RuntimeError(
            f"{who} of {count} (counted from 0) has stopped: it failed, was killed, or cannot be "
            f"reached, and this one, worker {index}, cannot go on without it. What it printed "
            "itself may say why. Start all workers anew: with "
            "masklstm.distributed.BackupAndRestore they go on from the end of the last complete "
            "epoch"
        ) from error


def _place(strategy: tf.distribute.Strategy, kind: str, number: int) -> int:
    chiefs = len(strategy.cluster_resolver.cluster_spec().as_dict().get("chief", ()))
    return number if kind == "chief" else chiefs + number
