"""Keras's own loss tests, run on our classes.

They ship in the Keras package. The module is executed as it is; only the name `losses` in it is
replaced by a stand-in that has our classes where there are any, and `Masked` around Keras's own
class everywhere else.
"""

import importlib.util
import inspect
import types
from pathlib import Path

import keras
import keras.src.losses.losses as keras_losses
import pytest

from masklstm import losses

OURS = {name: getattr(losses, name) for name in losses.__all__ if hasattr(keras_losses, name)}


def _masked(cls):
    return lambda *arguments, **options: losses.Masked(cls(*arguments, **options))


MASKED = {
    name: _masked(cls)
    for name, cls in vars(keras.losses).items()
    if inspect.isclass(cls) and cls is not keras.losses.Loss and name not in OURS
}


def _keras_tests():
    path = Path(keras_losses.__file__).with_name("losses_test.py")
    spec = importlib.util.spec_from_file_location("keras_losses_test", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.losses = types.SimpleNamespace(**(vars(keras_losses) | MASKED | OURS))
    return module


_module = _keras_tests()

# Keras 3.15 forgets Huber's delta when it is saved; our class does not.
_module.HuberLossTest.test_config = pytest.mark.skip(reason="Keras's config lacks delta")(
    _module.HuberLossTest.test_config
)

# It compares the config of Keras's class with one that has no more than a name and a reduction.
_module.CosineSimilarityTest.test_config = pytest.mark.skip(reason="Masked's config has its loss")(
    _module.CosineSimilarityTest.test_config
)

TESTS = [name for name in vars(_module) if name.endswith("Test")]

# pytest collects what stands in this module.
globals().update({name: getattr(_module, name) for name in TESTS})


def test_the_stand_in_is_ours():
    assert len(OURS) == 9
    assert len(MASKED) == 13
    assert len(TESTS) == len(OURS) + len(MASKED)
    for name in (*OURS, *MASKED):
        assert getattr(_module.losses, name).__module__ != keras_losses.__name__
    assert _module.losses.mean_squared_error is keras_losses.mean_squared_error
    with pytest.raises(AttributeError):
        _module.losses.no_such_loss  # noqa: B018
