"""What is counted of labels, by the shapes that labels, predictions and weights may have."""

import numpy as np
import pytest
import tensorflow as tf

from masklstm.callbacks import label_counts
from masklstm.callbacks.label_counts import Layout


def layout(label, prediction):
    specs = (tf.TensorSpec(shape) if shape != "none" else None for shape in (label, prediction))
    return Layout(*specs, loss="loss", missing=())


@pytest.mark.parametrize(
    ("label", "prediction", "expected"),
    [
        ([8], [8, 3], True),
        ([8, 1], [8, 3], True),
        ([8, 5], [8, 5, 3], True),
        ([8, 5, 1], [8, 5, 3], True),
        ([None], [None, 3], True),
        ([1], [3], True),
        ([8, 3], [8, 3], False),
        ([8], [8, 1], False),
        ([8, 1], [8, 1], False),
        ([8], [8], False),
        ([], [], False),
        ([8], "none", False),
        (None, [8, 3], False),
        ([8], None, False),
    ],
)
def test_labels_that_are_classes(label, prediction, expected):
    assert layout(label, prediction).has_class_labels is expected


@pytest.mark.parametrize(
    ("shape", "fits"),
    [
        ((4,), True),
        ((4, 1), True),
        ((4, 3), True),
        ((1, 3), True),
        ((4, 3, 1), True),
        ((4, 3, 1, 1), True),
        ((4, 3, 2), False),
        ((4, 3, 1, 2), False),
        ((3,), False),
        ((4, 2), False),
    ],
)
def test_weights_that_fit_the_labels(shape, fits):
    label = tf.ones([4, 3])
    weight = (np.arange(np.prod(shape)) % 2).astype("float32").reshape(shape)
    expected = np.ones((4, 3), bool)
    if fits:
        expected &= weight.reshape(*shape[:2], *[1] * (2 - len(shape))) != 0
    found = label_counts._has_weight(weight, label)
    assert found.dtype == tf.bool
    np.testing.assert_array_equal(found, expected)


def test_a_weight_whose_rank_is_not_known_until_the_step():
    @tf.function(input_signature=[tf.TensorSpec(None), tf.TensorSpec([None, 3])])
    def counted(weight, label):
        return label_counts._has_weight(weight, label)

    np.testing.assert_array_equal(counted(np.zeros(4), np.ones((4, 3))), np.ones((4, 3), bool))


@pytest.mark.parametrize("seed", range(20))
def test_extremes_of_batches_are_those_of_the_whole(seed):
    rng = np.random.default_rng(seed)
    label = rng.integers(-3, 4, (2, 12)).astype("float32")
    there = rng.random(label.shape) < 0.6

    def extremes(*rows):
        parts = (tf.constant(x[list(rows)]) for x in (label, there))
        return label_counts._extremes(*parts)[..., None]

    merged = label_counts._merged(extremes(0), extremes(1)).numpy()
    np.testing.assert_array_equal(merged, extremes(0, 1))
    for side, values in zip(merged[..., 0], (label[there], -label[there]), strict=True):
        found, times = np.unique(values, return_counts=True)
        np.testing.assert_array_equal(side, [found[0], times[0], found[1]])
