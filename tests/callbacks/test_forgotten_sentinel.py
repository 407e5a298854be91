"""Labels that look like a forgotten sentinel: what `MissingLabels` says of them, and what not."""

import warnings

import keras
import numpy as np
import pytest

from masklstm import losses
from masklstm.callbacks import MissingLabels
from masklstm.callbacks.forgotten_sentinel import forgotten_sentinel
from masklstm.callbacks.label_counts import Extremes

NAN = np.nan
FILL_OF_NETCDF = 9.969209968386869e36


def fit(y, loss=None, outputs=None, dtype="float32", **arguments):
    """What `MissingLabels` says of sentinels in a training on these labels."""
    y = np.asarray(y, dtype)
    y = y[:, None] if y.ndim == 1 else y
    model = keras.Sequential([keras.layers.Dense(outputs or y.shape[-1], activation="sigmoid")])
    mode = {"run_eagerly": arguments.pop("run_eagerly", True)}
    model.compile(keras.optimizers.SGD(0.0), loss or losses.MeanSquaredError(), **mode)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        watch = MissingLabels(arguments.pop("missing", None))
        model.fit(np.zeros((len(y), 1)), y, batch_size=10, verbose=0, callbacks=[watch])
    texts = [str(each.message) for each in caught if "MissingLabels" in str(each.message)]
    return [text for text in texts if "looks like a number that means 'no label'" in text]


def with_some(labels, sentinel, times=5):
    labels = np.array(labels, "float64")
    labels[np.arange(times) * 7 % len(labels)] = sentinel
    return labels


rng = np.random.default_rng(0)
POSITIVE = rng.gamma(2.0, 50.0, 60)
STANDARD = rng.normal(size=60)
DEGREES = rng.normal(5, 12, 60)


@pytest.mark.parametrize("sentinel", [-999, -9999, -99, -999.9, 9999, 1e20, FILL_OF_NETCDF, -32768])
@pytest.mark.parametrize("labels", [STANDARD, DEGREES, POSITIVE], ids=["standard", "C", "positive"])
def test_a_sentinel(sentinel, labels):
    labels = with_some(labels, sentinel)
    (text,) = fit(labels)
    assert f"5 of 60 labels of the training are {np.float32(sentinel):.6g}"[:40] in text
    assert "missing=" in text
    assert fit(np.where(labels == sentinel, NAN, labels)) == []


@pytest.mark.parametrize("dtype", ["float64", "float16", "int32", "int16"])
def test_in_any_type(dtype):
    (text,) = fit(with_some(np.round(DEGREES), -999), dtype=dtype)
    assert "are -999, apart from all others" in text


def test_in_a_graph():
    (text,) = fit(with_some(DEGREES, -9999), run_eagerly=False)
    assert "5 of 60 labels of the training are -9999, apart" in text


def test_a_sentinel_that_the_loss_knows_is_none():
    labels = with_some(DEGREES, -999)
    assert fit(labels, losses.MeanSquaredError(missing=-999)) == []
    assert fit(labels, "mse", missing=-999) == []
    (text,) = fit(with_some(labels, -1e20, 2), losses.MeanSquaredError(missing=-999))
    assert "2 of 60 labels of the training are -1e+20" in text


def test_of_two_sentinels_one_is_named_at_a_time():
    (text,) = fit(with_some(with_some(POSITIVE, 9999, 3), -999, 2))
    assert "-999" in text


def test_minus_one_among_labels_that_are_not_negative():
    (text,) = fit(with_some(POSITIVE, -1))
    assert "5 of 60 labels of the training are -1," in text


@pytest.mark.parametrize(
    ("loss", "labels", "outputs"),
    [
        (losses.BinaryCrossentropy(), [0, 1, -1] * 20, 1),
        (keras.losses.BinaryCrossentropy(), [0, 1, -1] * 20, 1),
        ("binary_crossentropy", [0, 1, -100] * 20, 1),
    ],
)
def test_minus_one_among_classes(loss, labels, outputs):
    (text,) = fit(labels, loss, outputs)
    assert "no label" in text


@pytest.mark.parametrize(
    ("labels", "loss"),
    [
        (STANDARD, None),
        (np.clip(rng.normal(0, 60, 60), -99, 99), None),  # a limit is near to the next label
        (rng.integers(-1000, 1000, 60), None),
        (with_some(rng.uniform(-950, 950, 60), -999), None),
        ([-1, 0, 1] * 20, None),
        ([-1, 1] * 30, "hinge"),
        (np.tanh(STANDARD * 9), None),
        ([0, 1] * 30, losses.BinaryCrossentropy()),
        (with_some(DEGREES, 150, 1), None),
        (with_some(DEGREES, -99, 1), None),
        (with_some(np.abs(STANDARD), 0, 30), None),
        ([5] * 60, None),
        ([NAN] * 60, None),
        (10.0 ** rng.uniform(0, 6, 60), None),
        (with_some(DEGREES, np.inf), None),
    ],
)
def test_no_false_alarm(labels, loss):
    assert fit(labels, loss) == []


def test_class_minus_one_that_a_loss_skips():
    labels = np.array([0, 1, 2, -1] * 15)
    for loss in (
        losses.Masked("SparseCategoricalCrossentropy"),
        keras.losses.SparseCategoricalCrossentropy(ignore_class=-1),
    ):
        assert fit(labels, loss, outputs=3) == []


def test_a_masked_array_loses_its_mask_in_fit():
    y = np.ma.masked_array([[1.0], [FILL_OF_NETCDF], [3.0], [FILL_OF_NETCDF]], mask=[[0], [1]] * 2)
    model = keras.Sequential([keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.0), losses.MeanSquaredError())
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.fit(np.ones((4, 1)), y.astype("float32"), verbose=0, callbacks=[MissingLabels()])
    texts = [str(each.message) for each in caught]
    assert any("2 of 4 labels of the training are 9.96921e+36" in text for text in texts)
    assert any("y.filled(numpy.nan)" in text for text in texts)


@pytest.mark.parametrize(
    ("highest", "found"),
    [
        (Extremes(2000.0, 2, 500.0), None),  # twice, but not in use: the range is wide
        (Extremes(9999.0, 1, 500.0), None),  # in use, but once
        (Extremes(9999.0, 2, 500.0), -999.0),  # another sentinel
        (Extremes(500.0, 2, 400.0), -999.0),
    ],
)
def test_the_other_end(highest, found):
    lowest = Extremes(-999.0, 5, -400.0)
    assert forgotten_sentinel(lowest, highest, True, False, 100) == found


@pytest.mark.parametrize("number", [255.0, 32767.0, 65535.0, 2.0**31 - 1, 999.0])
def test_the_upper_end_of_a_type(number):
    lowest, highest = Extremes(0.0, 1, 1.0), Extremes(number, 5, 30.0)
    assert forgotten_sentinel(lowest, highest, True, False, 100) == number
    below = Extremes(-30.0, 1, -20.0)  # -255 is none
    found = forgotten_sentinel(Extremes(-255.0, 5, -30.0), below, True, False, 100)
    assert found is None
