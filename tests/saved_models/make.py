"""Writes the models of this folder: `python tests/saved_models/make.py`.

It ran once, between versions 0.1.0 and 0.2.0. Each `.keras` file comes with its inputs, its
predictions and what `evaluate` said (an `.npz`). Later versions must load them and give the same
(tests/project/test_saved_models.py): so do not write them again, but add new ones for what is new.
"""

from pathlib import Path

import keras
import numpy as np

import masklstm
from masklstm import layers, losses, metrics

FOLDER = Path(__file__).parent
FEATURES, STEPS = 3, 6


def regression():
    return keras.Sequential(
        [
            keras.Input((None, FEATURES)),
            layers.Masking(-999.0),
            layers.Impute("last", elapsed=True, mask_value=-999.0),
            layers.LSTM(4, return_sequences=True),
            keras.layers.Dense(2),
        ]
    ), {
        "loss": losses.MeanSquaredError(missing=-999.0, balance="feature"),
        "metrics": [metrics.RootMeanSquaredError(missing=-999.0), metrics.R2Score(missing=-999.0)],
    }


def quantiles():
    inputs = keras.Input((None, FEATURES))
    hidden = layers.GRU(4, return_sequences=True)(layers.Impute("mean", mean=0.5)(inputs))
    outputs = [keras.layers.Dense(2, name=name)(hidden) for name in ("low", "high")]
    return keras.Model(inputs, outputs), {
        "loss": [losses.Pinball(0.1), losses.Pinball(0.9, reduction="sum")],
        "metrics": [[metrics.Pinball(0.1)], [metrics.ValidShare(), "mae"]],
    }


def classification():
    return keras.Sequential(
        [
            keras.Input((None, FEATURES)),
            layers.Impute("zero"),
            keras.layers.Bidirectional(layers.LSTM(3, return_sequences=True)),
            keras.layers.Dense(2, activation="sigmoid"),
        ]
    ), {
        "loss": losses.BinaryFocalCrossentropy(gamma=1.5, alpha=0.3, apply_class_balancing=True),
        "metrics": [
            metrics.BinaryAccuracy(),
            metrics.Masked(keras.metrics.AUC(multi_label=True, num_labels=2)),
        ],
    }


def wrapped():
    return keras.Sequential(
        [keras.Input((None, FEATURES)), layers.Impute("zero"), keras.layers.Dense(2)]
    ), {
        "loss": losses.Masked(keras.losses.CosineSimilarity()),
        "metrics": [metrics.Loss(losses.Huber(0.5)), metrics.Masked("mean_squared_error")],
    }


def parts():
    loss = losses.Sum(
        {"level": (losses.MeanAbsoluteError(), 1.0, [0]), "flow": (losses.Poisson(), 0.5, [1])}
    )
    return keras.Sequential(
        [
            keras.Input((None, FEATURES)),
            layers.Impute("learned"),
            layers.LSTM(4, return_sequences=True),
            keras.layers.Dense(2, activation="softplus"),
        ]
    ), {"loss": loss, "metrics": loss.metrics()}


MODELS = (regression, quantiles, classification, wrapped, parts)


def data(name):
    rng = np.random.default_rng(len(name))
    x = rng.standard_normal((16, STEPS, FEATURES)).astype(np.float32)
    missing = -999.0 if name == "regression" else np.nan
    x[rng.random(x.shape) < 0.3] = missing
    y = rng.standard_normal((16, STEPS, 2)).astype(np.float32)
    if name == "classification":
        y = (y > 0).astype(np.float32)
    if name == "parts":
        y = np.abs(y)
    y[rng.random(y.shape) < 0.4] = missing
    return x, y


def main():
    print(f"masklstm {masklstm.__version__}, Keras {keras.__version__}")
    for make in MODELS:
        name = make.__name__
        keras.utils.set_random_seed(7)
        model, compiled = make()
        model.compile("adam", **compiled)
        x, y = data(name)
        labels = [y] * len(model.outputs) if len(model.outputs) > 1 else y
        model.fit(x, labels, epochs=2, batch_size=8, verbose=0, shuffle=False)
        model.save(FOLDER / f"{name}.keras")
        predictions = model.predict(x, verbose=0)
        if not isinstance(predictions, list):
            predictions = [predictions]
        scores = model.evaluate(x, labels, verbose=0, return_dict=True)
        np.savez_compressed(
            FOLDER / f"{name}.npz",
            x=x,
            y=y,
            names=list(scores),
            scores=list(scores.values()),
            **{f"predictions_{number}": p for number, p in enumerate(predictions)},
        )
        print(name, scores)


if __name__ == "__main__":
    main()
