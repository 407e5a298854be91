"""Data with gaps for a small model."""

import keras
import numpy as np
import pytest

NAN = np.nan


@pytest.fixture(autouse=True)
def seed():
    keras.utils.set_random_seed(0)


@pytest.fixture
def x(rng):
    return rng.normal(size=(12, 3)).astype("float32")


@pytest.fixture
def y(x):
    """Twelve labels; 3 of the first 8 are missing, and all of the last 4."""
    y = x.sum(axis=1, keepdims=True)
    y[[1, 2, 5]] = NAN
    y[8:] = NAN
    return y


@pytest.fixture
def mixed_float16():
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    yield
    keras.config.set_dtype_policy(before)
