"""Labels imputed by the column mean

The usual answer to "the loss is NaN": fill the labels too, for example with scikit-learn's
`SimpleImputer`. Now nothing is NaN, and the model is silently wrong: it learns the invented labels,
which pull its predictions to the mean, and the loss counts them. A weight of 0 undoes this: then
the filled labels do no harm. But Keras divides the loss by the number of all labels, including
those of weight 0: the loss is too small by the share that is missing, and so is every step of plain
gradient descent.

masklstm's loss needs neither the imputer nor the weights. (For a loss that masklstm does not have,
`masklstm.sample_weights` fills the labels and makes the weights.)

For Beijing half of the labels are hidden here, twelve hours at a time, so that they can tell how
far off the predictions are.
"""

import keras
import numpy as np
from sklearn.impute import SimpleImputer

import masklstm
from shared import beijing, fill_inputs, main, small_array, train, try_all


def build_model():
    return keras.Sequential([keras.layers.LSTM(8, return_sequences=True), keras.layers.Dense(1)])


def impute(y):
    return SimpleImputer(strategy="mean").fit_transform(y[..., 0])[..., None]


def plain_keras(x, y):
    return train(build_model(), "mse", fill_inputs(x), impute(y))


def plain_keras_with_weights(x, y):
    weights = (~np.isnan(y[..., 0])).astype("float32")
    return train(build_model(), "mse", fill_inputs(x), impute(y), sample_weight=weights)


def with_masklstm(x, y):
    return train(build_model(), masklstm.losses.MeanSquaredError(), fill_inputs(x), y)


ANSWERS = {
    "plain Keras": plain_keras,
    "plain Keras with weights": plain_keras_with_weights,
    "masklstm": with_masklstm,
}


def hide_half(y):
    """Hides gaps of twelve hours."""
    gaps = np.random.default_rng(0).random(y.size // 12) < 0.5
    return np.where(np.repeat(gaps, 12).reshape(y.shape), np.nan, y)


def run():
    x, y = beijing()
    return try_all(ANSWERS, {"small array": small_array(), "Beijing": (x, hide_half(y))})


def compare(outcomes):
    """Figures by answer: losses of known predictions, and how well the trained models predict."""
    return {**_losses_of_known_predictions(), **_quality_of_predictions(outcomes)}


def _losses_of_known_predictions():
    _, y = small_array()
    weights = (~np.isnan(y[..., 0])).astype("float32")
    right = np.arange(1, 13, dtype="float32").reshape(y.shape)  # hits every label that is there
    keras_loss, masked_loss = keras.losses.MeanSquaredError(), masklstm.losses.MeanSquaredError()
    return {
        f"small array: loss of {name}": {
            "plain Keras": float(keras_loss(impute(y), predictions)),
            "plain Keras with weights": float(keras_loss(impute(y), predictions, weights)),
            "masklstm": float(masked_loss(y, predictions)),
        }
        for name, predictions in (("right predictions", right), ("zeros", 0 * right))
    }


def _quality_of_predictions(outcomes):
    x, truth = beijing()
    observed = ~np.isnan(truth)
    spreads, errors = {}, {}
    for outcome in outcomes:
        if outcome.data == "Beijing":
            predictions = outcome.model.predict(fill_inputs(x), verbose=0)[observed]
            spreads[outcome.answer] = float(predictions.std() / truth[observed].std())
            errors[outcome.answer] = float(np.sqrt(np.mean((predictions - truth[observed]) ** 2)))
    return {
        "Beijing: spread of the predictions over that of the truth": spreads,
        "Beijing: RMSE over all labels, the hidden ones too": errors,
    }


if __name__ == "__main__":
    main(__doc__, run, compare)
