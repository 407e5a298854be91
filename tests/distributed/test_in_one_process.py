"""What can be said of masklstm.distributed without a second process."""

from contextlib import contextmanager
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf

import masklstm
from masklstm import data, distributed, losses
from masklstm._core import keras_compat, workers
from masklstm.distributed import failures, training
from masklstm.distributed.sharding import Share
from masklstm.distributed.training import ReplicaTraining


def resolver(kind, index, **cluster):
    spec = tf.train.ClusterSpec({name: ["x:1"] * number for name, number in cluster.items()})
    return tf.distribute.cluster_resolver.SimpleClusterResolver(spec, task_type=kind, task_id=index)


@pytest.mark.parametrize(
    ("own", "cluster", "place"),
    [
        (("worker", 0), {"worker": 1}, (0, 1)),
        (("worker", 2), {"worker": 3}, (2, 3)),
        (("chief", 0), {"chief": 1, "worker": 2}, (0, 3)),
        (("worker", 1), {"chief": 1, "worker": 2}, (2, 3)),
        (("evaluator", 0), {"worker": 2, "evaluator": 1}, (0, 1)),
    ],
)
def test_place(own, cluster, place):
    assert workers.place_in(resolver(*own, **cluster)) == place


def test_replicas_are_shared_out_evenly(monkeypatch):
    monkeypatch.setattr(workers, "place_of", lambda strategy: (1, 3))
    assert workers.replicas_of_worker(SimpleNamespace(num_replicas_in_sync=6)) == 2


def test_one_process_is_the_whole_cluster():
    assert distributed.shard() == (0, 1)
    assert distributed.shard(tf.distribute.MirroredStrategy(["CPU:0"])) == (0, 1)


class TestKerasThatIsMended:
    """What this Keras needs is off where it is not needed."""

    @pytest.fixture(autouse=True)
    def look_again(self):
        for probe in (keras_compat.averages_along_an_axis, keras_compat.averages_first_batch):
            probe.cache_clear()
        yield
        for probe in (keras_compat.averages_along_an_axis, keras_compat.averages_first_batch):
            probe.cache_clear()

    def test_this_one_is_not(self):
        """Once it is: say so in the docstring of ReplicaTraining and in docs/distributed.md."""
        assert keras_compat.averages_along_an_axis()
        assert keras_compat.averages_first_batch()

    def test_logs(self, monkeypatch):
        trainer = keras.src.backend.tensorflow.trainer
        monkeypatch.setattr(
            trainer,
            "reduce_per_replica",
            lambda values, strategy, reduction: strategy.reduce("MEAN", values, axis=None),
        )
        assert not keras_compat.averages_along_an_axis()

    def test_first_batch(self, monkeypatch):
        monkeypatch.setattr(
            keras.Model,
            "_maybe_symbolic_build",
            lambda self, iterator=None, data_batch=None: self._symbolic_build(iterator=iterator),
        )
        assert not keras_compat.averages_first_batch()

    @pytest.mark.parametrize("name", ["averages_along_an_axis", "averages_first_batch"])
    def test_a_keras_built_otherwise_is_left_alone(self, monkeypatch, name):
        monkeypatch.delattr(keras.src.backend.tensorflow.trainer, "reduce_per_replica")
        owner = keras.src.backend.tensorflow.trainer.TensorFlowTrainer
        monkeypatch.delattr(owner, "_maybe_symbolic_build")
        assert not getattr(keras_compat, name)()

    def test_one_replica_has_keras_s_own_steps(self):
        x, y = np.ones((4, 3), "float32"), np.array([[1.0], [np.nan], [2.0], [np.nan]])
        ends = []
        for cls in (keras.Model, distributed.Model):
            keras.utils.set_random_seed(0)
            inputs = keras.Input((3,))
            model = cls(inputs, keras.layers.Dense(1)(inputs))
            model.compile("adam", loss=losses.MeanSquaredError())
            model.fit(x, y, epochs=2, verbose=0)
            ends.append([*model.get_weights(), model.evaluate(x, y, verbose=0)])
        for a, b in zip(*ends, strict=True):
            np.testing.assert_array_equal(a, b)


def test_files_of_a_model():
    inputs = keras.Input((3,))
    model = distributed.Model(inputs, keras.layers.Dense(1)(inputs))
    again = type(model).from_config(model.get_config())
    assert isinstance(again, distributed.Model)


class FewerBatches(keras.utils.PyDataset):
    """Three batches of 5, 5 and 2 samples; counts its epochs."""

    epochs = 0

    def __len__(self):
        return 3

    def __getitem__(self, index):
        x = np.arange(12.0)[index * 5 : (index + 1) * 5, None]
        return {"x": x}, x[:, 0] + 100 * self.epochs

    def on_epoch_end(self):
        self.epochs += 1


@pytest.fixture
def share():
    def made(steps=5, parts=1, batches=None):
        strategy = tf.distribute.get_strategy()
        new = Share(batches or FewerBatches(), strategy)
        new.steps, new._parts = steps, parts  # as other workers or devices would have it
        return new

    return made


def numbers(batches, count):
    iterator = iter(batches)
    return [next(iterator)[1].numpy().tolist() for _ in range(count)]


def test_a_share_that_ends_earlier_goes_on_with_empty_batches(share):
    made = share()
    found = numbers(made.dataset(), 10)
    first = [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9], [10, 11], [], []]
    assert found == first + [[100 + number for number in batch] for batch in first]
    assert made._empty[0]["x"].shape == (0, 1)


def test_epochs_that_were_trained_before(share):
    batches = FewerBatches()
    found = numbers(share(3, batches=batches).dataset(lambda: (2, 4)), 9)
    assert [batch[0] if batch else None for batch in found[::3]] == [200, 300, None]
    assert batches.epochs == 4  # whatever was fetched in advance


def test_batches_are_shuffled_alike_by_all_workers(share):
    whole = share(3).dataset(shuffle=True)
    orders = [[batch[0] % 100 for batch in numbers(whole, 9)[n : n + 3]] for n in (0, 3, 6)]
    assert all(sorted(order) == [0, 5, 10] for order in orders)
    assert len(set(map(tuple, orders))) > 1


def test_several_devices_share_a_batch(share):
    found = numbers(share(3, parts=2).dataset(), 6)
    assert found == [[0, 1, 2], [3, 4], [5, 6, 7], [8, 9], [10], [11]]


def test_a_data_set_without_a_number_of_batches_is_refused():
    class Endless(FewerBatches):
        num_batches = None

    with pytest.raises(ValueError, match="num_batches=None"):
        Share(Endless(), tf.distribute.get_strategy())


def test_windows_know_their_share():
    table = {"x": np.arange(20.0), "y": np.arange(20.0)}
    made = [data.windows(table, "x", "y", 3, shard=(index, 3)) for index in range(3)]
    assert [each.shard for each in made] == [(0, 3), (1, 3), (2, 3)]
    times = np.concatenate([each.times for each in made])
    assert sorted(times) == list(data.windows(table, "x", "y", 3).times)
    sizes = [len(each.times) for each in made]
    assert max(sizes) - min(sizes) == 1


class TestWorkerThatIsGone:
    @contextmanager
    def raised(self, text, error=tf.errors.UnavailableError, place=(0, 3)):
        strategy = object.__new__(tf.distribute.MultiWorkerMirroredStrategy)
        known = resolver("worker", place[0], worker=place[1])
        strategy._extended = SimpleNamespace(_cluster_resolver=known)
        with failures.named(strategy):
            raise error(None, None, text)

    @pytest.mark.parametrize(
        ("text", "who"),
        [
            ("Collective ops is aborted by: from /job:worker/task:2: unhealthy", "worker 2 of 3"),
            (
                "Collective ops: from /job:worker/replica:0/task:1 while calling",
                "worker 1 of 3",
            ),
            ("collective: /job:worker/replica:0/task:0 lost /job:worker/task:1", "worker 1 of 3"),
            ("Collective ops is aborted", "another worker of 3"),
        ],
    )
    def test_is_named(self, text, who):
        with (
            pytest.raises(RuntimeError, match=f"{who} .* has stopped") as caught,
            self.raised(text),
        ):
            pass
        assert isinstance(caught.value.__cause__, tf.errors.UnavailableError)

    def test_other_errors_stay_what_they_are(self):
        with pytest.raises(tf.errors.UnavailableError), self.raised("no disk"):
            pass
        with (
            pytest.raises(tf.errors.InvalidArgumentError),
            self.raised("Collective", tf.errors.InvalidArgumentError),
        ):
            pass
        with pytest.raises(tf.errors.UnavailableError), self.raised("Collective", place=(0, 1)):
            pass


class TestBackup:
    def model(self):
        keras.utils.set_random_seed(0)
        model = keras.Sequential(
            [keras.Input((3,)), keras.layers.Dropout(0.5), keras.layers.Dense(1)]
        )
        model.compile("adam", loss=losses.MeanSquaredError())
        return model

    def fit(self, model, folder, epochs=4, **callbacks):
        rng = np.random.default_rng(0)
        x, y = rng.normal(size=(8, 3)), rng.normal(size=(8, 1))
        backup = distributed.BackupAndRestore(folder, **callbacks)
        return model.fit(
            x, y, epochs=epochs, verbose=0, batch_size=4, shuffle=False, callbacks=[backup]
        )

    def test_goes_on_as_if_nothing_had_been(self, tmp_path):
        """Weights, the optimizer and the numbers that Dropout draws."""
        whole = self.model()
        self.fit(whole, tmp_path / "whole")
        assert not list((tmp_path / "whole").iterdir())
        self.fit(self.model(), tmp_path / "part", epochs=2, delete_checkpoint=False)
        assert [file.name for file in (tmp_path / "part").iterdir()] == ["epoch-000002.npz"]
        again = self.model()
        history = self.fit(again, tmp_path / "part", delete_checkpoint=False)
        assert history.epoch == [2, 3]
        for a, b in zip(whole.get_weights(), again.get_weights(), strict=True):
            np.testing.assert_array_equal(a, b)
        assert [file.name for file in (tmp_path / "part").iterdir()] == ["epoch-000004.npz"]

    def test_a_file_that_another_process_deletes(self, tmp_path, monkeypatch):
        backup = distributed.BackupAndRestore(tmp_path)
        gone = {7: tmp_path / "epoch-000007.npz"}
        monkeypatch.setattr(backup, "_files", lambda: gone)
        monkeypatch.setattr(backup, "_is_first", lambda: True)
        backup.on_train_end()

    def test_what_is_half_written_is_not_taken(self, tmp_path):
        (tmp_path / ".0123.npz").write_bytes(b"half")
        (tmp_path / "epoch-notes.npz").write_bytes(b"")
        assert self.fit(self.model(), tmp_path).epoch == [0, 1, 2, 3]
        assert [file.name for file in tmp_path.iterdir()] == ["epoch-notes.npz"]

    def test_another_model_is_refused(self, tmp_path):
        self.fit(self.model(), tmp_path, epochs=1, delete_checkpoint=False)
        other = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2), keras.layers.Dense(1)])
        other.compile("adam", loss=losses.MeanSquaredError())
        with pytest.raises(ValueError, match="'backup_dir' to be of this model"):
            self.fit(other, tmp_path)

    def test_half_precision(self, tmp_path):
        def model():
            keras.utils.set_random_seed(0)
            made = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1, dtype="bfloat16")])
            made.compile("sgd", loss=losses.MeanSquaredError())
            return made

        whole, part, again = model(), model(), model()
        self.fit(whole, tmp_path)
        self.fit(part, tmp_path, epochs=2, delete_checkpoint=False)
        self.fit(again, tmp_path)
        for a, b in zip(whole.get_weights(), again.get_weights(), strict=True):
            np.testing.assert_array_equal(a, b)


class TestStepsThatSeveralWorkersTake:
    """What is checked of them; tests/distributed/test_workers.py has the workers."""

    def distributed(self, per_execution, **of_training):
        model = SimpleNamespace(
            steps_per_execution=per_execution, distribute_strategy=tf.distribute.get_strategy()
        )
        batches = FewerBatches()
        return ReplicaTraining._distributed(model, batches, {}, "steps", **of_training)[1]

    def test_an_execution_of_several_steps(self):
        assert self.distributed(3, shuffle=False) == 3
        with pytest.raises(ValueError, match=r"divide the 3 steps .* steps_per_execution=2"):
            self.distributed(2, shuffle=False)
        assert self.distributed(2) == 4  # without a sample in the last

    @pytest.mark.parametrize("company", [False, True])
    @pytest.mark.parametrize("serves", [False, True])
    def test_the_keras_that_workers_need(self, company, serves, monkeypatch):
        monkeypatch.setattr(training, "have_company", lambda strategy: company)
        monkeypatch.setattr(keras_compat, "serves_workers", lambda: serves)
        model = SimpleNamespace(
            distribute_strategy=SimpleNamespace(num_replicas_in_sync=2),
            jit_compile=False,
            steps_per_execution=1,
            optimizer=keras.optimizers.SGD(),
        )
        if company and not serves:
            with pytest.raises(RuntimeError, match=r"Expected Keras 3\.10 or newer"):
                ReplicaTraining._check_step(model, None)
        else:
            ReplicaTraining._check_step(model, None)

    def test_a_metric_that_was_made_before(self, monkeypatch):
        monkeypatch.setattr(training, "have_company", lambda strategy: True)
        strategy = tf.distribute.MirroredStrategy(["CPU:0"])
        monkeypatch.setattr(keras_compat, "compiled_metrics", lambda model: [])
        before = keras.metrics.MeanAbsoluteError(name="before")
        with strategy.scope():
            within = keras.metrics.MeanAbsoluteError()

        def check(*metrics):
            model = SimpleNamespace(distribute_strategy=strategy, metrics=metrics)
            ReplicaTraining._check_metrics(model)

        check(within)
        with pytest.raises(ValueError, match=r"'before' to be made within the strategy's scope"):
            check(within, before)
        monkeypatch.setattr(training, "have_company", lambda strategy: False)
        check(within, before)  # whose figure is that of all replicas


def test_the_public_names():
    assert masklstm.distributed.__all__ == ["BackupAndRestore", "Model", "ReplicaTraining", "shard"]
