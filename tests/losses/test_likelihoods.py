"""Keras losses of predicted distributions: names, training, masks, saving, errors."""

import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
from support.exact_distributions import exact
from support.native import kernels

from masklstm import callbacks, losses, metrics
from masklstm.losses import likelihoods

NAN = float("nan")
FAMILIES = [
    *((family, 1) for family in likelihoods._OF_ONE),
    *((family, 3) for family in likelihoods._OF_SEVERAL),
]


def test_every_family_is_the_loss_of_its_name():
    rng = np.random.default_rng(0)
    for family, components in FAMILIES:
        loss = losses.NegativeLogLikelihood(family, components)
        parameters = {} if components == 1 else {"components": components}
        channels = kernels.num_channels(loss.loss, **parameters)
        y_true = np.full((2, 3), 0.25, "float32")
        y_true[0, 1] = NAN
        y_pred = 0.3 + 0.5 * rng.random((2, 3, channels)).astype("float32")
        valid = ~np.isnan(y_true)
        values = [exact(loss.loss, 0.25, p, parameters)[0] for p in y_pred[valid]]
        assert float(loss(y_true, y_pred)) == pytest.approx(float(np.mean(values)), 1e-6), family
        weight = np.arange(6.0, dtype="float32").reshape(2, 3)
        weighted = sum(float(v) * w for v, w in zip(values, weight[valid], strict=True)) / 5
        assert float(loss(y_true, y_pred, weight)) == pytest.approx(weighted, 1e-6), family


def test_a_set_of_quantiles_is_the_mean_of_their_losses():
    rng = np.random.default_rng(1)
    y_true = np.where(rng.random((4, 5, 2)) < 0.4, np.nan, rng.normal(size=(4, 5, 2)))
    y_pred = rng.normal(size=(4, 5, 2, 3))
    levels = (0.1, 0.5, 0.9)
    for options in ({}, {"balance": "feature"}, {"reduction": "sum"}):
        several = losses.Pinball(levels, dtype="float64", **options)(y_true, y_pred)
        each = [
            losses.Pinball(level, dtype="float64", **options)(y_true, y_pred[..., i])
            for i, level in enumerate(levels)
        ]
        assert float(several) == pytest.approx(float(np.mean(each)), 1e-12)
    one = losses.Pinball([0.3], dtype="float64")(y_true, y_pred[..., :1])
    assert float(one) == pytest.approx(
        float(losses.Pinball(0.3, dtype="float64")(y_true, y_pred[..., 0])), 1e-12
    )


def test_tweedie_deviance_is_scikit_learn_s():
    from sklearn.metrics import mean_tweedie_deviance

    rng = np.random.default_rng(2)
    y_true = np.round(rng.gamma(1.0, 2.0, 50)) * 0.7
    y_pred = rng.gamma(2.0, 1.0, 50)
    for power in (1.1, 1.5, 1.9):
        found = losses.TweedieDeviance(power, dtype="float64")(y_true, y_pred)
        wanted = mean_tweedie_deviance(y_true, y_pred, power=power)
        assert float(found) == pytest.approx(wanted, 1e-12)


def model_of(channels, loss):
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((6, 2)),
            keras.layers.Masking(mask_value=-7.0),
            keras.layers.LSTM(4, return_sequences=True),
            keras.layers.Dense(channels, activation="softplus"),
        ]
    )
    model.compile("adam", loss, metrics=[metrics.Loss(loss)])
    return model


def test_training_with_masked_steps_and_gaps(tmp_path):
    """A mask of Keras's counts as gaps do; a saved model goes on where it was."""
    rng = np.random.default_rng(3)
    x = rng.normal(size=(16, 6, 2)).astype("float32")
    y = np.abs(x.sum(-1)) + 0.1
    y[rng.random(y.shape) < 0.3] = np.nan
    x[:, 4:] = -7.0  # steps that Masking leaves out
    hidden = y.copy()
    y[:, 4:] = 1e6
    hidden[:, 4:] = np.nan
    loss = losses.NegativeLogLikelihood("gaussian")
    model, other = model_of(2, loss), model_of(2, loss)
    history = model.fit(x, y, epochs=3, verbose=0).history
    other.fit(x, hidden, epochs=3, verbose=0)
    for found, wanted in zip(model.get_weights(), other.get_weights(), strict=True):
        assert found.tobytes() == wanted.tobytes()
    assert history["loss"][-1] < history["loss"][0]
    np.testing.assert_allclose(history["loss"][-1], history[metrics.Loss(loss).name][-1], rtol=1e-5)
    path = tmp_path / "model.keras"
    model.save(path)
    loaded = keras.saving.load_model(path)
    assert loaded.evaluate(x, y, verbose=0) == model.evaluate(x, y, verbose=0)


@pytest.mark.parametrize(
    "loss",
    [
        losses.NegativeLogLikelihood("student_t", missing=-1, balance="feature", name="t"),
        losses.NegativeLogLikelihood("laplace", components=4),
        losses.Pinball([0.05, 0.95]),
        losses.TweedieDeviance(1.2),
        losses.CRPS("ensemble"),
    ],
    ids=lambda loss: type(loss).__name__,
)
def test_config(loss):
    config = loss.get_config()
    again = type(loss).from_config(config)
    assert again.get_config() == config
    assert again.loss == loss.loss
    assert again.parameters == loss.parameters


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_half_predictions(policy):
    """Computed in float64 from what the halves hold; the gradient is of their type."""
    dtype = policy.removeprefix("mixed_")
    y_pred = tf.constant([[[0.5, 2.0]], [[1.0, 0.25]]], dtype)
    with tf.GradientTape() as tape:
        tape.watch(y_pred)
        value = losses.NegativeLogLikelihood("gaussian")([[1.0], [NAN]], y_pred)
    gradient = tape.gradient(value, y_pred)
    assert value.dtype == "float32"
    assert gradient.dtype == dtype
    expected = exact("gaussian_nll", 1.0, (0.5, 2.0), {})
    assert float(value) == pytest.approx(float(expected[0]), 1e-6)
    np.testing.assert_allclose(
        np.float64(gradient[0, 0]), np.float64([float(x) for x in expected[1]]), rtol=1e-2
    )
    assert np.all(np.float64(gradient[1]) == 0)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_the_result_has_the_losss_dtype(dtype):
    """Of every class, as Keras's losses have it; by default floatx."""
    y_pred = [[[1.0, 0.5]], [[3.0, 0.5]]]
    for make in (
        losses.NegativeLogLikelihood,
        losses.CRPS,
        lambda **options: losses.Pinball([0.2, 0.7], **options),
    ):
        value = make(dtype=dtype)([[1.5], [NAN]], y_pred)
        assert value.dtype == dtype
        assert np.isfinite(float(value))
        assert make()([[1.5], [NAN]], y_pred).dtype == keras.config.floatx()


class TestSupport:
    """Labels without a density make the loss NaN, and MissingLabels says why."""

    def test_supports_are_those_of_the_headers(self):
        for family, components in FAMILIES:
            loss = losses.NegativeLogLikelihood(family, components)
            interval = kernels.descriptions()[loss.loss]["labels"]
            if loss.support is None:
                assert interval["text"] == "(-inf, inf)"
            else:
                assert loss.support.text == interval["text"]
                assert loss.support[1:3] == (interval["lower"], interval["upper"])

    def test_labels_in_it_are_those_with_a_loss(self):
        """Its ends too, which belong to some intervals and not to others."""
        for family, components in FAMILIES:
            loss = losses.NegativeLogLikelihood(family, components)
            if loss.support is None:
                continue
            _, lower, upper, _ = loss.support
            channels = kernels.num_channels(loss.loss)
            for label in {lower - 1, lower, lower + 1 / 2, lower + 1, upper, upper + 1} - {np.inf}:
                value = loss(np.full((1, 1), label, "float32"), np.full((1, 1, channels), 0.5, "f"))
                assert loss.support.holds(label) == np.isfinite(value), (family, label)
        is_in = {end: losses.TweedieDeviance().support.holds(end) for end in (-0.1, 0.0, 9.0)}
        assert is_in == {-0.1: False, 0.0: True, 9.0: True}

    @pytest.mark.parametrize(
        ("loss", "bad", "text"),
        [
            (losses.NegativeLogLikelihood("gamma"), 0.0, "support of gamma, (0, inf): 2 of them 0"),
            (losses.NegativeLogLikelihood("beta"), 1.5, "support of beta, (0, 1): 2 of them 1.5"),
            (losses.TweedieDeviance(), -1.0, "support of tweedie, [0, inf): 2 of them -1"),
            (losses.NegativeLogLikelihood("gamma"), NAN, ""),
        ],
    )
    def test_missing_labels_names_them(self, loss, bad, text, capsys):
        y = np.full((8, 1), 0.4, "float32")
        y[2:4] = bad
        channels = 1 if isinstance(loss, losses.TweedieDeviance) else 2
        model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(channels, "softplus")])
        model.compile("sgd", loss)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            model.fit(np.ones((8, 1)), y, verbose=0, callbacks=[callbacks.MissingLabels()])
        said = "".join(str(warning.message) for warning in caught) + capsys.readouterr().out
        assert text in said
        assert ("outside of the support" in said) == bool(text)


class TestErrors:
    def test_unknown_families(self):
        with pytest.raises(ValueError, match=r"'family'.*'gaussian'.*family='normal'"):
            losses.NegativeLogLikelihood("normal")
        with pytest.raises(ValueError, match=r"TweedieDeviance\(power=1.5\)"):
            losses.NegativeLogLikelihood("tweedie")

    def test_families_without_mixtures(self):
        with pytest.raises(ValueError, match=r"mixtures are made of .*'laplace'"):
            losses.NegativeLogLikelihood("gamma", components=2)

    @pytest.mark.parametrize("components", [0, 33, 1.5, "two"])
    def test_numbers_of_components(self, components):
        with pytest.raises(ValueError, match="components"):
            losses.NegativeLogLikelihood("gaussian", components)

    def test_predictions_without_channels(self):
        with pytest.raises(ValueError, match=r"layers\.Distribution"):
            losses.NegativeLogLikelihood("gaussian")(np.zeros((4, 3)), np.ones((4, 3)))

    def test_an_unknown_distribution(self):
        with pytest.raises(ValueError, match="'gaussian', 'ensemble'"):
            losses.CRPS("normal")

    def test_levels(self):
        with pytest.raises(ValueError, match="quantile"):
            losses.Pinball([0.5, 1.5])
