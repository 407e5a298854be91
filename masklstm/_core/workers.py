"""The workers of a training: which of them this process is, and what all of them have."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray


def place_of(strategy: tf.distribute.Strategy) -> tuple[int, int]:
    """The number of this worker, and how many there are; (0, 1) in a single process."""
    if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        return 0, 1
    return place_in(strategy.cluster_resolver)


def place_in(resolver: tf.distribute.cluster_resolver.ClusterResolver) -> tuple[int, int]:
    """The number of this task among those that train, the chief before the workers.

    (0, 1) for a task that works by itself: the only one, or an evaluator.
    """
    cluster = resolver.cluster_spec().as_dict()
    tasks = [
        (kind, index) for kind in ("chief", "worker") for index in range(len(cluster.get(kind, ())))
    ]
    own = (resolver.task_type, resolver.task_id)
    return (tasks.index(own), len(tasks)) if own in tasks else (0, 1)


def have_company(strategy: tf.distribute.Strategy) -> bool:
    """Whether there are other workers."""
    return place_of(strategy)[1] > 1


def replicas_of_worker(strategy: tf.distribute.Strategy) -> int:
    return int(strategy.num_replicas_in_sync) // place_of(strategy)[1]


def gathered(strategy: tf.distribute.Strategy, own: Sequence[Any]) -> NDArray[np.float64]:
    """What each replica of every worker has, stacked; `own` are those of this worker.

    All workers must call it at the same point of their programs. Numbers are sent as float64.
    """
    shape = np.shape(own)
    rest = iter(np.asarray(own, np.float64).reshape(shape[0], -1))
    parts = strategy.experimental_distribute_values_from_function(lambda _: tf.constant(next(rest)))
    return np.reshape(_from_all(strategy, parts), (-1, *shape[1:]))


@tf.function(reduce_retracing=True)  # type: ignore[untyped-decorator]  # TensorFlow has no types
def _from_all(strategy: tf.distribute.Strategy, parts: Any) -> tf.Tensor:
    return strategy.gather(parts, axis=0)


def numbers_of_workers(strategy: tf.distribute.Strategy, own: int) -> NDArray[np.int64]:
    """A number that each worker has, of all of them. All must call it at the same point."""
    devices = replicas_of_worker(strategy)
    return gathered(strategy, [own] * devices)[::devices].astype(np.int64)
