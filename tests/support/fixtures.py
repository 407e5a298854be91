"""Fixtures that need no TensorFlow."""

import numpy as np
import pytest

from support.cases import LOSSES


def case_id(case):
    name, parameters = case
    return "-".join([name, *(f"{key}={value}" for key, value in parameters.items())])


@pytest.fixture(params=LOSSES, ids=case_id)
def loss_case(request):
    """A pair (name, parameters)."""
    return request.param


@pytest.fixture(params=["float32", "float64"])
def dtype(request):
    return request.param


@pytest.fixture
def rng():
    return np.random.default_rng(20260101)
