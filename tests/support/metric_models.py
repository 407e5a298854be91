"""A model with one metric of each class, for tests and for the processes that they start."""

import keras
import numpy as np

from masklstm import losses, metrics

NAN = float("nan")


# Their predictions have more axes than the labels: tests/metrics/test_probabilistic.py has them.
OF_CHANNELS = ("CRPS", "Coverage")
OF_ONE_PREDICTION = [name for name in metrics.__all__ if name not in OF_CHANNELS]


def all_metrics():
    """One of each other class, for labels 0 and 1."""
    wrapped = {
        "Loss": losses.MeanSquaredError(balance="timestep"),
        "Masked": keras.metrics.AUC(name="auc"),
        "MeanAbsoluteScaledError": 2.5,
    }
    made = [
        getattr(metrics, name)(*[wrapped[name]] if name in wrapped else [])
        for name in OF_ONE_PREDICTION
    ]
    made.append(metrics.Masked(keras.metrics.R2Score(name="of_keras", class_aggregation=None)))
    made.append(metrics.Loss(losses.Masked("kl_divergence"), name="of_rows"))
    made.append(metrics.KlingGuptaEfficiency(class_aggregation=None, name="each"))
    made.append(metrics.PercentBias(class_aggregation=None, by="timestep", name="by_step"))
    made[OF_ONE_PREDICTION.index("Loss")].name = "of_steps"  # not that of MeanSquaredError
    return made


def data(rng, samples=24, steps=5):
    """Labels 0 and 1 with 40% missing, whole samples among them; weights of the steps."""
    x = rng.normal(size=(samples, steps, 2)).astype("float32")
    y = (x + 0.3 * rng.normal(size=x.shape) > 0).astype("float32")
    y[rng.random(y.shape) < 0.4] = NAN
    y[: samples // 4] = NAN
    return x, y, rng.random((samples, steps)).astype("float32")


def compiled(made=(), loss=None, **arguments):
    keras.utils.set_random_seed(7)
    model = keras.Sequential(
        [
            keras.Input((5, 2)),
            keras.layers.SimpleRNN(4, return_sequences=True),
            keras.layers.Dense(2, activation="sigmoid"),
        ]
    )
    model.compile("sgd", loss or losses.MeanSquaredError(), metrics=list(made), **arguments)
    return model


def named(metric):
    """Its figures by their names in the logs."""
    result = metric.result()
    return result if isinstance(result, dict) else {metric.name: result}


def figures(arrays):
    """What each metric says of labels, predictions and weights."""
    made = all_metrics()
    for metric in made:
        metric.update_state(*arrays)
    results = [pair for metric in made for pair in named(metric).items()]
    return {name: np.ravel(value).tolist() for name, value in results}
