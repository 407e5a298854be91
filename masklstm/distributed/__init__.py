"""Training on several machines, as on one: what Keras lacks under `tf.distribute`.

* `Model`, `ReplicaTraining`: a Keras model whose `fit` and `evaluate` run on several workers, and
  the mixin that makes any model class one
* `shard`: which share of the data a worker has
* `BackupAndRestore`: goes on after an interruption, from the end of the last epoch

Start with docs/distributed.md and examples/several_machines.
"""

from masklstm.distributed.backup import BackupAndRestore
from masklstm.distributed.sharding import shard
from masklstm.distributed.training import Model, ReplicaTraining

__all__ = ["BackupAndRestore", "Model", "ReplicaTraining", "shard"]
