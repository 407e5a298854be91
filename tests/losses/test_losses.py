"""The Keras classes: Keras's numbers without gaps, training with them."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import ELEMENTWISE, labels_and_predictions

from masklstm import losses, reference
from masklstm.losses.base import ElementwiseLoss

NAN = float("nan")

# Every class of losses of one prediction for each label, with Keras's class of the same name, and
# arguments that both take. Those of several predictions are in test_likelihoods.py.
CLASSES = [
    cls
    for name in losses.__all__
    if issubclass(cls := getattr(losses, name), ElementwiseLoss) and cls.loss in ELEMENTWISE
]
ARGUMENTS = {
    "Huber": [{"delta": 0.4}],
    "Pinball": [{"quantile": 0.8}],
    "BinaryCrossentropy": [{"from_logits": True}, {"label_smoothing": 0.2}],
    "BinaryFocalCrossentropy": [
        {"from_logits": True, "gamma": 1.5},
        {"apply_class_balancing": True, "alpha": 0.3, "label_smoothing": 0.1},
    ],
}
CASES = [
    (cls, arguments) for cls in CLASSES for arguments in ({}, *ARGUMENTS.get(cls.__name__, []))
]
# Pinball is ours alone.
KERAS_CASES = [case for case in CASES if hasattr(keras.losses, case[0].__name__)]


def data(rng, case, shape, missing_share=0.0):
    cls, arguments = case
    loss = cls(**arguments)
    return labels_and_predictions(rng, shape, "float32", loss.loss, loss.parameters, missing_share)


def _case_id(case):
    return "-".join([case[0].__name__, *(f"{k}={v}" for k, v in case[1].items())])


@pytest.fixture(params=CASES, ids=_case_id)
def case(request):
    return request.param


@pytest.fixture(params=KERAS_CASES, ids=_case_id)
def keras_case(request):
    return request.param


def is_known_to_keras(reduction):
    """Keras has the means of its own since 3.7."""
    try:
        keras.losses.MeanSquaredError(reduction=reduction)
    except ValueError:
        return False
    return True


KERAS_REDUCTIONS = ["sum_over_batch_size", "mean", "mean_with_sample_weight", "sum", "none", None]
KERAS_REDUCTIONS = list(filter(is_known_to_keras, KERAS_REDUCTIONS))


@pytest.mark.parametrize("reduction", KERAS_REDUCTIONS)
@pytest.mark.parametrize(
    ("shape", "weight_shape"),
    [
        ((4, 3), None),
        ((4, 3), (4,)),
        ((4, 3), (4, 1)),
        ((4, 1), (4,)),
        ((4, 5, 3), None),
        ((4, 5, 3), (4, 5)),
        ((4, 5, 3), (4, 5, 1)),
        ((2, 3, 4, 2), (2, 3, 4)),
    ],
    ids=str,
)
def test_keras_numbers_without_gaps(reduction, shape, weight_shape, keras_case, rng):
    cls, arguments = keras_case
    y_true, y_pred = data(rng, keras_case, shape)
    weight = None if weight_shape is None else rng.random(weight_shape).astype("float32")
    actual = cls(reduction=reduction, **arguments)(y_true, y_pred, weight)
    keras_cls = getattr(keras.losses, cls.__name__)
    expected = keras_cls(reduction=reduction, **arguments)(y_true, y_pred, weight)
    if shape == (4, 3) and weight_shape == (4, 1) and reduction in ("none", None):
        expected = tf.squeeze(expected, -1)  # Keras lets the weights' axis into the row losses
    assert actual.shape == expected.shape
    assert actual.dtype == expected.dtype
    np.testing.assert_allclose(actual, expected, rtol=2e-6)


@pytest.mark.parametrize("reduction", ["sum_over_batch_size", "sum", "none"])
def test_keras_numbers_for_scalar_weights(reduction, keras_case, rng):
    cls, arguments = keras_case
    y_true, y_pred = data(rng, keras_case, (4, 5, 3))
    keras_loss = getattr(keras.losses, cls.__name__)(reduction=reduction, **arguments)
    np.testing.assert_allclose(
        cls(reduction=reduction, **arguments)(y_true, y_pred, 2.3),
        keras_loss(y_true, y_pred, 2.3),
        rtol=2e-6,
    )


@pytest.mark.parametrize("reduction", KERAS_REDUCTIONS)
@pytest.mark.parametrize("weighted", [False, True])
def test_keras_numbers_under_a_keras_mask(reduction, weighted, keras_case, rng):
    cls, arguments = keras_case
    y_true, y_pred = data(rng, keras_case, (4, 5, 3))
    weight = rng.random((4, 5)).astype("float32") if weighted else None
    y_pred = tf.constant(y_pred)
    y_pred._keras_mask = tf.constant(rng.random((4, 5)) < 0.6)
    keras_loss = getattr(keras.losses, cls.__name__)(reduction=reduction, **arguments)
    expected = keras_loss(y_true, y_pred, weight)
    actual = cls(reduction=reduction, **arguments)(y_true, y_pred, weight)
    np.testing.assert_allclose(actual, expected, rtol=2e-6)


def test_mask_weights_and_gaps_combine(case, rng):
    cls, arguments = case
    y_true, y_pred = data(rng, case, (4, 5, 3), missing_share=0.3)
    mask = rng.random((4, 5)) < 0.6
    weight = rng.random(4).astype("float32")
    masked_pred = tf.constant(y_pred)
    masked_pred._keras_mask = tf.constant(mask)
    actual = cls(**arguments)(y_true, masked_pred, weight)
    ours = cls(**arguments)
    loss = reference.masked_loss(
        y_true, y_pred, ours.loss, sample_weight=weight, mask=mask, **ours.parameters
    )
    np.testing.assert_allclose(actual, loss, rtol=1e-6)


def test_call_gives_unweighted_row_means(keras_case, rng):
    cls, arguments = keras_case
    y_true, y_pred = data(rng, keras_case, (4, 3))
    expected = getattr(keras.losses, cls.__name__)(**arguments).call(y_true, y_pred)
    np.testing.assert_allclose(cls(**arguments).call(y_true, y_pred), expected, rtol=2e-6)


def test_call_leaves_the_keras_mask_to_the_reduction():
    """As Keras's losses do: `call` gives the rows, and `__call__` masks and reduces them."""
    y_pred = tf.constant([[2.0, 5.0], [4.0, 8.0]])
    y_pred._keras_mask = tf.constant([[True, False], [False, False]])
    rows = losses.MeanSquaredError().call([[1.0, 3.0], [NAN, 5.0]], y_pred)
    np.testing.assert_array_equal(rows, [2.5, 9.0])


@pytest.mark.parametrize("name", ["float16", "bfloat16", "float32", "float64"])
def test_the_result_has_the_losss_dtype(name, case):
    cls, arguments = case
    loss = cls(dtype=name, **arguments)
    value = loss([[1.0], [NAN]], [[2.0], [3.0]])
    assert value.dtype == name
    assert np.isfinite(float(value))


def test_floatx_decides_the_default_dtype(case):
    cls, arguments = case
    keras.config.set_floatx("float64")
    try:
        assert cls(**arguments)([[1.0]], [[2.0]]).dtype == "float64"
    finally:
        keras.config.set_floatx("float32")


def test_defaults_and_config_are_keras_s(keras_case):
    cls, arguments = keras_case
    ours, theirs = cls(**arguments), getattr(keras.losses, cls.__name__)(**arguments)
    assert ours.name == theirs.name
    assert ours.reduction == theirs.reduction
    assert ours.get_config().items() >= theirs.get_config().items()


@pytest.mark.parametrize("missing", [NAN, -999.0, "nonfinite"])
def test_serialisation_keeps_everything(missing, case):
    cls, arguments = case
    loss = cls(missing=missing, reduction="sum", name="mine", **arguments)
    again = keras.losses.deserialize(keras.losses.serialize(loss))
    assert type(again) is cls
    assert again.get_config() == loss.get_config()
    y_true, y_pred = [[1.0], [-999.0], [NAN]], [[3.0], [4.0], [5.0]]
    assert float(again(y_true, y_pred)) == float(loss(y_true, y_pred))


class TestErrors:
    def test_when_constructed(self, case):
        cls, _ = case
        with pytest.raises(ValueError, match="reduction"):
            cls(reduction="avg")
        with pytest.raises(ValueError, match="'missing'"):
            cls(missing="soon")

    def test_huber_delta(self):
        with pytest.raises(ValueError, match="'delta'"):
            losses.Huber(delta=0.0)

    def test_a_weight_of_the_wrong_shape_in_fit(self, case, rng):
        cls, arguments = case
        model = keras.Sequential([keras.layers.Dense(2)])
        model.compile("sgd", loss=cls(**arguments))
        x = rng.normal(size=(8, 3))
        with pytest.raises(ValueError, match="'sample_weight'"):
            model.fit(x, x[:, :2], sample_weight=np.ones((8, 3)), verbose=0)


def lstm_data(rng, samples=96, steps=12, features=2):
    """Sums of the inputs so far, with 40% of the labels missing, whole samples among them."""
    x = rng.normal(size=(samples, steps, features)).astype("float32")
    y = np.cumsum(x, axis=1) / 3
    y[rng.random(y.shape) < 0.4] = NAN
    y[: samples // 8] = NAN
    return x, y


def bounded(y, cls, arguments):
    """Labels for which the loss is defined, with the same gaps, and the activation to fit them."""
    if cls.__name__.startswith("Binary"):
        activation = None if arguments.get("from_logits") else "sigmoid"
        return np.where(np.isnan(y), NAN, (y > 0) * 1.0), activation
    if cls.__name__ in ("Poisson", "MeanSquaredLogarithmicError"):
        return np.exp(y / 2), "softplus"
    return y, None


def lstm_model(loss, optimizer="adam", features=2, activation=None, **compile_arguments):
    keras.utils.set_random_seed(11)
    model = keras.Sequential(
        [
            keras.layers.Input((None, features)),
            keras.layers.LSTM(8, return_sequences=True),
            keras.layers.Dense(features, activation=activation),
        ]
    )
    model.compile(optimizer, loss=loss, **compile_arguments)
    # Else the first step would make the optimizer's variables, and then be traced once more.
    model.optimizer.build(model.trainable_variables)
    return model


class ReferenceLoss(keras.losses.Loss):
    """The loss that training on the pure-TensorFlow reference minimises."""

    def __init__(self, like):
        super().__init__()
        self.like = like

    def __call__(self, y_true, y_pred, sample_weight=None):
        return reference.masked_loss(
            y_true, y_pred, self.like.loss, sample_weight=sample_weight, **self.like.parameters
        )


@pytest.mark.parametrize("weighted", [False, True])
def test_an_lstm_trains_as_on_the_reference(weighted, case, rng):
    """In graphs and eagerly."""
    cls, arguments = case
    x, y = lstm_data(rng, steps=6)
    weight = rng.random(len(x)).astype("float32") if weighted else None
    y, activation = bounded(y, cls, arguments)

    def trained(loss, run_eagerly):
        model = lstm_model(loss, activation=activation, run_eagerly=run_eagerly)
        history = model.fit(
            x, y, sample_weight=weight, batch_size=32, epochs=3, shuffle=False, verbose=0
        )
        return history.history["loss"], model.get_weights()

    losses, weights = trained(ReferenceLoss(cls(**arguments)), run_eagerly=False)
    for run_eagerly in (False, True):
        our_losses, our_weights = trained(cls(**arguments), run_eagerly)
        np.testing.assert_allclose(our_losses, losses, rtol=1e-5)
        assert our_losses[-1] < our_losses[0]
        for ours, theirs in zip(our_weights, weights, strict=True):
            assert np.all(np.isfinite(ours))
            np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)


def test_keras_own_loss_turns_everything_into_nan(rng):
    """The reason why this package exists; if this fails, Keras has learnt it."""
    x, y = lstm_data(rng)
    model = lstm_model("mean_squared_error")
    model.fit(x, y, sample_weight=~np.isnan(y[..., 0]) * 1.0, epochs=1, verbose=0)
    assert any(np.all(np.isnan(weight)) for weight in model.get_weights())


def test_save_load_and_continue(case, rng, tmp_path):
    cls, arguments = case
    x, y = lstm_data(rng)
    y, activation = bounded(y, cls, arguments)
    model = lstm_model(cls(missing=-999.0, **arguments), activation=activation)
    model.fit(x, y, epochs=1, verbose=0, shuffle=False)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert type(again.loss) is cls
    assert again.loss.get_config() == model.loss.get_config()
    losses_after = [m.fit(x, y, epochs=2, verbose=0, shuffle=False) for m in (model, again)]
    np.testing.assert_allclose(*(h.history["loss"] for h in losses_after), rtol=1e-6)
    np.testing.assert_allclose(again.evaluate(x, y, verbose=0), model.evaluate(x, y, verbose=0))


def test_a_masking_layer_reaches_the_loss(rng):
    """A masked step does not count, though its label is there."""
    x, y = rng.normal(size=(2, 6, 4, 2)).astype("float32")
    x[:, 2:] = 0.0
    model = keras.Sequential([keras.layers.Masking(), keras.layers.LSTM(2, return_sequences=True)])
    model.compile("sgd", loss=losses.MeanSquaredError())
    expected = np.mean((model.predict(x, verbose=0)[:, :2] - y[:, :2]) ** 2)
    np.testing.assert_allclose(model.evaluate(x, y, verbose=0), expected, rtol=1e-5)


def test_several_outputs_with_gaps_of_their_own(rng):
    inputs = keras.Input((3,))
    model = keras.Model(inputs, [keras.layers.Dense(1)(inputs), keras.layers.Dense(2)(inputs)])
    model.compile("sgd", loss=[losses.MeanSquaredError(), losses.MeanAbsoluteError()])
    x = rng.normal(size=(16, 3))
    first, second = x[:, :1].copy(), x[:, 1:].copy()
    first[::2], second[::3, 0] = NAN, NAN
    history = model.fit(x, [first, second], epochs=2, verbose=0).history
    assert all(np.all(np.isfinite(values)) for values in history.values())
