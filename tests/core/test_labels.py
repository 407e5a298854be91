"""Labels as they are handed over: the type that they become, and structures of several outputs."""

import collections

import numpy as np
import pytest
import tensorflow as tf

import masklstm
from masklstm._core.labels import leaves, name_of, read_labels, rebuild


@pytest.mark.parametrize(
    ("y", "dtype"),
    [
        ([1, 2, 3], "float64"),
        ([True, False], "float64"),
        ([0.5, np.nan], "float64"),
        ([2**53 - 1, 1], "float64"),
        ([2**53 + 1, 1], "int64"),  # which float64 does not have
        (np.array([1, 2], "int16"), "int16"),
        (np.array([1, 2], "float32"), "float32"),
        ([None, 1], "float64"),
    ],
    ids=str,
)
def test_the_type(y, dtype):
    labels, observed = read_labels(y, np.nan)
    assert labels.dtype == dtype
    assert labels.shape == observed.shape == np.shape(y)
    assert [int(each) for each in labels[observed]] == [
        int(e) for e in y if e is not None and e == e
    ]


@pytest.mark.parametrize("y", [["a"], [[1], [1, 2]], None, np.array([2**53 + 1], object)])
def test_what_holds_no_numbers(y):
    with pytest.raises(ValueError, match="Expected 'y'"):
        read_labels(y, np.nan)


Outputs = collections.namedtuple("Outputs", ["level", "flow"])


@pytest.mark.parametrize(
    "y",
    [
        {"level": np.ones((2, 1)), "flow": np.zeros((2, 1))},
        Outputs(np.ones((2, 1)), np.zeros((2, 1))),
        (np.ones((2, 1)), np.zeros((2, 1))),
        [np.ones((2, 1)), np.zeros((2, 1))],
    ],
    ids=lambda y: type(y).__name__,
)
def test_several_outputs_keep_their_structure(y):
    labels, weights = masklstm.sample_weights(y)
    for result in (labels, weights):
        assert type(result) is type(y)
    assert [np.asarray(labels[key]).flat[0] for key in _keys(y)] == [1, 0]
    assert [keys for keys, _ in leaves(y)] == [(key,) for key in _keys(y)]
    with pytest.raises(ValueError, match=r"zip|argument|shorter|expected"):
        rebuild({"a": 1, "b": 2}, [1])


def _keys(y):
    return list(y) if isinstance(y, dict) else [0, 1]


def test_the_name_of_an_output():
    assert name_of(()) == "y"
    assert name_of(("level", 1)) == "y['level'][1]"


def test_leaves_of_one_output_and_of_nested_ones():
    y = np.ones(3)
    assert list(leaves(y)) == [((), y)]
    assert [keys for keys, _ in leaves({"a": (y, {"b": y}), "c": y})] == [
        ("a", 0),
        ("a", 1, "b"),
        ("c",),
    ]
    assert [keys for keys, _ in leaves((tf.constant(1.0), tf.ones(2)))] == [(0,), (1,)]
    assert [keys for keys, _ in leaves([tf.constant(1.0), tf.constant(2.0)])] == [()]


def test_a_list_of_tensors_is_a_table():
    labels, observed = read_labels([tf.constant([1.0, np.nan]), tf.constant([2.0, 3.0])], np.nan)
    assert labels.dtype == tf.float32
    assert observed.numpy().tolist() == [[True, False], [True, True]]
