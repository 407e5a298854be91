"""`masklstm.callbacks.MissingLabels`: what it logs and warns of."""

import importlib
import re

import keras
import numpy as np
import pytest
import tensorflow as tf
from support import prepared
from support.watched_training import MODES, assert_is_left_alone, fit, small_model

from masklstm import losses, metrics
from masklstm.callbacks import MissingLabels, watched_steps

NAN = np.nan


@pytest.mark.parametrize("mode", MODES, ids=str)
@pytest.mark.parametrize("data", ["arrays", "dataset", "weights"])
def test_the_valid_share_and_the_batches_without_a_label(mode, data, x, y):
    model = small_model(**mode)
    dataset = tf.data.Dataset.from_tensor_slices((x, y)).batch(4)
    given = {
        "arrays": {"x": x, "y": y},
        "dataset": {"x": dataset},
        "weights": {"x": x, "y": y, "sample_weight": np.ones(12, "float32")},
    }
    history, texts = fit(model, **given[data], epochs=2)
    assert history["valid_share"] == [5 / 12] * 2
    (text,) = texts
    assert "1 of 3 batches of the training in epoch 1 have no label at all" in text
    assert np.isfinite(history["loss"]).all()
    assert_is_left_alone(model)


def test_each_epoch_counts_anew(x, y):
    """Of a stream whose epochs have other labels."""
    labels = [nan_at(np.zeros((12, 1), "float32"), gaps) for gaps in ([], [3], [1, 2, 3, 4])]
    epochs = iter(labels)

    def batches():
        for labels in epochs:
            yield x, labels

    spec = tf.TensorSpec(x.shape), tf.TensorSpec((12, 1))
    data = tf.data.Dataset.from_generator(batches, output_signature=spec)
    history, texts = fit(small_model(), data, epochs=3, steps_per_epoch=1)
    assert history["valid_share"] == pytest.approx([1.0, 11 / 12, 8 / 12])
    assert texts == []


def test_validation_has_a_share_of_its_own(x, y):
    model = small_model()
    history, texts = fit(
        model, x[:8], y[:8], epochs=2, validation_data=(x[4:], y[4:]), validation_batch_size=4
    )
    assert history["valid_share"] == [5 / 8] * 2
    assert history["val_valid_share"] == [3 / 8] * 2
    (text,) = texts
    assert "1 of 2 batches of the validation in epoch 1" in text
    assert_is_left_alone(model)


def test_validation_every_other_epoch(x, y):
    history, _ = fit(
        small_model(), x[:8], y[:8], epochs=4, validation_data=(x[:8], y[:8]), validation_freq=2
    )
    assert len(history["valid_share"]) == 4
    assert len(history["val_valid_share"]) == 2


def test_evaluate_alone_warns(x, y):
    model = small_model()
    with pytest.warns(UserWarning, match="1 of 3 batches of the validation have no label"):
        model.evaluate(x, y, batch_size=4, verbose=0, callbacks=[MissingLabels()])
    assert_is_left_alone(model)


def test_tensorboard_and_csv_see_the_share(x, y, tmp_path, monkeypatch):
    tags = {}

    def scalar(name, data, step=None):  # TensorBoard itself is not among the tests' packages
        tags[name] = float(data)

    monkeypatch.setattr(importlib.import_module("tensorflow.summary"), "scalar", scalar)
    board = keras.callbacks.TensorBoard(tmp_path / "board")
    table = keras.callbacks.CSVLogger(tmp_path / "log.csv")
    fit(small_model(), x[:8], y[:8], callbacks=[board, table])
    assert "valid_share" in (tmp_path / "log.csv").read_text()
    assert tags["epoch_valid_share"] == 5 / 8


def functional_model(rng):
    inputs = keras.Input((3,))
    outputs = {name: keras.layers.Dense(1)(inputs) for name in ("b", "a")}
    return keras.Model(inputs, outputs)


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.layer = keras.layers.Dense(1)

    def call(self, inputs):
        return {"b": self.layer(inputs), "a": self.layer(inputs)}


@pytest.mark.parametrize("kind", ["functional", "subclassed"])
@pytest.mark.parametrize("several_losses", [False, True])
def test_several_outputs(kind, several_losses, x, y, rng):
    model = functional_model(rng) if kind == "functional" else Subclassed()
    loss = {name: losses.MeanSquaredError() for name in ("b", "a")}
    model.compile("sgd", loss if several_losses else losses.MeanSquaredError())
    labels = {"b": y, "a": np.where(np.isnan(y), 0, y)}
    history, texts = fit(model, x, labels, epochs=2)
    assert texts == []
    assert history["valid_share"] == [17 / 24] * 2
    if kind == "functional":
        assert history["a_valid_share"] == [1.0] * 2
        assert history["b_valid_share"] == [5 / 12] * 2


def test_a_list_of_outputs(x, y):
    inputs = keras.Input((3,))
    model = keras.Model(inputs, [keras.layers.Dense(1, name=name)(inputs) for name in "pq"])
    model.compile("sgd", [losses.MeanSquaredError(), losses.MeanAbsoluteError()])
    history, _ = fit(model, x, [y, np.zeros_like(y)])
    assert history["p_valid_share"] == [5 / 12]
    assert history["q_valid_share"] == [1.0]


@pytest.mark.parametrize(
    ("loss", "missing", "share"),
    [
        (losses.MeanSquaredError(), None, 9 / 12),
        (losses.MeanSquaredError(missing=-999), None, 8 / 12),
        (losses.MeanSquaredError(missing="nonfinite"), None, 8 / 12),
        ("mse", None, 9 / 12),
        ("mse", -999, 8 / 12),
    ],
)
def test_what_is_missing_is_what_the_loss_takes_for_it(loss, missing, share, x):
    y = np.ones((12, 1), "float32")
    y[:5, 0] = [NAN, NAN, NAN, -999, np.inf]
    history, _ = fit(small_model(loss), x, y, MissingLabels(missing))
    assert history["valid_share"] == [share]


def test_class_labels(x):
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, activation="softmax")])
    model.compile("sgd", losses.Masked("SparseCategoricalCrossentropy"))
    history, _ = fit(model, x, np.array([0, 1, -1] * 4), class_weight={-1: 1.0, 0: 1.0, 1: 2.0})
    assert history["valid_share"] == [8 / 12]


def test_a_keras_mask_counts(rng):
    x = rng.normal(size=(4, 5, 2)).astype("float32")
    x[:, 3:] = 0
    y = np.ones((4, 5, 1), "float32")
    y[:, 0] = NAN
    layers = [keras.layers.Masking(), keras.layers.LSTM(2, return_sequences=True)]
    model = keras.Sequential([*layers, keras.layers.Dense(1)])
    model.compile("sgd", losses.MeanSquaredError())
    history, _ = fit(model, x, y)
    assert history["valid_share"] == [2 / 5]


def nan_at(array, index):
    array = array.copy()
    array[index] = NAN
    return array


def inf_gradient(y_true, y_pred):
    """A finite loss whose gradient is NaN."""
    return tf.reduce_mean(tf.sqrt(tf.square(y_pred - y_pred)), axis=-1)


def failing(name, x, y):
    """Model, data and arguments of `fit` for each way in which a loss becomes NaN in batch 2."""
    full = np.nan_to_num(y)
    weights = np.ones(12, "float32")
    if name == "inputs":
        return small_model(), nan_at(x, 5), y, {}  # the label there is missing
    if name == "labels":
        return small_model("mse"), x, nan_at(full, 5), {}
    if name == "labels under weights of 0":
        return (
            small_model("mse"),
            x,
            nan_at(full, 5),
            {"sample_weight": weights * (np.arange(12) != 5)},
        )
    if name == "infinite labels":
        full[5] = np.inf
        return small_model(), x, full, {}
    if name == "sample weights":
        return small_model(), x, full, {"sample_weight": nan_at(weights, 5)}
    if name == "model's weights":
        return small_model(inf_gradient), x, full, {}
    if name == "predictions":
        model = keras.Sequential(
            [keras.Input((3,)), keras.layers.Dense(1), keras.layers.Lambda(keras.ops.exp)]
        )
        model.compile("sgd", losses.MeanSquaredError())
        x = x.copy()
        x[5] = 1e30
        return model, x, np.where(np.arange(12)[:, None] < 4, NAN, 1).astype("float32"), {}
    x = x.copy()
    x[5], full[5] = 1e30, 1
    return small_model(), x, full, {}


MESSAGES = {
    "inputs": r"from the inputs: 3 of their values are NaN or infinite and make 1 predictions so",
    "labels": r"from the labels: 1 are NaN.*masklstm.losses.MeanSquaredError\(\)",
    "labels under weights of 0": r"from the labels: 1 are NaN.*weight or mask of 0",
    "infinite labels": r"from the labels: 1 are infinite.*missing='nonfinite'",
    "sample weights": r"from the sample weights: 1 are NaN or infinite",
    "model's weights": r"from the model's weights: 4 are NaN or infinite since a step before",
    "predictions": r"from the predictions: 1 are NaN or infinite, while inputs and weights are",
    "loss": r"it came from the loss: it overflows",
}


@pytest.mark.parametrize(
    ("name", "mode"),
    [*((name, {}) for name in MESSAGES), *(("inputs", mode) for mode in MODES[1:])],
    ids=str,
)
def test_where_the_first_nan_came_from(name, mode, x, y):
    model, x, y, arguments = failing(name, x, y)
    model.compile(model.optimizer, model.loss, **mode)
    _, texts = fit(model, x, y, epochs=2, **arguments)
    (text,) = [text for text in texts if "not finite since" in text]
    assert "since batch 2 of the training in epoch 1" in text
    assert re.search(MESSAGES[name], text), text
    assert_is_left_alone(model)


def test_it_is_said_before_a_long_epoch_ends(x, y):
    order = []

    class Order(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            order.append(batch)

    class Watch(MissingLabels):
        def _warn_once(self, subject, text):
            order.append(subject)

    y = np.zeros((64, 1), "float32")
    y[3] = NAN
    fit(small_model("mse"), np.zeros((64, 3)), y, Watch(), batch_size=1, callbacks=[Order()])
    assert order.index("failure") == order.index(3) + 1


def test_in_validation(x, y):
    model = small_model("mse")
    full = np.nan_to_num(y)
    _, texts = fit(model, x, full, validation_data=(x, nan_at(full, 2)))
    (text,) = texts
    assert "not finite since batch 1 of the validation in epoch 1" in text


@pytest.mark.parametrize("mode", MODES, ids=str)
def test_a_validation_without_labels_has_no_loss(mode, x, y):
    """Neither for callbacks nor for `evaluate`."""
    model = small_model(**mode)
    nothing = np.full_like(y, NAN)
    best = keras.callbacks.EarlyStopping("val_loss")
    seen = {}
    look = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: seen.update(logs))
    history, texts = fit(
        model,
        x[:8],
        y[:8],
        validation_data=(x, nothing),
        validation_batch_size=4,
        callbacks=[best, look],
    )
    assert np.isnan([history["val_loss"][0], seen["val_loss"], best.best]).all()
    assert np.isfinite(history["loss"]).all()
    (text,) = texts
    assert "the validation in epoch 1 has no label at all: 12 of 12 are missing" in text
    with pytest.warns(UserWarning, match="validation has no label at all"):
        loss = model.evaluate(x, nothing, verbose=0, callbacks=[MissingLabels()])
    assert np.isnan(loss)
    assert model.evaluate(x, nothing, verbose=0) == 0.0
    assert_is_left_alone(model)


def test_nor_has_one_of_several_workers(monkeypatch, x, y):
    """Where the logs of steps are left alone."""
    monkeypatch.setattr(watched_steps, "have_company", lambda strategy: True)
    validation = {"validation_data": (x, np.full_like(y, NAN))}
    history, _ = fit(small_model(), x[:8], y[:8], **validation)
    assert np.isnan(history["val_loss"]).all()
    assert np.isfinite(history["loss"]).all()


def test_the_loss_of_an_output_without_labels(x, y):
    model = functional_model(None)
    fractions = [metrics.ValidFraction(name="v") for _ in "ab"]
    model.compile("sgd", losses.MeanSquaredError(), metrics=fractions)
    labels = {"b": y, "a": np.full_like(y, NAN)}
    with pytest.warns(UserWarning, match="no label at all of a"):
        logs = model.evaluate(x, labels, verbose=0, return_dict=True, callbacks=[MissingLabels()])
    assert np.isnan(logs["a_loss"])
    assert logs["b_loss"] == logs["loss"] > 0
    assert (logs["a_v"], logs["b_v"]) == (0.0, 5 / 12)


def test_the_next_validation_has_labels(x, y):
    """A NaN does not stay."""
    model, watch = small_model(), MissingLabels()
    with pytest.warns(UserWarning, match="no label at all"):
        model.evaluate(x, np.full_like(y, NAN), verbose=0, callbacks=[watch])
    with_callback = model.evaluate(x, y, verbose=0, callbacks=[watch])
    assert with_callback == model.evaluate(x, y, verbose=0)


def test_a_loss_over_rows_that_drops_most_of_them(x, rng):
    y = np.eye(6, dtype="float32")[rng.integers(0, 6, 12)]
    y[rng.random(y.shape) < 0.3] = NAN
    rows = int((~np.isnan(y).any(axis=1)).sum())
    model = keras.Sequential([keras.layers.Dense(6, activation="softmax")])
    model.compile("sgd", losses.Masked("CategoricalCrossentropy"))
    history, texts = fit(model, x, y, epochs=2, batch_size=12)
    assert history["valid_share"] == [rows / 12] * 2
    (text,) = [text for text in texts if "complete" in text]
    assert f"only {rows} of 12 rows of the training in epoch 1 are complete" in text
    whole = np.where(np.isnan(y).any(axis=1, keepdims=True), NAN, y)
    history, texts = fit(model, x, whole, batch_size=12)
    assert history["valid_share"] == [rows / 12]
    assert not [text for text in texts if "complete" in text]


class Both(keras.losses.Loss):
    """A sum of masklstm's losses."""

    def __call__(self, y_true, y_pred, sample_weight=None):
        first = losses.MeanSquaredError()(y_true, y_pred, sample_weight)
        return first + losses.MeanAbsoluteError()(y_true, y_pred, sample_weight)


def test_an_own_sum_of_losses_is_not_blamed(x, y):
    history, texts = fit(small_model(Both()), x[:8], y[:8])
    assert np.isfinite(history["loss"]).all()
    assert history["valid_share"] == [5 / 8]
    assert texts == []


def test_a_loss_given_as_a_class(x, y):
    inputs = keras.Input((3,))
    outputs = {name: keras.layers.Dense(1, name=name)(inputs) for name in "ab"}
    model = keras.Model(inputs, outputs)
    model.compile("sgd", {"a": losses.MeanSquaredError, "b": losses.Huber})
    history, texts = fit(model, x[:8], {"a": y[:8], "b": np.zeros((8, 1))})
    assert texts == []
    assert (history["a_valid_share"], history["b_valid_share"]) == ([5 / 8], [1.0])
    full = np.nan_to_num(y)
    full[0] = np.inf
    _, texts = fit(small_model(losses.MeanSquaredError), x, full)
    assert "from the labels: 1 are infinite" in texts[0]
    full[1] = NAN
    _, texts = fit(small_model(losses.MeanSquaredError), x, full)
    assert "not masklstm's" not in texts[0]


LOSSES = {"b": losses.MeanSquaredError(missing=-1), "a": losses.MeanSquaredError()}


@pytest.mark.parametrize("labels", [list, dict])
@pytest.mark.parametrize("loss", [list, dict, "one", "without a"])
def test_losses_and_labels_of_several_outputs(loss, labels, x):
    """Lists have the order of the outputs, dicts their names."""
    inputs = keras.Input((3,))
    outputs = [keras.layers.Dense(1, name=name)(inputs) for name in LOSSES]
    if loss == "without a" and labels is dict:
        outputs = dict(zip(LOSSES, outputs, strict=True))  # Keras wants all losses for a list
    model = keras.Model(inputs, outputs)
    given = {list: list(LOSSES.values()), dict: LOSSES, "one": LOSSES["b"]}
    given["without a"] = [LOSSES["b"], None] if labels is list else {"b": LOSSES["b"]}
    model.compile("sgd", loss=given[loss])
    y = {"b": np.zeros((len(x), 1)), "a": np.zeros((len(x), 1))}
    y["b"][::2] = -1
    if loss == "without a":
        y["a"] = None
    if labels is dict:
        y = {name: label for name, label in y.items() if label is not None}
    history, texts = fit(model, x, y if labels is dict else list(y.values()))
    assert texts == []
    assert history["b_valid_share"] == [0.5]
    share = NAN if loss == "without a" else 1.0
    np.testing.assert_array_equal(history["a_valid_share"], [share])
    assert history["valid_share"] == [0.5 if loss == "without a" else 0.75]


@pytest.mark.parametrize("metric", ["mae", metrics.MeanAbsoluteError()], ids=["Keras", "ours"])
def test_a_metric_that_does_not_skip_gaps(metric, x, y):
    model = small_model(losses.MeanSquaredError())
    model.compile("sgd", model.loss, metrics=[metric])
    _, texts = fit(model, x, nan_at(np.nan_to_num(y), 2))
    expected = 1 if metric == "mae" else 0
    assert sum("mae came out NaN in epoch 1, though the loss" in text for text in texts) == expected
    assert len(texts) == expected


@pytest.mark.usefixtures("mixed_float16")
@pytest.mark.parametrize("mode", MODES[:2], ids=str)
def test_a_loss_scale_that_falls(mode, x, y):
    _, texts = fit(small_model("mse", **mode), x, y, epochs=3)
    (fall,) = [text for text in texts if "loss scale" in text]
    assert "fell from 32768 to 64 by the end of epoch 3: Keras skipped 9 or more steps" in fall
    assert any("came from the labels" in text for text in texts)
    _, texts = fit(small_model(**mode), x[:8], y[:8], epochs=3)
    assert texts == []


@pytest.mark.usefixtures("mixed_float16")
@pytest.mark.parametrize(("steps", "warns"), [(7, False), (8, True)])
def test_a_loss_scale_that_falls_by_256(steps, warns, x, y):
    _, texts = fit(small_model("mse"), x[:steps], y[:steps] * NAN, batch_size=1)
    assert any("loss scale" in text for text in texts) is warns


def test_a_warning_comes_once_in_each_fit(x, y):
    model, watch = small_model(), MissingLabels()
    for _ in range(2):
        history, texts = fit(model, x, y, watch, epochs=2)
        assert len(texts) == 1
        assert history["valid_share"] == [5 / 12] * 2


REPLICAS = """
import tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
import warnings
import keras, numpy as np, masklstm
x = np.ones((16, 1), "float32")
y = np.where(np.arange(16)[:, None] % 8 < 5, x, np.nan)
with tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope():
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    history = model.fit(x, y, epochs=2, batch_size=8, verbose=0, validation_data=(x, y),
                        shuffle=False, callbacks=[masklstm.callbacks.MissingLabels()]).history
print(history["valid_share"], history["val_valid_share"],
      *(str(each.message) for each in caught if "MissingLabels" in str(each.message)))
"""


def test_replicas():
    process = prepared.run(REPLICAS)
    assert process.returncode == 0, process.stderr[-3000:]
    printed = process.stdout.splitlines()[-1]
    assert printed.startswith("[0.625, 0.625] [0.625, 0.625] MissingLabels: ")
    assert "since batch 1 of the training" in printed
    # The second replica has the samples 4 to 7, of which 3 have no label.
    assert "came from the labels: 3 are NaN" in printed


@pytest.mark.parametrize("missing", ["none", True, [1, "one"]])
def test_errors(missing):
    with pytest.raises(ValueError, match="'missing'"):
        MissingLabels(missing)
