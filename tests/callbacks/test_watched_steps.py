"""`MissingLabels` watches the steps of a model and leaves no trace there."""

import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
from support.watched_training import MODES, assert_is_left_alone, fit, small_model

from masklstm import losses
from masklstm.callbacks import MissingLabels

NAN = np.nan


@pytest.mark.parametrize("mode", MODES, ids=str)
def test_it_changes_no_training(mode, x, y):
    weights = []
    for callbacks in ([], [MissingLabels()]):
        keras.utils.set_random_seed(1)
        model = small_model(**mode)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model.fit(x, y, epochs=3, batch_size=4, verbose=0, callbacks=callbacks)
        weights.append(model.get_weights())
    for with_it, without in zip(*weights, strict=True):
        np.testing.assert_array_equal(with_it, without)


class Counting(keras.losses.Loss):
    """Counts how often it is traced."""

    traced = 0

    def call(self, y_true, y_pred):
        self.traced += 1
        return keras.ops.mean(keras.ops.square(y_true - y_pred), axis=-1)


def test_several_callbacks_see_the_same_in_one_trace(x, y):
    loss = Counting()
    model = small_model(loss)
    sentinel = np.where(np.isnan(y), -5, y)
    callbacks = [MissingLabels(-5), MissingLabels(-5), MissingLabels()]
    seen = []
    for callback in callbacks:
        callback._warn_once = lambda subject, text, seen=seen: seen.append((subject, text))
    history = model.fit(x, sentinel, batch_size=4, verbose=0, shuffle=False, callbacks=callbacks)
    assert loss.traced == 1
    assert len(seen) == 2
    assert all("1 of 3 batches of the training" in text for _, text in seen)
    assert history.history["valid_share"] == [1.0]  # the last one's
    assert_is_left_alone(model)


def test_it_is_traced_once_for_all_fits(x, y):
    loss = Counting()
    model = small_model(loss)
    full = np.nan_to_num(y)
    same = MissingLabels()
    for watch in (same, same, MissingLabels(), MissingLabels(-7), MissingLabels(-7)):
        before = loss.traced
        fit(model, x, full, watch, validation_data=(x, full), validation_batch_size=4, epochs=2)
        expected = 2 if before == 0 or (watch.missing and before == 2) else 0
        assert loss.traced - before == expected  # training and validation
        assert_is_left_alone(model)
    model.fit(x, full, batch_size=4, verbose=0)
    assert loss.traced == 5
    model.fit(x, full, batch_size=4, verbose=0)
    fit(model, x, full, validation_data=(x, full), validation_batch_size=4)
    assert loss.traced == 5


def test_a_model_that_was_compiled_meanwhile_keeps_its_steps(x, y):
    class Recompile(keras.callbacks.Callback):
        def on_train_end(self, logs=None):
            self.model.compile(keras.optimizers.SGD(0.0), losses.MeanSquaredError())
            self.model.make_train_function()

    model = small_model()
    fit(model, x, y)
    fit(model, x, y, Recompile(), callbacks=[MissingLabels()])
    before = model.get_weights()
    model.fit(x, y, verbose=0)
    np.testing.assert_array_equal(model.get_weights()[0], before[0])


def test_the_next_fit_has_its_own_function_for_steps_again(x, y):
    model = small_model()
    model.fit(x, y, verbose=0)
    function = model.train_function
    fit(model, x, y)
    assert model.train_function is function
    model.fit(x, y, verbose=0)
    assert model.train_function is function


class Boom(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        raise RuntimeError("boom")


class FailingLoss(keras.losses.Loss):
    def call(self, y_true, y_pred):
        tf.debugging.assert_less(y_true, 0.0)
        return y_pred


@pytest.mark.parametrize("mode", MODES[:2], ids=str)
def test_after_an_error_in_a_step_the_model_is_as_it_was(mode, x, y):
    model = small_model(FailingLoss(), **mode)
    with pytest.raises(tf.errors.InvalidArgumentError):
        fit(model, x, y)
    assert_is_left_alone(model)


def test_after_an_error_in_another_callback_training_goes_on(x, y):
    model = small_model()
    with pytest.raises(RuntimeError, match="boom"):
        fit(model, x, y, callbacks=[Boom()])
    assert "compute_loss" not in vars(model)
    assert np.isfinite(model.fit(x, y, verbose=0).history["loss"]).all()
    history, texts = fit(model, x, y)
    assert history["valid_share"] == [5 / 12]
    assert len(texts) == 1
    assert_is_left_alone(model)


def test_training_that_stops_early(x, y):
    stop = keras.callbacks.TerminateOnNaN()
    model = small_model("mse")
    _, texts = fit(model, x, y, epochs=3, callbacks=[stop])
    assert sum("came from the labels" in text for text in texts) == 1
    assert_is_left_alone(model)


class OwnLoss(keras.Sequential):
    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None):
        return losses.MeanSquaredError()(y, y_pred, sample_weight)


class OwnStep(keras.Sequential):
    def train_step(self, data):
        x, y = data
        self(x)
        return {"loss": tf.reduce_mean(y)}


def test_a_model_with_a_loss_of_its_own(x, y):
    model = OwnLoss([keras.layers.Dense(1)])
    model.compile("sgd")
    history, _ = fit(model, x, y)
    assert history["valid_share"] == [5 / 12]


def test_a_step_that_cannot_be_watched(x, y):
    model = OwnStep([keras.layers.Dense(1)])
    model.compile("sgd")
    history, texts = fit(model, x, y)
    (text,) = texts
    assert "no batch was seen in the training" in text
    assert np.isnan(history["valid_share"]).all()


def test_a_model_that_was_watched_is_saved_and_loaded(x, y, tmp_path):
    model = small_model()
    fit(model, x, y)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded.predict(x, verbose=0), model.predict(x, verbose=0))


class OwnSteps(keras.Model):
    """Says other things in each step than its metrics do, under their names or more."""

    def __init__(self, more):
        super().__init__()
        self.dense = keras.layers.Dense(1)
        self.more = more

    def call(self, x):
        return self.dense(x)

    def test_step(self, data):
        logs = super().test_step(data)
        return {**logs, "loss": 0 * logs["loss"] + 7.0, **self.more}


@pytest.mark.parametrize("run_eagerly", [False, True])
@pytest.mark.parametrize("more", [{}, {"rate": tf.constant(0.5)}], ids=["same names", "more"])
def test_it_changes_no_figure_of_a_model_with_steps_of_its_own(more, run_eagerly):
    x, y = np.ones((8, 2)), np.ones((8, 1))
    found = []
    for callbacks in ([], [MissingLabels()]):
        keras.utils.set_random_seed(0)
        model = OwnSteps(more)
        model.compile("sgd", losses.MeanSquaredError(), run_eagerly=run_eagerly)
        options = {"batch_size": 4, "verbose": 0, "callbacks": callbacks}
        logs = model.evaluate(x, y, return_dict=True, **options)
        history = model.fit(x, y, validation_data=(x, y), **options).history
        found.append({**logs, **{name: history[f"val_{name}"] for name in logs}})
    without, with_it = found
    assert with_it == without
    assert (without["loss"] == [7.0]) == bool(more)


def test_a_figure_stays_what_it_was_when_others_are_evaluated(x, y):
    """No label at all is NaN, and no 0.0 after an evaluation with labels."""
    model = small_model()
    callback = MissingLabels()
    found = []
    for labels in (y * NAN, np.nan_to_num(y)):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            logs = model.evaluate(x, labels, verbose=0, return_dict=True, callbacks=[callback])
        found.append((logs, dict(logs)))
        assert all(type(value) is float for value in logs.values())
    (first, kept), (second, _) = found
    np.testing.assert_equal(dict(first), kept)
    assert np.isnan(first["loss"])
    assert np.isfinite(second["loss"])
