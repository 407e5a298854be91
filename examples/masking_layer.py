"""A Masking layer and sample_weight on labels with gaps

The usual answer to "my series have missing values": fill the inputs, let a `Masking` layer skip the
filled steps, and give the missing labels the weight 0. The loss is NaN all the same. Keras computes
the loss of every label and multiplies it by its weight or mask afterwards, and NaN times 0 is NaN.
From the first step on all weights of the model are NaN.

masklstm's loss never computes with a missing label, so it needs no weights for them. The `Masking`
layer may stay: the loss skips the steps that it masks as well.
"""

import keras
import numpy as np
from shared import beijing, fill_inputs, main, small_array, train, try_all

import masklstm


def build_model():
    return keras.Sequential(
        [
            keras.layers.Masking(mask_value=0.0),
            keras.layers.LSTM(8, return_sequences=True),
            keras.layers.Dense(1),
        ]
    )


def plain_keras(x, y):
    observed = ~np.isnan(y[..., 0])
    weights = observed.astype("float32")
    return train(build_model(), "mse", fill_inputs(x), y, sample_weight=weights)


def with_masklstm(x, y):
    return train(build_model(), masklstm.losses.MeanSquaredError(), fill_inputs(x), y)


ANSWERS = {"plain Keras": plain_keras, "masklstm": with_masklstm}


def run():
    return try_all(ANSWERS, {"small array": small_array(), "Beijing": beijing()})


if __name__ == "__main__":
    main(__doc__, run)
