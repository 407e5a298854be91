"""`shard`, and the data of one worker as `tf.distribute` takes them."""

import itertools
import math
import sys
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from masklstm._core.workers import numbers_of_workers, place_of, replicas_of_worker
from masklstm.data.dataset import Windows


def shard(strategy: tf.distribute.Strategy | None = None) -> tuple[int, int]:
    """The index of this worker, and how many there are: as `masklstm.data.windows` takes it.

    Args:
        strategy: A `tf.distribute` strategy; by default the one in whose scope this is called.

    Returns:
        `(index, count)`; `(0, 1)` for everything but a `MultiWorkerMirroredStrategy` with several
        workers. A task `chief` is the first one.

    Example:

    >>> import masklstm, tensorflow as tf
    >>> masklstm.distributed.shard(tf.distribute.MultiWorkerMirroredStrategy())
    (0, 1)

    Source: the cluster of TF_CONFIG, https://www.tensorflow.org/guide/distributed_training.
    """
    return place_of(tf.distribute.get_strategy() if strategy is None else strategy)


class Share:
    """One worker's share of a data set.

    Design:
        A. `tf.distribute` would take a data set for the whole one, of which each worker skips the
           others' batches: of a share it would train on a share only. So the batches are handed
           over as they are.
        B. Workers must take the same number of steps, while their shares differ. Those that end
           earlier go on with batches of no sample: these have the gradient 0, and count nothing.
           As all agree about the number beforehand, no step has to ask whether there is another.
        C. Of several replicas of one worker, each gets a part of a batch.
    """

    def __init__(self, data: keras.utils.PyDataset, strategy: tf.distribute.Strategy) -> None:
        index, count = place_of(strategy)
        if isinstance(data, Windows) and data.shard != (index, count):
            raise ValueError(
                f"Expected the windows of worker {index} of {count}: masklstm.data.windows(..., "
                f"shard=masklstm.distributed.shard(strategy)). Received: shard={data.shard}"
            )
        batches = data.num_batches
        if not batches:
            raise ValueError(
                "Expected a data set whose number of batches is known, and not 0: workers take "
                f"equally many steps. Received: {type(data).__name__} with num_batches={batches}"
            )
        self._data = data
        self._batches = int(batches)
        self._parts = replicas_of_worker(strategy)
        self._strategy = strategy
        self.steps = int(np.max(numbers_of_workers(strategy, self._batches)))
        self._empty = keras.tree.map_structure(lambda leaf: np.asarray(leaf)[:0], data[0])

    def dataset(
        self, epochs: Callable[[], tuple[int, int]] | None = None, shuffle: bool = False
    ) -> tf.distribute.DistributedDataset:
        """Epoch after epoch without an end; one has `steps` batches.

        Args:
            epochs: Says, when the first batch is asked for, how many epochs have been trained
                already and how many will have been in the end. The order of those to come is what
                it would have been behind the former.
            shuffle: Whether each epoch has an order of its batches of its own, the same on all
                workers.
        """
        spec = keras.tree.map_structure(_spec, self._empty)
        passes = self._epochs(epochs or (lambda: (0, sys.maxsize)), shuffle)
        data = tf.data.Dataset.from_generator(
            lambda: itertools.chain.from_iterable(passes), output_signature=spec
        )
        # Of a data set that may end, each step would ask all workers whether there is another.
        data = data.apply(tf.data.experimental.assert_cardinality(tf.data.INFINITE_CARDINALITY))
        made: Any = self._strategy.distribute_datasets_from_function(
            lambda _: data.prefetch(tf.data.AUTOTUNE)
        )
        return made

    def _epochs(
        self, epochs: Callable[[], tuple[int, int]], shuffle: bool
    ) -> Iterator[Iterator[Any]]:
        trained, end = epochs()
        for _ in range(trained):
            self._data.on_epoch_end()
        for epoch in range(trained, end):
            order = np.arange(self.steps)
            if shuffle:
                np.random.default_rng(epoch).shuffle(order)
            yield self._epoch(order)
            self._data.on_epoch_end()
        # What is fetched in advance behind the last one must not draw another order.
        while True:
            yield itertools.repeat(self._empty)

    def _epoch(self, order: NDArray[np.int64]) -> Iterator[Any]:
        for number in order.tolist():
            batch = self._data[number] if number < self._batches else self._empty
            for part in range(self._parts):
                yield keras.tree.map_structure(_part_of(part, self._parts), batch)


def _part_of(part: int, parts: int) -> Callable[[Any], Any]:
    def taken(leaf: Any) -> Any:
        size = math.ceil(len(leaf) / parts)
        return np.asarray(leaf)[part * size : (part + 1) * size]

    return taken


def _spec(leaf: Any) -> tf.TensorSpec:
    return tf.TensorSpec((None, *leaf.shape[1:]), leaf.dtype)
