"""Cross-entropies after a sigmoid or softmax are computed from the logits, as Keras's are.

A model that is sure and wrong has probabilities that are rounded or clipped: no gradient is left.
"""

import keras
import numpy as np
import pytest
import tensorflow as tf

from masklstm import losses, metrics
from masklstm._core.keras_compat import find_logits

NAN = float("nan")
CATEGORICAL = [
    "CategoricalCrossentropy",
    "SparseCategoricalCrossentropy",
    "CategoricalFocalCrossentropy",
]
ENDINGS = {
    "activation": lambda n, a: [keras.layers.Dense(n, activation=a)],
    "layer": lambda n, a: [keras.layers.Dense(n), keras.layers.Activation(a)],
    "time-distributed": lambda n, a: [
        keras.layers.Reshape((1, 1)),
        keras.layers.TimeDistributed(keras.layers.Dense(n, activation=a)),
        keras.layers.Reshape((n,)),
    ],
}


@pytest.mark.parametrize("shape", [(4,), (4, 3), (2, 5, 3), (2, 3, 5, 2)], ids=str)
@pytest.mark.parametrize("name", ["Sigmoid", "Softmax"])
def test_the_function_and_its_logits_are_found(name, shape, run, rng):
    activation = getattr(keras.activations, name.lower())
    logits = tf.constant(rng.normal(size=shape).astype("float32"))
    names = []

    def found(logits):
        name, behind = find_logits(activation(logits))
        names.append(name)
        return behind

    if name == "Softmax" and len(shape) == 1:  # of a vector Keras makes a row
        shape = (1, *shape)
        logits = logits[None]
    np.testing.assert_array_equal(run(found, logits), logits)
    assert set(names) == {name}
    assert find_logits(logits) is None


def value_and_slopes(run, loss, labels, logits, activation, ending):
    """The loss of a model with these logits, and its gradient by them."""
    model = keras.Sequential([keras.Input((1,)), *ENDINGS[ending](len(logits), activation)])
    model.set_weights([np.zeros((1, len(logits)), "float32"), np.array(logits, "float32")])

    def step(x, labels):
        with tf.GradientTape() as tape:
            value = loss(labels, model(x, training=True))
        return value, tape.gradient(value, model.trainable_variables[-1])

    x = tf.ones([len(labels), 1])
    return [result.numpy() for result in run(step, x, tf.constant(labels, tf.float32))]


def compare(actual, expected):
    for a, b in zip(actual, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7)


LOGITS = np.array([5.0, 17.0, 30.0, -100.0])
WRONG = (LOGITS < 0).astype("float32")


@pytest.mark.parametrize("ending", ENDINGS)
def test_binary_losses_are_keras_s(ending, run):
    labels = np.stack([WRONG, 1 - WRONG])
    arguments = labels, LOGITS, "sigmoid", ending
    expected = value_and_slopes(run, keras.losses.BinaryCrossentropy(), *arguments)
    for loss in (losses.BinaryCrossentropy(), losses.Masked("BinaryCrossentropy")):
        compare(value_and_slopes(run, loss, *arguments), expected)
    if ending != "time-distributed":  # which hides the logits from Keras too
        assert expected[0] == pytest.approx(np.abs(LOGITS).sum() / 8, rel=0.01)
        assert np.all(np.abs(expected[1]) > 0.12)


def test_gaps_change_nothing_for_the_labels_that_are_there(run):
    full = np.stack([WRONG, WRONG])
    with_gaps = np.concatenate([full, np.full_like(full, NAN)])
    for loss in (
        losses.BinaryCrossentropy(),
        losses.BinaryFocalCrossentropy(),
        losses.Masked("BinaryCrossentropy"),
    ):
        arguments = LOGITS, "sigmoid", "activation"
        expected = value_and_slopes(run, loss, full, *arguments)
        compare(value_and_slopes(run, loss, with_gaps, *arguments), expected)
        assert np.all(np.abs(expected[1]) > 0.1)


@pytest.mark.parametrize("gamma", [0.0, 2.0])
def test_a_focal_loss_of_a_sure_and_wrong_model(gamma, run):
    """The definition: q^gamma times the cross-entropy, with q all but 1."""
    loss = losses.BinaryFocalCrossentropy(gamma=gamma)
    sure = LOGITS[1:]
    value, slopes = value_and_slopes(run, loss, WRONG[None, 1:], sure, "sigmoid", "activation")
    assert value == pytest.approx(np.abs(sure).mean(), rel=1e-5)
    np.testing.assert_allclose(slopes, np.sign(sure) / 3, rtol=1e-4)


@pytest.mark.parametrize("ending", ["activation", "layer"])
@pytest.mark.parametrize("name", CATEGORICAL)
def test_categorical_losses_are_keras_s(name, ending, run):
    labels = np.zeros(4, "float32")
    if name != "SparseCategoricalCrossentropy":
        labels = np.eye(3, dtype="float32")[[0] * 4]
    arguments = [0.0, 30.0, -5.0], "softmax", ending
    inner = getattr(keras.losses, name)()
    expected = value_and_slopes(run, inner, labels, *arguments)
    compare(value_and_slopes(run, losses.Masked(inner), labels, *arguments), expected)
    gaps = np.concatenate([labels, np.full_like(labels, NAN)])
    compare(value_and_slopes(run, losses.Masked(inner), gaps, *arguments), expected)


def sure_model(biases, activation, loss, metrics):
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(len(biases), activation)])
    model.set_weights([np.zeros((1, len(biases)), "float32"), np.array(biases, "float32")])
    model.compile(keras.optimizers.SGD(1.0), loss=loss, metrics=metrics, jit_compile=False)
    return model


def test_a_sure_and_wrong_model_learns():
    x, labels = np.ones((4, 1)), np.array([[0.0], [NAN], [0.0], [NAN]])
    for loss in (losses.BinaryCrossentropy(), losses.BinaryFocalCrossentropy()):
        model = sure_model([30.0], "sigmoid", loss, [])
        history = model.fit(x, labels, epochs=4, verbose=0).history["loss"]
        np.testing.assert_allclose(history, [30, 28, 26, 24], rtol=1e-4)  # kernel and bias


def test_metrics_look_there_too():
    labels = np.array([[0.0], [NAN], [0.0]], "float32")
    for metric in (metrics.BinaryCrossentropy(), metrics.Masked("BinaryCrossentropy")):
        model = sure_model([17.0], "sigmoid", losses.BinaryCrossentropy(), [metric])
        logs = model.evaluate(np.ones((3, 1)), labels, verbose=0, return_dict=True)
        assert logs["loss"] == pytest.approx(17.0, rel=1e-6)
        assert logs["binary_crossentropy"] == pytest.approx(17.0, rel=1e-6)
    metric = metrics.Masked("SparseCategoricalCrossentropy", name="nll")
    model = sure_model([0.0, 30.0], "softmax", losses.Masked("ce"), [metric])
    logs = model.evaluate(np.ones((2, 1)), np.array([0.0, NAN]), verbose=0, return_dict=True)
    assert logs["loss"] == pytest.approx(30.0)
    assert logs["nll"] == pytest.approx(30.0)


def test_a_keras_mask_on_the_predictions_stays(run):
    logits, labels = tf.constant([[17.0], [3.0]]), tf.constant([[0.0], [0.0]])

    def value(logits):
        y_pred = keras.ops.sigmoid(logits)
        y_pred._keras_mask = tf.constant([[True], [False]])
        return losses.BinaryCrossentropy()(labels, y_pred)

    assert float(run(value, logits)) == pytest.approx(17.0)


def test_a_softmax_is_no_sigmoid(run):
    """Keras takes the softmax's logits for those of a sigmoid; the definition is of p itself."""
    logits, labels = tf.constant([[1.0, 3.0, 0.0]]), np.array([[0.0, 1.0, 1.0]])
    p = np.exp([1.0, 3.0, 0.0]) / np.exp([1.0, 3.0, 0.0]).sum()
    expected = -(labels * np.log(p) + (1 - labels) * np.log(1 - p)).mean()
    for loss in (losses.BinaryCrossentropy(), losses.Masked("BinaryCrossentropy")):
        value = run(lambda z, loss=loss: loss(labels, keras.activations.softmax(z)), logits)
        assert float(value) == pytest.approx(expected, rel=1e-5)


def test_from_logits_after_a_sigmoid_is_warned_of(run):
    def value(logits):
        loss = losses.BinaryCrossentropy(from_logits=True)
        return loss(tf.constant([[1.0]]), keras.activations.sigmoid(logits))

    with pytest.warns(UserWarning, match=r"'y_pred' to be logits.*sigmoid"):
        assert float(run(value, tf.constant([[-20.0]]))) == pytest.approx(20.0)
