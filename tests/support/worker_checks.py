"""What holds on each of two workers; prints the name of each check that has passed.

python -m support.worker_checks FOLDER
"""

import os
import sys
import warnings
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
import tensorflow as tf

from masklstm import data, distributed, layers, losses, metrics
from masklstm.distributed.sharding import Share
from support import metric_models, replica_training
from support.cases import labels_and_predictions
from support.every_loss import every_loss

# Of this process: the last lines of the file.
STRATEGY = tf.distribute.get_strategy()
INDEX, COUNT = 0, 1
FOLDER = Path()
BATCH = 6


def table(rows=47):
    rng = np.random.default_rng(1)
    made = {"day": np.arange(rows), "rain": rng.normal(size=rows)}
    made["flow"] = np.cumsum(made["rain"])
    made["flow"][rng.random(rows) < 0.3] = np.nan
    return made


def windows(shard=None, **options):
    shard = shard or (INDEX, COUNT)
    options = {"batch_size": BATCH // shard[1], "skip_unlabelled": False, **options}
    return data.windows(table(), "rain", "flow", length=4, time="day", shard=shard, **options)


def model(strategy=None, made=list, clipnorm=None, **options):
    keras.utils.set_random_seed(2)
    with (strategy or STRATEGY).scope():
        options["optimizer"] = keras.optimizers.SGD(0.05, clipnorm=clipnorm)
        inputs = keras.Input((4, 1))
        net = distributed.Model(inputs, keras.layers.Dense(1)(layers.GRU(3)(inputs)))
        net.compile(loss=losses.MeanSquaredError(), metrics=made(), **options)
    return net


def weights(net):
    return np.concatenate([each.ravel() for each in net.get_weights()])


def error_of(call):
    try:
        call()
    except ValueError as error:
        return str(error)
    raise AssertionError("no error")


def check_another_share_is_refused():
    for wrong in ((0, 1), (1 - INDEX, 2), (INDEX, 3)):
        expected = f"the windows of worker {INDEX} of 2"
        assert expected in error_of(lambda wrong=wrong: model().fit(windows(wrong), verbose=0))
        assert expected in error_of(lambda wrong=wrong: model().evaluate(windows(wrong), verbose=0))


def check_options_that_a_share_does_not_take_are_refused():
    net, share = model(), windows()
    assert "steps_per_epoch=3" in error_of(lambda: net.fit(share, steps_per_epoch=3, verbose=0))
    assert "class_weight=" in error_of(lambda: net.fit(share, class_weight={0: 2.0}, verbose=0))
    assert "steps=1" in error_of(lambda: net.evaluate(share, steps=1, verbose=0))


def check_a_metric_made_before_is_refused():
    before = metrics.ValidShare()
    message = error_of(lambda: model(made=lambda: [before]).fit(windows(), verbose=0))
    assert "'valid_share' to be made within the strategy's scope" in message


def check_xla_is_refused():
    assert "jit_compile=False" in error_of(lambda: model(jit_compile=True).fit(windows()))


def check_clipping_warns():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model(clipnorm=1.0).fit(windows(), verbose=0)
    (text,) = [str(each.message) for each in caught if "clips" in str(each.message)]
    assert "clipnorm=1.0" in text


def check_a_model_made_outside_warns():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model(tf.distribute.get_strategy()).fit(windows((0, 1)), verbose=0)
    assert [each for each in caught if "outside of the scope" in str(each.message)]


def check_a_folder_that_is_not_shared_is_refused():
    own = FOLDER / f"own-{INDEX}"
    own.mkdir()
    if INDEX == 0:
        (own / "epoch-000002.npz").touch()
    backup = distributed.BackupAndRestore(own)
    message = error_of(lambda: model().fit(windows(), verbose=0, callbacks=[backup]))
    assert "with the epochs 3, 1" in message


def check_predictions_are_of_the_own_share():
    net = model()
    predicted = net.predict(windows())
    whole = np.concatenate([net(x) for x, _ in windows((0, 1))])
    np.testing.assert_allclose(predicted, whole[INDEX::COUNT], rtol=1e-6)
    assert len(windows().frame(predicted)) == len(predicted)
    # Of arrays all, on each worker.
    x = np.concatenate([x for x, _ in windows((0, 1))])
    assert len(x) % BATCH
    np.testing.assert_allclose(net.predict(x, batch_size=BATCH, verbose=0), whole, rtol=1e-6)


def check_several_steps_at_once_and_eager_ones():
    whole = len(windows((0, 1)))
    assert whole % 2 == 0
    reports = []
    validation = windows(stride=2)  # steps that 4 does not divide
    for options in ({}, {"steps_per_execution": 4}, {"run_eagerly": True}):
        net = model(**options)
        history = net.fit(windows(), epochs=2, verbose=0, validation_data=validation).history
        assert int(net.optimizer.iterations.numpy()) == 2 * whole
        reports.append(np.concatenate([weights(net), *history.values()]))
    for other in reports[1:]:
        np.testing.assert_allclose(other, reports[0], rtol=1e-6)
    net = model(steps_per_execution=3)
    assert f"the {whole} steps" in error_of(lambda: net.fit(windows(), verbose=0))
    x, y = windows((0, 1))[0]
    assert "steps_per_execution=1" in error_of(lambda: net.fit(x, y, verbose=0))


def check_every_seed_draws_the_same_order_again():
    ends = []
    for _ in range(2):
        net = model()
        net.fit(windows(shuffle=True, seed=5), epochs=3, verbose=0)
        ends.append(weights(net))
    # A second fit goes on with the next epochs, not with what was fetched in advance.
    net = model()
    share = windows(shuffle=True, seed=5)
    for _ in range(3):
        net.fit(share, epochs=1, verbose=0, shuffle=False)
    other = model()
    other.fit(windows(shuffle=True, seed=5), epochs=3, verbose=0, shuffle=False)
    np.testing.assert_array_equal(ends[0], ends[1])
    np.testing.assert_array_equal(weights(net), weights(other))


def alone_and_shared(loss, arrays, own):
    """Value and gradient of the whole batch, and of this worker's part of it as it is reported."""

    def step(y_true, y_pred, weight):
        with tf.GradientTape() as tape:
            tape.watch(y_pred)
            value = loss(y_true, y_pred, weight)
        return value, tape.gradient(value, y_pred)

    @tf.function
    def both():
        part, gradient = STRATEGY.run(step, tuple(each[own] for each in arrays))
        return step(*arrays), (STRATEGY.reduce("SUM", part, axis=None), gradient)

    return both()


def check_data_that_tensorflow_shares_out():
    """All workers have all of it; the last batch cannot be shared evenly."""
    for reduction in ("sum_over_batch_size", "mean_with_sample_weight"):
        one, several = (
            replica_training.train(strategy, losses.MeanSquaredError(reduction=reduction))
            for strategy in (tf.distribute.get_strategy(), STRATEGY)
        )
        for part, other in zip(one, several, strict=True):
            np.testing.assert_allclose(other, part, rtol=2e-6, atol=2e-6)
            assert np.max(np.abs(part)) > 0.01


def check_every_loss_and_its_gradient():
    """Of shares of unequal size, the second of which has no label."""
    shape = (7, 5, 3)
    own = slice(0, 5) if INDEX == 0 else slice(5, None)
    for name, make in every_loss().items():
        loss = make()
        element_loss = getattr(loss, "loss", "squared_error")
        rng = np.random.default_rng(3)
        y_true, y_pred = labels_and_predictions(rng, shape, "float32", element_loss)
        y_true[5:] = np.nan
        weight = rng.random(shape[:2]).astype("float32")
        arrays = tuple(map(tf.constant, (y_true, y_pred, weight)))
        (value, gradient), (total, own_gradient) = alone_and_shared(loss, arrays, own)
        np.testing.assert_allclose(total, value, rtol=1e-6, err_msg=name)
        np.testing.assert_allclose(own_gradient, gradient[own], rtol=1e-5, atol=1e-7, err_msg=name)
        assert value != 0, name
        assert np.any(gradient), name


def check_every_metric():
    x, y, weight = metric_models.data(np.random.default_rng(5))
    y[16:20] = np.nan
    logs = []
    for strategy in (tf.distribute.get_strategy(), STRATEGY):
        with strategy.scope():
            plain = metric_models.compiled()
            net = distributed.Model(plain.inputs, plain.outputs)
            made = metric_models.all_metrics()
            net.compile("sgd", losses.MeanSquaredError(), metrics=made)
        logs.append(net.evaluate(x, y, sample_weight=weight, verbose=0, return_dict=True))
    one, several = logs
    assert one.keys() == several.keys()
    for name, value in one.items():
        np.testing.assert_allclose(several[name], value, rtol=1e-6, err_msg=name)


def check_one_sum_over_workers_for_each_loss():
    """24 bytes, in one; beside that of the gradients no other, whatever the metrics."""
    net = model(made=lambda: [metrics.MeanAbsoluteError(), metrics.R2Score()])
    net.fit(windows(), verbose=0)
    batches = iter(Share(windows(), STRATEGY).dataset())
    graph = net.train_function.get_concrete_function(batches).graph.as_graph_def()
    nodes = [*graph.node, *(node for f in graph.library.function for node in f.node_def)]
    sums = [node for node in nodes if node.op.startswith("Collective")]
    types = sorted(node.attr["T"].type for node in sums)
    assert types == sorted([tf.float64.as_datatype_enum, tf.float32.as_datatype_enum]), sums
    (of_loss,) = [node for node in sums if node.attr["T"].type == tf.float64.as_datatype_enum]
    (parts,) = [node for node in nodes if node.name == of_loss.input[0]]
    assert parts.op == "ConcatV2"
    assert parts.attr["N"].i == 3  # scalars: sum, weights, count


if __name__ == "__main__":
    STRATEGY = tf.distribute.MultiWorkerMirroredStrategy()
    INDEX, COUNT = distributed.shard(STRATEGY)
    FOLDER = Path(sys.argv[1])
    for name, check in list(globals().items()):
        if name.startswith("check_"):
            check()
            print("passed", name.removeprefix("check_"), flush=True)
