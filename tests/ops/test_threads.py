"""Layers, losses and metrics do not change themselves when they are called, so threads share them.

`sys.setswitchinterval` makes Python's threads take turns all the time.
"""

import sys
import threading

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import labels_and_predictions
from support.every_loss import every_loss
from support.metric_models import OF_CHANNELS

from masklstm import layers, losses, metrics
from masklstm.layers.impute import STRATEGIES

THREADS = 8
CALLS = 4
SHAPE = (4, 6, 3)

pytestmark = pytest.mark.filterwarnings("ignore:losses.Masked")  # of rows that gaps cross


@pytest.fixture
def restless_threads():
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(interval)


def in_threads(call):
    """What the threads' calls return."""
    start, results, errors = threading.Barrier(THREADS), [], []

    def work():
        try:
            start.wait()
            for _ in range(CALLS):
                results.append(call())
        except Exception as error:  # a thread's own would be lost
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert len(results) == THREADS * CALLS
    return results


def attributes(thing):
    """Those of an object and of what it holds of ours or of Keras: names and values."""
    found, to_visit = {}, [("", thing)]
    while to_visit:
        path, owner = to_visit.pop()
        for name, value in vars(owner).items():
            found[f"{path}.{name}"] = value
            if isinstance(value, (keras.Layer, keras.losses.Loss, keras.metrics.Metric)):
                to_visit.append((f"{path}.{name}", value))
    return found


def assert_same_attributes(before, after):
    assert before.keys() == after.keys()
    changed = [name for name, value in before.items() if after[name] is not value]
    # Python makes equal numbers, texts and tuples anew.
    plain = (int, float, str, tuple, type(None))
    assert [
        name
        for name in changed
        if not (isinstance(after[name], plain) and repr(before[name]) == repr(after[name]))
    ] == []


def gaps():
    rng = np.random.default_rng(3)
    x = rng.normal(size=SHAPE).astype("float32")
    x[rng.random(SHAPE) < 0.2] = np.nan
    x[0, 2] = x[1, :2] = np.nan
    return tf.constant(x)


def recurrent_layers():
    for name, kind, options in (
        ("LSTM", "LSTM", {"zero_output_for_mask": True}),
        ("LSTM-backwards", "LSTM", {"go_backwards": True}),
        ("GRU", "GRU", {"zero_output_for_mask": True}),
        ("GRU-unrolled", "GRU", {"unroll": True, "zero_output_for_mask": True}),
    ):
        yield (
            name,
            lambda kind=kind, options=options: getattr(layers, kind)(
                3, return_sequences=True, **options
            ),
        )
    for kind in ("LSTM", "GRU"):  # Keras turns zero_output_for_mask on
        yield (
            f"Bidirectional-{kind}",
            lambda kind=kind: keras.layers.Bidirectional(
                getattr(layers, kind)(3, return_sequences=True)
            ),
        )


def all_layers():
    """For each layer a way to make it."""
    made = {
        "Masking": layers.Masking,
        "Normalization": lambda: layers.Normalization(mean=0.5, variance=4.0),
        "MissingDropout": lambda: layers.MissingDropout(0.2, 0.1),
        "MaskedMean": layers.MaskedMean,
        "GRUD": lambda: layers.GRUD(3, return_sequences=True, mean=0.5),
        **{
            f"Impute-{strategy}": lambda strategy=strategy: layers.Impute(
                strategy,
                elapsed=True,
                **({"mean": [0.5] * 3} if strategy in ("mean", "decay") else {}),
            )
            for strategy in STRATEGIES
        },
        **dict(recurrent_layers()),
        "Distribution": lambda: layers.Distribution("student_t", 2),
        "MaskedLoss": lambda: layers.MaskedLoss(losses.MeanSquaredError()),
    }
    assert {name.split("-")[0] for name in made} - {"Bidirectional"} == set(layers.__all__)
    return made


@pytest.fixture(params=all_layers())
def layer_call(request):
    """A layer that has been built, and a call of it."""
    layer = all_layers()[request.param]()
    x = gaps()
    arguments = {}
    if request.param == "MaskedMean":
        x = [x, x + 1]
    elif request.param.startswith(("LSTM", "GRU", "Bidirectional")):
        arguments = {"mask": tf.reduce_any(~tf.math.is_nan(x), axis=-1)}
        x = tf.where(tf.math.is_nan(x), 0.5, x)
    call = lambda: layer(x, **arguments).numpy()  # noqa: E731
    call()
    return layer, call


def test_a_layer_in_threads(layer_call, restless_threads):
    layer, call = layer_call
    expected, config = call(), layer.get_config()
    for result in in_threads(call):
        np.testing.assert_array_equal(result, expected)
    assert layer.get_config() == config
    np.testing.assert_array_equal(call(), expected)


def test_a_layer_keeps_its_attributes(layer_call):
    layer, call = layer_call
    before = attributes(layer)
    call()
    assert_same_attributes(before, attributes(layer))


@pytest.fixture(params=every_loss())
def loss_call(request):
    rng = np.random.default_rng(4)
    loss = every_loss()[request.param]()
    element_loss = getattr(loss, "loss", "squared_error")
    y_true, y_pred = labels_and_predictions(rng, SHAPE, "float32", element_loss)
    y_true, y_pred = tf.constant(y_true), tf.constant(y_pred)
    weight = tf.constant(rng.random(SHAPE[:1]), tf.float32)

    def call():
        with tf.GradientTape() as tape:
            tape.watch(y_pred)
            value = loss(y_true, y_pred, weight)
        return np.append(tape.gradient(value, y_pred).numpy(), value)

    return loss, call


def test_a_loss_in_threads(loss_call, restless_threads):
    loss, call = loss_call
    expected, config = call(), loss.get_config()
    for result in in_threads(call):
        np.testing.assert_array_equal(result, expected)
    assert loss.get_config() == config


def test_a_loss_keeps_its_attributes(loss_call):
    loss, call = loss_call
    before = attributes(loss)
    call()
    assert_same_attributes(before, attributes(loss))


@pytest.mark.parametrize("name", metrics.__all__)
def test_a_metric_keeps_its_attributes_once_it_has_its_state(name):
    """The first batch tells some of them how many outputs there are."""
    inner = {
        "Loss": [losses.MeanSquaredError(balance="feature")],
        "Masked": ["AUC"],
        "MeanAbsoluteScaledError": [2.5],
    }
    metric = getattr(metrics, name)(*inner.get(name, []))
    y_true, y_pred = np.array([[0.0, 1.0], [np.nan, 0.0]]), np.array([[0.2, 0.7], [0.4, 0.6]])
    if name in OF_CHANNELS:
        y_pred = np.stack([y_pred, y_pred], axis=-1)
    metric.update_state(y_true, y_pred)
    before = attributes(metric)
    metric.update_state(y_true, y_pred)
    metric.result()
    metric.reset_state()
    assert_same_attributes(before, attributes(metric))
