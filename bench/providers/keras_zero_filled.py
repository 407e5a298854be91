"""Keras's own loss on labels without NaN, with weights that are 0 in the gaps.

Labels and weights are prepared outside of the measured time, as a user would do in the input
pipeline; so this provider is spared the search for NaN.
"""

import keras
import numpy as np
import tensorflow as tf

from bench.case import Arrays, Case
from bench.providers import Run
from bench.providers._plain import supports as supports
from bench.providers._tensorflow import compiled

NAME = "Keras, weights"
DESCRIPTION = "keras.losses.MeanSquaredError on zero-filled labels with sample_weight"


def make(case: Case, arrays: Arrays) -> Run:
    valid = ~np.isnan(arrays.y_true)
    loss = keras.losses.MeanSquaredError(reduction="mean_with_sample_weight")

    def weighted(labels: tf.Tensor, predictions: tf.Tensor, weight: tf.Tensor | None) -> tf.Tensor:
        # One feature a row, so that the weights are by element.
        return loss(tf.expand_dims(labels, -1), tf.expand_dims(predictions, -1), weight)

    labels = np.where(valid, arrays.y_true, 0)
    return compiled(case, Arrays(labels, arrays.y_pred, valid.astype(np.float32)), weighted)
