"""Small models, and their training under `MissingLabels`."""

import warnings

import keras
import numpy as np

from masklstm import losses
from masklstm._core import library
from masklstm.callbacks import MissingLabels
from masklstm.layers import MaskedLoss

NAN = np.nan


def small_model(loss=None, **options):
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    options = {"optimizer": keras.optimizers.SGD(0.01), **options}
    model.compile(loss=loss or losses.MeanSquaredError(), **options)
    return model


def fit(model, x, y=None, watch=None, **arguments):
    """History and warnings of a training without shuffling."""
    arguments = {"batch_size": None if y is None else 4, "verbose": 0, **arguments}
    callbacks = [watch or MissingLabels(), *arguments.pop("callbacks", [])]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        history = model.fit(x, y, shuffle=False, callbacks=callbacks, **arguments).history
    texts = [str(each.message) for each in caught]
    return history, [text for text in texts if text.startswith("MissingLabels: ")]


def assert_is_left_alone(model):
    assert "compute_loss" not in vars(model)
    for kind in ("train", "test"):
        assert getattr(model, f"{kind}_function", None) is None or not hasattr(
            getattr(model, f"{kind}_function"), "unwatched"
        )


MODES = [{}, {"run_eagerly": True}, {"steps_per_execution": 2}]
if library.build["xla"]:
    MODES.append({"jit_compile": True})


def endpoint_model(loss=None, **arguments):
    """Its labels are its second input."""
    inputs, labels = keras.Input((4, 2)), keras.Input((4, 1))
    endpoint = MaskedLoss(loss or losses.MeanSquaredError(), **arguments)
    return keras.Model([inputs, labels], endpoint(keras.layers.Dense(1)(inputs), labels))
