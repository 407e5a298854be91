"""What a loss takes for an array of labels or predictions, and what it refuses."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from masklstm import losses, metrics


@pytest.mark.parametrize("place", [0, 1, 2])
def test_masked_arrays_of_numpy_are_refused(place):
    """TensorFlow would take what lies under the mask for numbers."""
    arguments = [np.ones((3, 1), "float32") for _ in range(3)]
    arguments[place] = np.ma.masked_array(arguments[place], mask=[[0], [1], [0]])
    functions = (
        losses.MeanSquaredError(),
        losses.Masked("Hinge"),
        losses.Masked(keras.losses.huber),
        losses.Sum([losses.MeanAbsoluteError()]),
        losses.CRPS("ensemble"),
        losses.RootMeanSquaredError(),
        metrics.MeanSquaredError().update_state,
        metrics.Masked("Hinge").update_state,
        metrics.R2Score().update_state,
    )
    for function in functions:
        with pytest.raises(ValueError, match=r"NumPy's masks would be lost.*filled\(numpy\.nan\)"):
            function(*arguments)


@pytest.mark.parametrize("place", [0, 1, 2])
def test_ragged_tensors_are_refused(place):
    arguments = [np.ones((3, 1), "float32") for _ in range(3)]
    arguments[place] = tf.ragged.constant([[1.0], [], [2.0]])
    with pytest.raises(ValueError, match=r"to be a dense tensor"):
        losses.MeanSquaredError()(*arguments)
