"""`gradient_accumulation_steps` of Keras's optimizers: parts give the step of the whole batch."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from masklstm import losses

NAN = float("nan")
SAMPLES, STEPS, SIZE = 32, 4, 4
OPTIMIZERS = [lambda **options: keras.optimizers.SGD(0.5, **options), keras.optimizers.Adam]


@pytest.fixture
def arrays(rng):
    """Labels whose gaps are unequal in the parts of a batch, a part without any label among them.

    Each whole batch, of STEPS parts, has the same number of labels.
    """
    x = rng.normal(size=(SAMPLES, 5, 3)).astype("float32")
    y = np.cumsum(x, axis=1)[..., :2].copy()
    gaps = rng.random((SIZE * STEPS, 5, 2)) < np.linspace(0, 0.9, SIZE * STEPS)[:, None, None]
    gaps[4:8] = True
    y[: SIZE * STEPS][gaps] = NAN
    y[SIZE * STEPS :][gaps[::-1]] = NAN
    return x, y


def trained(dataset, loss, optimizer, epochs=2):
    keras.utils.set_random_seed(3)
    layers = [keras.Input((5, 3)), keras.layers.SimpleRNN(4, return_sequences=True)]
    model = keras.Sequential([*layers, keras.layers.Dense(2, kernel_regularizer="l2")])
    model.compile(optimizer, loss)
    model.fit(dataset, epochs=epochs, shuffle=False, verbose=0)
    return np.concatenate([weight.ravel() for weight in model.get_weights()])


def in_batches(arrays, size):
    return tf.data.Dataset.from_tensor_slices(arrays).batch(size, drop_remainder=True)


@pytest.mark.parametrize("make_optimizer", OPTIMIZERS)
@pytest.mark.parametrize("reduction", ["mean", "mean_with_sample_weight"])
def test_a_fixed_normalizer(reduction, make_optimizer, arrays):
    expected = trained(
        in_batches(arrays, SIZE * STEPS), losses.Huber(reduction=reduction), make_optimizer()
    )
    n = np.count_nonzero(~np.isnan(arrays[1][: SIZE * STEPS]))
    actual = trained(
        in_batches(arrays, SIZE),
        losses.Huber(reduction=reduction, normalizer=n / STEPS),
        make_optimizer(gradient_accumulation_steps=STEPS),
    )
    np.testing.assert_allclose(actual, expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("make_optimizer", OPTIMIZERS)
def test_weights_where_the_number_changes(make_optimizer, arrays):
    x, y = arrays
    y[20:, 2:] = NAN

    def weighted(x, y):
        n = tf.math.count_nonzero(~tf.math.is_nan(y), dtype=tf.float32)
        return x, y, tf.fill(tf.shape(y)[:1], STEPS / n)

    whole = in_batches((x, y), SIZE * STEPS)
    expected = trained(whole, losses.Huber(), make_optimizer())
    actual = trained(
        whole.map(weighted).unbatch().batch(SIZE),
        losses.Huber(normalizer=1),
        make_optimizer(gradient_accumulation_steps=STEPS),
    )
    np.testing.assert_allclose(actual, expected, rtol=1e-3, atol=1e-4)


def test_samples_with_a_label_are_the_number_of_a_balance(arrays):
    expected = trained(
        in_batches(arrays, SIZE * STEPS), losses.Huber(balance="sample"), OPTIMIZERS[0]()
    )
    n = np.count_nonzero(~np.isnan(arrays[1][: SIZE * STEPS]).all(axis=(1, 2)))
    actual = trained(
        in_batches(arrays, SIZE),
        losses.Huber(balance="sample", normalizer=n / STEPS),
        OPTIMIZERS[0](gradient_accumulation_steps=STEPS),
    )
    np.testing.assert_allclose(actual, expected, rtol=1e-3, atol=1e-4)


def test_the_default_mean_is_not_exact(arrays):
    """If this fails, the section on it in docs/losses.md can be shorter."""
    expected = trained(in_batches(arrays, SIZE * STEPS), losses.Huber(), OPTIMIZERS[0]())
    optimizer = OPTIMIZERS[0](gradient_accumulation_steps=STEPS)
    actual = trained(in_batches(arrays, SIZE), losses.Huber(), optimizer)
    assert np.max(np.abs(actual - expected)) > 0.01
