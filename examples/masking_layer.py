"""A Masking layer and sample_weight on labels with gaps

The usual answer to "my series have missing values": fill the inputs, let a `Masking` layer skip the
filled steps, and give the missing labels the weight 0. The loss is NaN all the same: Keras computes
the loss of every label and multiplies it by its weight or mask afterwards, and NaN times 0 is NaN.
From the first step onwards all weights of the model are NaN.

masklstm's loss never computes with a missing label, so it needs no weights for them. Its `Masking`
layer takes the inputs as they are: it masks the steps that are NaN and replaces them by 0. The loss
skips the masked steps as well.
"""

import keras
import numpy as np

import masklstm
from shared import beijing, fill_inputs, main, small_array, train, try_all


def build_model(masking):
    return keras.Sequential(
        [masking, keras.layers.LSTM(8, return_sequences=True), keras.layers.Dense(1)]
    )


def plain_keras(x, y):
    weights = (~np.isnan(y[..., 0])).astype("float32")
    model = build_model(keras.layers.Masking(mask_value=0.0))
    return train(model, "mse", fill_inputs(x), y, sample_weight=weights)


def with_masklstm(x, y):
    model = build_model(masklstm.layers.Masking())
    return train(model, masklstm.losses.MeanSquaredError(), x, y)


ANSWERS = {"plain Keras": plain_keras, "masklstm": with_masklstm}


def run():
    return try_all(ANSWERS, {"small array": small_array(), "Beijing": beijing()})


if __name__ == "__main__":
    main(__doc__, run)
