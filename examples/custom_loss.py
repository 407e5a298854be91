"""A custom loss that multiplies by a mask

The usual answer to "`sample_weight` does not help": write a loss that multiplies the error by a
mask. It is NaN for the same reason: the difference from a NaN label is NaN, and so is its product
with 0. (It also divides by the number of all labels instead of those that are there. The next
attempt, `tf.where` around the result, makes the loss finite and leaves the gradient NaN:
docs/why.md has these and other pitfalls.)

masklstm's loss is the mean over the labels that are there, and its gradient is exactly 0 elsewhere.
"""

import keras

import masklstm
from shared import beijing, fill_inputs, main, small_array, train, try_all


def build_model():
    return keras.Sequential([keras.layers.LSTM(8, return_sequences=True), keras.layers.Dense(1)])


def plain_keras(x, y):
    def masked_mse(y_true, y_pred):
        mask = keras.ops.cast(~keras.ops.isnan(y_true), y_pred.dtype)
        return keras.ops.mean(keras.ops.square((y_pred - y_true) * mask))

    return train(build_model(), masked_mse, fill_inputs(x), y)


def with_masklstm(x, y):
    return train(build_model(), masklstm.losses.MeanSquaredError(), fill_inputs(x), y)


ANSWERS = {"plain Keras": plain_keras, "masklstm": with_masklstm}


def run():
    return try_all(ANSWERS, {"small array": small_array(), "Beijing": beijing()})


if __name__ == "__main__":
    main(__doc__, run)
