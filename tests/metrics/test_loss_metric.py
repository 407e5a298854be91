"""`metrics.Loss`: the loss of an epoch as one batch, however the epoch was split."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import labels_and_predictions

from masklstm import losses, metrics
from masklstm.losses.base import ElementwiseLoss

NAN = float("nan")
ELEMENTWISE = [
    name for name in losses.__all__ if issubclass(getattr(losses, name), ElementwiseLoss)
]
REDUCTIONS = ["sum_over_batch_size", "mean_with_sample_weight", "sum"]
BALANCES = [None, "sample", "timestep", "feature"]
SAMPLES = 17


@pytest.fixture
def batches(rng):
    cuts = np.sort(rng.integers(0, SAMPLES + 1, 4))
    return [slice(*pair) for pair in zip([0, *cuts], [*cuts, SAMPLES], strict=True)]


def data(rng, loss=None, shape=(SAMPLES, 5, 3)):
    """Labels with unequal gaps, predictions of which no invalid one is finite, and weights."""
    loss = loss or losses.MeanSquaredError()
    y_true, y_pred = labels_and_predictions(rng, shape, "float64", loss.loss, loss.parameters, 0.4)
    y_true[3:7, :, 0] = NAN
    y_true[9] = NAN
    y_pred[np.isnan(y_true)] = NAN
    return y_true, y_pred, rng.random(shape[:2])


def updated(metric, batches, *arrays):
    for part in batches:
        metric.update_state(*(array[part] for array in arrays))
    return metric


@pytest.mark.parametrize("normalizer", [None, 7.0])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("balance", BALANCES)
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_is_the_loss_of_the_epoch(reduction, balance, weighted, normalizer, batches, rng):
    if normalizer and reduction == "sum":
        normalizer = None
    y_true, y_pred, weight = data(rng)
    arrays = (y_true, y_pred, weight) if weighted else (y_true, y_pred)
    loss = losses.Huber(reduction=reduction, balance=balance, normalizer=normalizer)
    in_float64 = losses.Huber(
        reduction=reduction, balance=balance, normalizer=normalizer, dtype="float64"
    )
    metric = updated(metrics.Loss(loss), batches, *arrays)
    np.testing.assert_allclose(metric.result(), in_float64(*arrays), rtol=1e-12)
    assert {variable.dtype for variable in metric.variables} == {"float64", "int64"}


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_every_loss(name, batches, rng):
    loss = getattr(losses, name)(dtype="float64")
    arrays = data(rng, loss)
    metric = updated(metrics.Loss(loss), batches, *arrays)
    np.testing.assert_allclose(metric.result(), loss(*arrays), rtol=1e-12)
    assert metric.name == loss.name


@pytest.mark.filterwarnings("ignore:losses.Masked")  # of rows that gaps cross
@pytest.mark.parametrize("balance", [None, "sample", "timestep"])
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_masked_losses(reduction, balance, batches, rng):
    y_true, y_pred, weight = data(rng)
    y_pred = rng.normal(size=y_pred.shape)
    loss = losses.Masked("cosine_similarity", reduction, dtype="float64", balance=balance)
    metric = updated(metrics.Loss(loss), batches, y_true, y_pred, weight)
    np.testing.assert_allclose(metric.result(), loss(y_true, y_pred, weight), rtol=1e-12)


def test_masked_losses_of_classes(batches, rng):
    classes = rng.integers(-1, 4, (SAMPLES, 5))
    y_pred = 0.1 + rng.random((SAMPLES, 5, 4))
    loss = losses.Masked("sparse_categorical_crossentropy")
    metric = updated(metrics.Loss(loss), batches, classes, y_pred)
    np.testing.assert_allclose(metric.result(), loss(classes, y_pred), rtol=1e-6)


def test_a_keras_mask(rng):
    y_true, y_pred = rng.normal(size=(2, 4, 5, 3)).astype("float32")
    mask = rng.random((4, 5)) < 0.5
    masked = tf.constant(y_pred)
    masked._keras_mask = tf.constant(mask)
    metric = metrics.Loss(losses.MeanSquaredError())
    metric.update_state(y_true, masked)
    np.testing.assert_allclose(metric.result(), np.mean((y_true - y_pred)[mask] ** 2), rtol=1e-6)


def test_float32_predictions_are_computed_in_float64(rng):
    y_pred = rng.normal(size=(64, 3)).astype("float32")
    y_true = rng.normal(size=(64, 3))
    metric = metrics.Loss(losses.MeanSquaredError())
    metric.update_state(y_true, tf.constant(y_pred))
    expected = np.mean((y_true - y_pred.astype("float64")) ** 2)
    np.testing.assert_allclose(metric.result(), expected, rtol=1e-14)


@pytest.mark.parametrize("balance", BALANCES)
def test_nothing_valid_is_nan_and_changes_nothing(balance, rng):
    y_true, y_pred, _ = data(rng)
    metric = metrics.Loss(losses.MeanSquaredError(balance=balance))
    assert np.isnan(metric.result())
    metric.update_state(NAN * y_true, y_pred)
    assert np.isnan(metric.result())
    metric.update_state(y_true, y_pred)
    before = float(metric.result())
    metric.update_state(NAN * y_true, y_pred)
    metric.update_state(y_true[:0], y_pred[:0])
    assert float(metric.result()) == before
    metric.reset_state()
    assert np.isnan(metric.result())


@pytest.mark.parametrize("balance", BALANCES)
def test_modes(balance, run, rng):
    y_true, y_pred, weight = data(rng)
    loss = losses.MeanAbsoluteError(balance=balance, dtype="float64")
    metric = metrics.Loss(loss)
    metric.update_state(NAN * y_true, y_pred, weight)  # makes the variables
    for part in (slice(0, 8), slice(8, SAMPLES)):
        run(metric.update_state, *(tf.constant(x[part]) for x in (y_true, y_pred, weight)))
    np.testing.assert_allclose(run(metric.result), loss(y_true, y_pred, weight), rtol=1e-12)


def test_saving(rng):
    y_true, y_pred, _ = data(rng)
    for loss in (
        losses.Huber(delta=0.3, balance="feature", missing=-5.0),
        losses.Masked(keras.losses.CosineSimilarity(axis=1)),
    ):
        metric = metrics.Loss(loss, name="mine", dtype="float32")
        again = keras.metrics.deserialize(keras.metrics.serialize(metric))
        assert again.get_config() == metric.get_config()
        for one in (metric, again):
            one.update_state(y_true, y_pred)
        np.testing.assert_array_equal(again.result(), metric.result())


class TestErrors:
    @pytest.mark.parametrize(
        "loss", [None, "mse", keras.losses.MeanSquaredError()], ids=["None", "name", "of Keras"]
    )
    def test_not_one_of_ours(self, loss):
        with pytest.raises(ValueError, match=r"'loss'. Expected a loss of masklstm.losses"):
            metrics.Loss(loss)

    def test_rows_have_no_figure(self):
        for reduction in ("none", None):
            with pytest.raises(ValueError, match=r"reduced to one number.*reduction="):
                metrics.Loss(losses.MeanSquaredError(reduction=reduction))

    def test_losses_over_several_rows(self):
        y_true, y_pred = np.eye(4), np.full((4, 4), 0.25)
        for name, labels in (("Dice", y_true), ("Tversky", y_true), ("Circle", np.arange(4))):
            with pytest.raises(ValueError, match=f"made of sums over its batches. .*{name}"):
                metrics.Loss(losses.Masked(name)).update_state(labels, y_pred)

    def test_a_number_of_groups_that_changes(self):
        metric = metrics.Loss(losses.MeanSquaredError(balance="timestep"))
        metric.update_state(np.ones((2, 5, 3)), np.ones((2, 5, 3)))
        with pytest.raises(ValueError, match=r"Expected 5. Received: 4"):
            metric.update_state(np.ones((2, 4, 3)), np.ones((2, 4, 3)))

    def test_an_unknown_number_of_groups(self):
        metric = metrics.Loss(losses.MeanSquaredError(balance="timestep"))
        spec = tf.TensorSpec([None, None, 3])
        update = tf.function(metric.update_state, input_signature=[spec, spec])
        with pytest.raises(ValueError, match=r"Expected a known number. Received: None"):
            update(tf.ones([2, 4, 3]), tf.ones([2, 4, 3]))


def test_a_validation_without_labels_is_never_the_best(rng, tmp_path):
    """Its `val_loss` is 0, which Keras's callbacks take for perfect; the metric's figure is NaN."""
    x = rng.normal(size=(8, 2)).astype("float32")
    y = x[:, :1] + 1.0
    loss = losses.MeanSquaredError()
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("sgd", loss, metrics=[metrics.Loss(loss, name="of_epoch")])
    kept, replaced = (
        keras.callbacks.ModelCheckpoint(
            tmp_path / f"{name}.keras", monitor=name, save_best_only=True
        )
        for name in ("val_of_epoch", "val_loss")
    )
    stop = keras.callbacks.EarlyStopping("val_of_epoch")
    options = {"verbose": 0, "callbacks": [kept, replaced, stop]}
    model.fit(x, y, validation_data=(x, y), **options)
    best = kept.best
    assert 0 < best == pytest.approx(replaced.best)
    logs = model.fit(x, y, validation_data=(x, y * NAN), **options).history
    assert np.isnan(logs["val_of_epoch"]).all()
    assert logs["val_loss"] == [0.0]
    assert (kept.best, replaced.best) == (best, 0.0)
    assert np.isnan(stop.best) or stop.best == best  # begins anew with each fit, in new Keras
