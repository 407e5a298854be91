"""`ReplicaTraining`: `fit`, `evaluate` and `predict` of a Keras model on several workers."""

import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import tensorflow as tf

from masklstm._core import keras_compat
from masklstm._core.workers import have_company, place_in
from masklstm.distributed import failures
from masklstm.distributed.sharding import Share

_Base: Any = keras.Model if TYPE_CHECKING else object


class ReplicaTraining(_Base):  # type: ignore[misc]  # a mixin
    """Mixin of a Keras model class whose `fit` and `evaluate` run on several replicas and workers.

    Formula: every worker calls `fit` with its share of the data. A step takes a batch of each
    share, and changes the weights as one process would that takes all of them as one batch.

    What Keras (to 3.15, at least) lacks, and this adds:

    - `fit` and `evaluate` average the first batch over the replicas before they build a model,
      which fails for shares of unequal size and for several workers;
    - after each step they average the workers' logs along an axis that a scalar does not have.
      Here the logs of a step are those of the worker's first replica, as they were in Keras 2,
      and nothing is sent; those of an epoch are exact, over all workers;
    - of a `keras.utils.PyDataset`, such as `masklstm.data.windows(..., shard=...)`, each worker
      would train on a share of its share. Here it is the worker's whole share, `batch_size` that
      of one worker, and shares may be of unequal size: a worker that has nothing left takes part
      with empty batches. `predict` predicts the worker's share, without the others.

    - the error that ends a training whose other worker is gone says which one that is.

    The first two look at the installed Keras and are off where it does not need them; with one
    replica this mixin changes nothing. Arrays and `tf.data` data sets are shared out by Keras and
    TensorFlow: `batch_size` is then that of all workers, and each must be given the same data.

    Compile within the strategy's scope. All workers must call the same methods, with the same
    callbacks; `verbose=0` on all but one keeps the output readable.

    Raises:
        ValueError: For windows that are not this worker's share, and for `jit_compile=True` on
            several workers, whose sums XLA cannot reach.
        RuntimeError: For a worker that has stopped; it names it. For several workers with Keras
            before 3.10.

    A warning, once, if the optimizer clips gradients: Keras clips those of each replica before it
    adds them up, so that the training is not that of one device.

    Example:

    >>> import keras, masklstm, tensorflow as tf
    >>> class Forecaster(masklstm.distributed.ReplicaTraining, keras.Sequential):
    ...     pass
    >>> strategy = tf.distribute.MultiWorkerMirroredStrategy()  # of the workers in TF_CONFIG
    >>> with strategy.scope():
    ...     model = Forecaster([keras.Input((24, 3)), keras.layers.LSTM(8), keras.layers.Dense(1)])
    ...     model.compile("adam", loss=masklstm.losses.MeanSquaredError())

    Source: `keras.Model.fit`; docs/distributed.md says what is exact and what is not.
    """

    def fit(
        self, x: Any = None, y: Any = None, *arguments: Any, **options: Any
    ) -> keras.callbacks.History:
        """`keras.Model.fit`. Of a `PyDataset`, which is this worker's share, options by name."""
        self._check_scope()
        self._check_step(x)
        with failures.named(self.distribute_strategy):
            if self._is_share(x):
                last = options.get("epochs", 1)
                first = options.get("initial_epoch", 0)

                def epochs() -> tuple[int, int]:
                    return keras_compat.first_epoch(self) or first, last

                shuffle = options.get("shuffle", True)
                x, steps = self._distributed(
                    x, options, "steps_per_epoch", epochs=epochs, shuffle=shuffle
                )
                # Keras cannot shuffle it, and would warn.
                options |= {"steps_per_epoch": steps, "shuffle": False}
            validation = options.get("validation_data")
            if self._is_share(validation):
                validation, steps = self._distributed(validation, options, "validation_steps")
                options |= {"validation_data": validation, "validation_steps": steps}
            return super().fit(x, y, *arguments, **options)

    def evaluate(self, x: Any = None, y: Any = None, *arguments: Any, **options: Any) -> Any:
        """`keras.Model.evaluate`. Of a `PyDataset`, this worker's share, options by name."""
        if not isinstance(x, tf.distribute.DistributedDataset):  # of fit
            self._check_step(x)
        with failures.named(self.distribute_strategy):
            if self._is_share(x):
                x, options["steps"] = self._distributed(x, options, "steps")
            return super().evaluate(x, y, *arguments, **options)

    def predict(self, x: Any, **kwargs: Any) -> Any:
        """`keras.Model.predict`; of a `PyDataset` what this worker has of it, in its order."""
        if not self._is_share(x):
            return super().predict(x, **kwargs)
        predicted = tf.function(lambda inputs: self(inputs, training=False), reduce_retracing=True)
        inputs = (keras.utils.unpack_x_y_sample_weight(x[i])[0] for i in range(len(x)))
        tensors = (keras.tree.map_structure(tf.convert_to_tensor, each) for each in inputs)
        batches = [predicted(each) for each in tensors]
        return keras.tree.map_structure(lambda *parts: np.concatenate(parts), *batches)

    def make_train_function(self, force: bool = False) -> Any:
        """Keras's, or one whose logs are those of the worker's first replica."""
        if not self._needs_own_steps():
            return super().make_train_function(force)
        if force or not self.train_function:
            self.train_function: Any = self._steps(self.train_step)
        return self.train_function

    def make_test_function(self, force: bool = False) -> Any:
        """Keras's, or one whose logs are those of the worker's first replica."""
        if not self._needs_own_steps():
            return super().make_test_function(force)
        if force or not self.test_function:
            self.test_function: Any = self._steps(self.test_step)
        return self.test_function

    def _steps(self, step: Callable[[Any], Any]) -> Callable[[Any], Any]:
        strategy = self.distribute_strategy

        def one(iterator: Any) -> Any:
            logs = strategy.run(step, args=(next(iterator),))
            return tf.nest.map_structure(
                lambda value: strategy.experimental_local_results(value)[0], logs
            )

        def several(iterator: Any) -> Any:
            for _ in tf.range(self.steps_per_execution - 1):
                one(iterator)
            return one(iterator)

        steps = one if self.steps_per_execution == 1 else several
        return steps if self.run_eagerly else tf.function(steps, reduce_retracing=True)

    # Keras's own, in which it averages the first batch: where it does not, this is Keras's again.
    def _maybe_symbolic_build(self, iterator: Any = None, data_batch: Any = None) -> None:
        several = self.distribute_strategy.num_replicas_in_sync > 1
        if iterator is None or not several or not keras_compat.averages_first_batch():
            super()._maybe_symbolic_build(iterator=iterator, data_batch=data_batch)
        else:
            with self.distribute_strategy.scope():
                self._symbolic_build(data_batch=keras_compat.specs_of_replica(iterator))
        self._check_metrics()

    def _is_share(self, data: Any) -> bool:
        is_batches = isinstance(data, keras.utils.PyDataset)
        return is_batches and have_company(self.distribute_strategy)

    def _distributed(
        self, data: keras.utils.PyDataset, options: dict[str, Any], name: str, **of_training: Any
    ) -> tuple[tf.distribute.DistributedDataset, int]:
        """Batches without an end, and how many of them make an epoch."""
        for other in (name, "class_weight"):
            if options.get(other) is not None:
                raise ValueError(
                    f"Expected no argument {other!r} with a PyDataset: it has all of its batches "
                    "in each epoch, and its own sample weights. "
                    f"Received: {other}={options[other]!r}"
                )
        share = Share(data, self.distribute_strategy)
        rest = share.steps % self.steps_per_execution
        if rest and of_training:
            raise ValueError(
                f"Expected steps_per_execution to divide the {share.steps} steps of an epoch: "
                "Keras goes on beyond its end. Received: "
                f"steps_per_execution={self.steps_per_execution}"
            )
        if rest:  # batches without a sample count nothing
            share.steps += self.steps_per_execution - rest
        return share.dataset(**of_training), share.steps

    def _needs_own_steps(self) -> bool:
        return have_company(self.distribute_strategy) and keras_compat.averages_along_an_axis()

    def _check_metrics(self) -> None:
        extended = self.distribute_strategy.extended
        compiled = [each.metric for each in keras_compat.compiled_metrics(self)]
        metrics = [*compiled, *self.metrics] if have_company(self.distribute_strategy) else []
        for metric in metrics:
            values = [each.value for each in metric.variables]
            if not all(map(extended.variable_created_in_scope, values)):
                raise ValueError(
                    f"Expected the metric '{metric.name}' to be made within the strategy's scope, "
                    "as the model and its compile() are. Received: one that was made before, of "
                    "which each worker would report a figure of its own"
                )

    def _check_scope(self) -> None:
        workers = place_in(tf.distribute.cluster_resolver.TFConfigClusterResolver())[1]
        if workers > 1 and not have_company(self.distribute_strategy):
            warnings.warn(
                f"TF_CONFIG lists {workers} workers, but this model was made outside of the scope "
                "of a strategy: each worker trains one by itself. Expected `with "
                "strategy.scope():` around the model and its compile()",
                stacklevel=3,
            )

    def _check_step(self, data: Any) -> None:
        if self.distribute_strategy.num_replicas_in_sync == 1:
            return
        if have_company(self.distribute_strategy) and not keras_compat.serves_workers():
            raise RuntimeError(
                "Expected Keras 3.10 or newer for several workers: with older ones `fit` reports "
                f"other losses, and takes no share. Received: Keras {keras.__version__}"
            )
        if self.jit_compile and have_company(self.distribute_strategy):
            raise ValueError(
                "Expected a model compiled with jit_compile=False: XLA cannot compile a step whose "
                "sums are of several workers. Received: jit_compile=True"
            )
        if self.steps_per_execution > 1 and self._needs_own_steps() and not self._is_share(data):
            raise ValueError(
                "Expected steps_per_execution=1 for arrays and tf.data data sets, which do not say "
                "where an epoch ends; a keras.utils.PyDataset of each worker's share does. "
                f"Received: steps_per_execution={self.steps_per_execution}"
            )
        clips = [
            f"{name}={getattr(self.optimizer, name)}"
            for name in ("clipnorm", "clipvalue", "global_clipnorm")
            if getattr(self.optimizer, name, None) is not None
        ]
        if clips:
            warnings.warn(
                f"The optimizer clips the gradient of each replica ({', '.join(clips)}) before "
                "they are added up: the training is not that of one device with the whole batch. "
                "Expected no clipping, or weights and figures that differ",
                stacklevel=3,
            )


@keras.saving.register_keras_serializable("masklstm")
class Model(ReplicaTraining, keras.Model):  # type: ignore[misc]  # Keras has no types
    """`keras.Model` with `ReplicaTraining`: made of inputs and outputs, or subclassed.

    It is also the way of a model that is there: `Model(model.inputs, model.outputs)` shares its
    layers and weights, and after the training `model.save(...)` writes the one that needs none of
    this.

    Args:
        inputs, outputs: Those of `keras.Model`.

    Raises:
        ValueError: As `ReplicaTraining`.

    Example:

    >>> import keras, masklstm, tensorflow as tf
    >>> strategy = tf.distribute.MultiWorkerMirroredStrategy()
    >>> with strategy.scope():
    ...     plain = keras.Sequential([keras.Input((24, 3)), keras.layers.LSTM(8)])
    ...     model = masklstm.distributed.Model(plain.inputs, plain.outputs)

    Source: `keras.Model`.
    """
