"""The modes that TensorFlow and Keras run a loss in."""

from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import labels_and_predictions, loss_and_gradients
from losses.test_losses import lstm_data, lstm_model
from support import prepared
from support.markers import needs_native

from masklstm import losses, ops, reference

# Prints a digest of every loss with its gradients, and of a training run.
DETERMINISM = """
import hashlib, sys
import keras, numpy as np, tensorflow as tf
if sys.argv[1] == "deterministic":
    tf.config.experimental.enable_op_determinism()
from masklstm import losses, ops
from masklstm.reference import registry
keras.utils.set_random_seed(3)
tf.config.threading.set_intra_op_parallelism_threads(int(sys.argv[2]))
digest = hashlib.sha256()
rng = np.random.default_rng(4)
t, p = (rng.random((40000, 3)).astype("float32") for _ in range(2))
t[rng.random(t.shape) < 0.4] = np.nan
p, w = tf.constant(p), tf.constant(rng.random(40000).astype("float32"))
for loss in [name for name in registry.LOSSES if name not in registry.CHANNELS]:
    for options in ({}, {"reduction": "sum"}, {"balance": "sample"}, {"balance": "feature"}):
        with tf.GradientTape() as outer:
            outer.watch(p)
            with tf.GradientTape() as inner:
                inner.watch([p, w])
                value = ops.masked_loss(t, p, loss, sample_weight=w, **options)
            gradients = inner.gradient(value, [p, w])
            total = tf.reduce_sum(tf.square(gradients[0]))
        for result in (value, *gradients, outer.gradient(total, p)):
            digest.update(result.numpy().tobytes())
x = rng.normal(size=(64, 5, 3)).astype("float32")
y = np.where(rng.random(x.shape) < 0.5, np.nan, x.cumsum(1))
model = keras.Sequential([keras.layers.LSTM(4, return_sequences=True), keras.layers.Dense(3)])
model.compile("adam", losses.Huber())
model.fit(x, y, epochs=2, verbose=0)
for weight in model.get_weights():
    digest.update(weight.tobytes())
print(digest.hexdigest())
"""


def test_deterministic_ops_give_the_same_bits():
    """Under TensorFlow's switch, without it, and for another number of threads."""
    digests = set()
    for mode, threads in (("deterministic", 2), ("deterministic", 1), ("as usual", 2)):
        process = prepared.run(DETERMINISM, mode, str(threads))
        assert process.returncode == 0, process.stderr[-2000:]
        digests.add(process.stdout.split()[-1])
    assert len(digests) == 1


def test_calls_from_several_threads_do_not_disturb_each_other(rng):
    """Large enough that each call wakes others of TensorFlow's threads, often too late."""
    y_true, y_pred = labels_and_predictions(rng, (2**18,), "float32")
    scales = [float(2**power) for power in range(8)]
    tensors = [tf.constant(scale * y_pred) for scale in scales]

    def results(y_pred):
        with tf.GradientTape() as tape:
            tape.watch(y_pred)
            loss = ops.masked_loss(y_true, y_pred)
        return loss.numpy(), tape.gradient(loss, y_pred).numpy().tobytes()

    expected = [results(tensor) for tensor in tensors]
    with ThreadPoolExecutor(len(tensors)) as pool:
        for found in [pool.map(results, tensors) for _ in range(30)]:
            assert list(found) == expected


@needs_native
@pytest.mark.parametrize("options", [{}, {"reduction": "sum"}, {"balance": "timestep"}], ids=str)
def test_eager_and_graph_give_the_same_bits(options, loss_case, rng):
    loss, parameters = loss_case
    y_true, y_pred = labels_and_predictions(rng, (300, 20, 3), "float32", loss, parameters)
    tensors = [tf.constant(x) for x in (y_true, y_pred, rng.random((300, 20)).astype("float32"))]

    def results(*tensors):
        return loss_and_gradients(ops.masked_loss, *tensors, loss=loss, **options, **parameters)

    for a, b in zip(results(*tensors), tf.function(results)(*tensors), strict=True):
        assert a.numpy().tobytes() == b.numpy().tobytes()


@pytest.mark.parametrize("known", ["some", "ranks", "nothing"])
@pytest.mark.parametrize(
    "shape", [(), (1,), (50,), (1, 1), (50, 1), (1, 4), (50, 4), (1, 1, 3), (50, 1, 3), (1, 1, 1)]
)
@pytest.mark.parametrize(
    "options", [{}, {"reduction": "mean_with_sample_weight"}, {"reduction": "sum"}], ids=str
)
def test_weights_whose_axes_are_only_known_in_the_graph(options, shape, known, dtype, rng):
    """Their gradient is added up along the axes that turn out to have length 1."""
    y_true, y_pred = labels_and_predictions(rng, (50, 4, 3), dtype)
    weight = tf.constant(rng.random(shape), dtype)

    def gradient(y_true, y_pred, weight):
        with tf.GradientTape() as tape:
            tape.watch(weight)
            loss = ops.masked_loss(y_true, y_pred, sample_weight=weight, **options)
        return tape.gradient(loss, weight)

    labels = {"some": [None, 4, 3], "ranks": [None] * 3, "nothing": None}[known]
    weights = None if known == "nothing" else [None] * len(shape)
    specs = [tf.TensorSpec(labels, dtype)] * 2 + [tf.TensorSpec(weights, dtype)]
    expected = gradient(y_true, tf.constant(y_pred), weight)
    found = tf.function(gradient, input_signature=specs)(y_true, y_pred, weight)
    assert found.numpy().tobytes() == expected.numpy().tobytes()
    by_reference = loss_and_gradients(reference.masked_loss, y_true, y_pred, weight, **options)[2]
    np.testing.assert_allclose(found, by_reference, rtol=1e-4, atol=1e-6)


@needs_native
@pytest.mark.parametrize("options", [{}, {"reduction": "sum"}, {"balance": "feature"}], ids=str)
def test_no_other_tensor_of_the_full_shape(options):
    """Forward and backward touch labels, predictions and gradient; weights keep their shape."""
    shape = [32, 10, 4]

    @tf.function
    def step(y_true, y_pred, sample_weight, mask):
        with tf.GradientTape() as tape:
            tape.watch(y_pred)
            loss = ops.masked_loss(
                y_true, y_pred, sample_weight=sample_weight, mask=mask, **options
            )
        return tape.gradient(loss, y_pred)

    for weight in ([32], [32, 10], [1, 1, 4]):
        graph = step.get_concrete_function(
            tf.TensorSpec(shape),
            tf.TensorSpec(shape),
            tf.TensorSpec(weight),
            tf.TensorSpec([32], tf.bool),
        ).graph
        full = [op.type for op in graph.get_operations() for x in op.outputs if x.shape == shape]
        full = [type for type in full if type != "Identity"]  # of the function's own result
        assert sorted(full) == ["Masklstm>MaskedLossGrad", "Placeholder", "Placeholder"]


@needs_native
@pytest.mark.parametrize("balance", [None, "sample", "timestep", "feature"])
def test_weights_of_a_loss_keep_their_shape(balance):
    """Those of its features and steps, beside weights of samples."""
    shape = [32, 10, 4]
    weights = {"feature_weights": [1.0] * 4, "step_weights": [1.0] * 10}
    loss = losses.MeanSquaredError(balance=balance, **weights)

    @tf.function
    def step(y_true, y_pred, sample_weight):
        with tf.GradientTape() as tape:
            tape.watch(y_pred)
            value = loss(y_true, y_pred, sample_weight)
        return tape.gradient(value, y_pred)

    full_spec = tf.TensorSpec(shape)
    graph = step.get_concrete_function(full_spec, full_spec, tf.TensorSpec([32])).graph
    full = [op.type for op in graph.get_operations() for x in op.outputs if x.shape == shape]
    full = [type for type in full if type != "Identity"]
    assert sorted(full) == ["Masklstm>MaskedLossGrad", "Placeholder", "Placeholder"]


class CountingLoss(losses.MeanSquaredError):
    traces = 0

    def __call__(self, *arguments):
        self.traces += 1
        return super().__call__(*arguments)


def test_fit_traces_once_for_batches_of_every_size(rng):
    """96 samples in batches of 36: the last one has 24."""
    x, y = lstm_data(rng)
    loss = CountingLoss()
    model = lstm_model(loss)
    data = tf.data.Dataset.from_tensor_slices((x, y)).batch(36)  # a batch dimension of None
    model.fit(data, epochs=1, verbose=0, shuffle=False)
    after_one_epoch = loss.traces
    history = model.fit(data, epochs=3, verbose=0, shuffle=False).history["loss"]
    assert loss.traces == after_one_epoch
    assert np.all(np.isfinite(history))


@pytest.mark.parametrize("options", [{}, {"balance": "sample"}, {"normalizer": 9.0}])
def test_an_unknown_batch_dimension_traces_once(options, rng):
    loss = CountingLoss(**options)
    function = tf.function(
        lambda t, p: loss(t, p), input_signature=[tf.TensorSpec([None, 4, 2])] * 2
    )
    for size in (1, 7, 0, 300):
        t, p = rng.normal(size=(2, size, 4, 2)).astype("float32")
        expected = losses.MeanSquaredError(**options)(t, p)
        np.testing.assert_array_equal(function(t, p), expected)
    assert loss.traces == 1


def test_gradients_accumulate_over_parts_of_a_batch(rng):
    """As an optimizer that accumulates sees them: two parts with unequal gaps, one normalizer."""
    x, y = lstm_data(rng, samples=16)
    model = lstm_model(losses.MeanSquaredError())
    model(x)
    weights = model.trainable_variables

    def gradients(rows, loss):
        with tf.GradientTape() as tape:
            value = loss(y[rows], model(x[rows]))
        return tape.gradient(value, weights)

    whole = gradients(slice(None), losses.MeanSquaredError())
    loss = losses.MeanSquaredError(normalizer=int(np.sum(~np.isnan(y))))
    parts = [gradients(rows, loss) for rows in (slice(0, 4), slice(4, 16))]
    for a, b, expected in zip(*parts, whole, strict=True):
        np.testing.assert_allclose(a + b, expected, rtol=1e-5, atol=1e-8)


def test_a_loss_in_a_custom_loop_and_in_control_flow(rng):
    y_true, y_pred = rng.normal(size=(2, 6, 3)).astype("float32")
    y_true[2] = np.nan
    loss = losses.LogCosh()

    @tf.function
    def looped(y_true, y_pred):
        total = tf.zeros([])
        for _ in tf.range(3):
            if tf.reduce_any(tf.math.is_nan(y_true)):
                total += loss(y_true, y_pred)
        return total

    np.testing.assert_allclose(looped(y_true, y_pred), 3 * loss(y_true, y_pred), rtol=1e-6)


def test_keras_functional_and_subclassed_models_agree(rng):
    x, y = lstm_data(rng, samples=8)

    class Subclassed(keras.Model):
        def __init__(self):
            super().__init__()
            self.lstm = keras.layers.LSTM(8, return_sequences=True)
            self.dense = keras.layers.Dense(2)

        def call(self, inputs):
            return self.dense(self.lstm(inputs))

    losses_of = []
    for build in (lambda: lstm_model("mse"), Subclassed):
        keras.utils.set_random_seed(11)
        model = build()
        model.compile("adam", losses.MeanSquaredError())
        losses_of.append(model.fit(x, y, epochs=2, verbose=0, shuffle=False).history["loss"])
    np.testing.assert_allclose(*losses_of, rtol=1e-5)
