"""`GRUD` against its paper, written down in NumPy."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import masklstm

from .gru_d_in_numpy import gru_d

NAN = float("nan")


def random_case(seed):
    rng = np.random.default_rng(seed)
    batch, time, features, units = (int(rng.integers(1, most)) for most in (4, 8, 5, 6))
    x = rng.normal(size=(batch, time, features)) * 2 + 1
    x[rng.random(x.shape) < rng.choice([0.0, 0.3, 0.7, 1.0])] = NAN
    times = np.cumsum(rng.uniform(0.1, 3, (batch, time)), axis=1) if rng.random() < 0.5 else None
    kept = rng.random((batch, time)) < 0.8 if rng.random() < 0.4 else None
    mean = rng.normal(size=features)
    layer = masklstm.layers.GRUD(units, return_sequences=True, mean=mean, dtype="float64")
    layer.build(x.shape)
    for weight in layer.trainable_weights:
        weight.assign(rng.normal(size=weight.shape))
    state = rng.normal(size=(batch, units)) if rng.random() < 0.3 else None
    return layer, x, times, kept, mean, state


def weights_of(layer):
    return {weight.name: np.array(weight) for weight in layer.trainable_weights}


def expected_states(weights, x, times, kept, mean, state):
    if times is None:
        times = np.broadcast_to(np.arange(x.shape[1]), x.shape[:2])
    kept = np.ones(x.shape[:2], bool) if kept is None else kept
    return gru_d(x, times, kept, weights, mean, state)


@pytest.mark.parametrize("seed", range(100))
def test_equal_to_the_paper_gradients_included(seed):
    layer, x, times, kept, mean, state = random_case(seed)
    rng = np.random.default_rng(1000 + seed)
    weights = weights_of(layer)
    want = expected_states(weights, x, times, kept, mean, state)
    towards = rng.normal(size=want.shape)
    given = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(given)
        states = layer(given, times=times, mask=kept, initial_state=state)
        value = tf.reduce_sum(states * towards)
    np.testing.assert_allclose(states, want, rtol=1e-9, atol=1e-12)
    slopes = tape.gradient(value, [given, *layer.trainable_weights])
    assert all(np.all(np.isfinite(slope)) for slope in slopes)

    # Along a random direction of all weights and observations at once.
    steps = {name: rng.normal(size=weight.shape) for name, weight in weights.items()}
    of_x = rng.normal(size=x.shape)
    slope = np.sum(slopes[0] * of_x) + sum(
        np.sum(np.asarray(slope) * steps[weight.name])
        for slope, weight in zip(slopes[1:], layer.trainable_weights, strict=True)
    )

    def along(size):
        moved = {name: weight + size * steps[name] for name, weight in weights.items()}
        return np.sum(expected_states(moved, x + size * of_x, times, kept, mean, state) * towards)

    # Five points: the error falls with the fourth power of the distance.
    h = 1e-4
    numeric = (8 * (along(h) - along(-h)) - (along(2 * h) - along(-2 * h))) / (12 * h)
    assert slope == pytest.approx(numeric, rel=1e-6, abs=1e-7)


def test_all_missing_gives_the_mean():
    """As if the means had been observed, but for the indicators."""
    layer = masklstm.layers.GRUD(3, mean=[2.0, -1.0])
    nothing = np.full((1, 5, 2), NAN, "float32")
    outputs = layer(nothing)
    layer.mask_kernel.assign(np.zeros_like(layer.mask_kernel))
    layer.state_decay.assign(np.zeros_like(layer.state_decay))
    means = np.broadcast_to(np.array([2.0, -1.0], "float32"), (1, 5, 2))
    np.testing.assert_allclose(layer(nothing), layer(means), rtol=1e-6)
    assert np.all(np.isfinite(outputs))


def test_nothing_looks_ahead():
    layer = masklstm.layers.GRUD(3, return_sequences=True, mean=0.0)
    x = np.random.default_rng(0).normal(size=(2, 8, 2)).astype("float32")
    x[:, 2:6, 0] = NAN
    changed = x.copy()
    changed[:, 5:] = [7.0, NAN]
    np.testing.assert_array_equal(layer(x)[:, :5], layer(changed)[:, :5])
    assert np.any(layer(x)[:, 5].numpy() != layer(changed)[:, 5].numpy())


def test_the_mean_is_adapted_and_saved(tmp_path):
    rng = np.random.default_rng(0)
    x = rng.normal([10.0, 20.0], size=(6, 5, 2))
    x[rng.random(x.shape) < 0.3] = NAN
    layer = masklstm.layers.GRUD(3)
    with pytest.raises(ValueError, match=r"adapt\(x\) first, or give mean=0.0"):
        layer(x)
    layer.adapt(x)
    model = keras.Sequential([keras.Input((5, 2)), layer, keras.layers.Dense(1)])
    np.testing.assert_allclose(layer.mean, np.nanmean(x, axis=(0, 1)), rtol=1e-6)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(again.predict(x, verbose=0), model.predict(x, verbose=0))
    layer.adapt(x + 1)
    np.testing.assert_allclose(layer.mean, np.nanmean(x, axis=(0, 1)) + 1, rtol=1e-6)


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize("precision", ["float32", "mixed_float16", "mixed_bfloat16"])
def test_trains_on_gaps_in_inputs_and_labels(precision, jit_compile):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(64, 12, 3)).astype("float32")
    y = np.where(np.isnan(x[:, -1:, 0]), 0, x[:, -3, :1] + x[:, -1, :1])
    x[rng.random(x.shape) < 0.4] = NAN
    y[::5] = NAN
    times = np.cumsum(rng.uniform(0.5, 2, x.shape[:2]), axis=1).astype("float32")
    inputs, at = keras.Input((12, 3)), keras.Input((12,))
    hidden = masklstm.layers.GRUD(8, mean=0.0, dtype=precision)(inputs, times=at)
    model = keras.Model([inputs, at], keras.layers.Dense(1, dtype="float32")(hidden))
    model.compile(
        keras.optimizers.Adam(0.01),
        masklstm.losses.MeanSquaredError(),
        jit_compile=jit_compile,
    )
    losses = model.fit([x, times], y, epochs=15, verbose=0).history["loss"]
    assert np.all(np.isfinite(losses))
    assert losses[-1] < 0.8 * losses[0]
    assert all(np.all(np.isfinite(weight)) for weight in model.get_weights())


def test_what_it_returns():
    x = np.zeros((2, 5, 3), "float32")
    sequences, last = masklstm.layers.GRUD(4, True, True, mean=0.0)(x)
    assert sequences.shape == (2, 5, 4)
    np.testing.assert_array_equal(sequences[:, -1], last)
    masked = masklstm.layers.Masking(mask_value=-1)(x)
    outputs = masklstm.layers.GRUD(4, return_sequences=True, mean=0.0)(masked)
    np.testing.assert_array_equal(outputs._keras_mask, np.ones((2, 5), bool))


@pytest.mark.parametrize(
    ("arguments", "shape", "words"),
    [
        ({"mean": [1.0, 2.0]}, (2, 5, 3), "each of the 3 features"),
        ({"mean": "x"}, (2, 5, 3), "Invalid value for argument 'mean'"),
        ({"mean": 0.0}, (2, 5), r"\(batch, time, features\)"),
    ],
)
def test_refused(arguments, shape, words):
    with pytest.raises(ValueError, match=words):
        masklstm.layers.GRUD(4, **arguments)(np.zeros(shape))


@pytest.mark.parametrize("shape", [(2, 4), (3, 5), (2,), (2, 5, 3)])
def test_times_that_do_not_fit_are_refused(shape):
    for layer in (masklstm.layers.GRUD(4, mean=0.0), masklstm.layers.Impute("last", elapsed=True)):
        with pytest.raises(ValueError, match=r"'times'. Expected \(batch, time\), \(2, 5\)"):
            layer(np.zeros((2, 5, 3), "float32"), times=np.zeros(shape))
