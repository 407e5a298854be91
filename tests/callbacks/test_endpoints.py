"""`MissingLabels` where labels are inputs, and `MaskedLoss` computes the loss."""

import keras
import numpy as np
import pytest
from support.watched_training import MODES, assert_is_left_alone, endpoint_model, fit

from masklstm import losses, metrics
from masklstm.callbacks import MissingLabels
from masklstm.layers import MaskedLoss

NAN = np.nan


@pytest.mark.parametrize("mode", MODES, ids=str)
def test_labels_that_are_inputs(mode):
    """What the layer's loss counts is counted; their gaps are no fault of the inputs."""
    x, y = np.zeros((8, 4, 2)), np.zeros((8, 4, 1))
    y[:4], y[5] = NAN, NAN
    model = endpoint_model()
    model.compile("sgd", **mode)
    history, texts = fit(model, [x, y], batch_size=4, epochs=2)
    assert history["valid_share"] == [3 / 8] * 2
    (text,) = texts
    assert "1 of 2 batches of the training in epoch 1 have no label at all" in text
    x[6] = NAN
    _, texts = fit(model, [x, y], batch_size=4)
    assert "since batch 2 of the training" in texts[0]
    assert "from the inputs: 8 of their values" in texts[0]
    assert_is_left_alone(model)
    assert all("compute_loss" not in vars(layer) for layer in model.layers)


def test_infinite_labels_that_are_inputs():
    y = np.full((8, 4, 1), NAN)
    y[0, 0] = np.inf
    model = endpoint_model()
    model.compile("sgd")
    _, texts = fit(model, [np.zeros((8, 4, 2)), y])
    assert "from the labels: 1 are infinite" in texts[0]


def test_several_endpoints(x, y):
    """A share for each, and one for the labels of a compiled loss."""
    inputs, label_a, label_b = keras.Input((3,)), keras.Input((1,)), keras.Input((1,))
    y_pred = keras.layers.Dense(1)(inputs)
    a = MaskedLoss(losses.MeanSquaredError(), name="a")(y_pred, label_a)
    b = MaskedLoss(losses.MeanSquaredError(missing=-1), name="b")(a, label_b)
    model = keras.Model([inputs, label_a, label_b], keras.layers.Identity(name="c")(b))
    model.compile("sgd")
    minus_one = np.where(np.arange(12) < 3, -1.0, 2.0)[:, None]
    history, texts = fit(model, [x, y, minus_one])
    assert texts == []
    assert (history["a_valid_share"], history["b_valid_share"]) == ([5 / 12], [9 / 12])
    assert history["valid_share"] == [14 / 24]
    model.compile("sgd", losses.MeanSquaredError())
    history, _ = fit(model, [x, y, minus_one], np.zeros((12, 1)), batch_size=12)
    assert history["c_valid_share"] == [1.0]
    assert history["valid_share"] == [26 / 36]


def test_labels_beside_an_endpoint_that_no_loss_counts():
    x, y = np.zeros((8, 4, 2)), np.full((8, 4, 1), NAN)
    model = endpoint_model()
    model.compile("sgd")
    history, _ = fit(model, [x, np.zeros_like(y)], y)
    assert history["valid_share"] == [1.0]


@pytest.mark.parametrize(
    ("metric", "words"),
    [
        (metrics.MeanAbsoluteError(name="mae"), None),
        ("mae", "metrics=mae in compile"),
        (keras.metrics.MeanAbsoluteError(), "metrics=mean_absolute_error in compile"),
    ],
)
def test_compiled_metrics_beside_labels_that_are_inputs(metric, words):
    """masklstm's find the labels; of others the way out is said before Keras fails."""
    x, y = np.zeros((8, 4, 2)), np.ones((8, 4, 1))
    y[::2] = NAN
    model = endpoint_model()
    model.compile(keras.optimizers.SGD(0.0), metrics=[metric])
    if words is None:
        history, texts = fit(model, [x, y])
        assert history["mae"] == [1.0]
        assert texts == []
    else:
        with (
            pytest.warns(UserWarning, match=rf"(?s)MaskedLoss\(loss, metrics=.*{words}"),
            pytest.raises((ValueError, AttributeError, TypeError)),
        ):
            model.fit([x, y], verbose=0, callbacks=[MissingLabels()])
        assert_is_left_alone(model)


def test_metrics_of_an_endpoint_that_do_not_skip_gaps():
    x, y = np.zeros((8, 4, 2)), np.ones((8, 4, 1))
    y[::2] = NAN
    ours = metrics.BinaryAccuracy(name="ours")
    model = endpoint_model(metrics=[keras.metrics.BinaryAccuracy(name="keras"), ours])
    model.compile(keras.optimizers.SGD(0.0))
    _, texts = fit(model, [x, y])
    (text,) = texts
    assert "MissingLabels: keras came out finite in epoch 1, but wrong" in text
