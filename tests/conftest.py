"""Fixtures that run one test body over modes, dtypes and the list of losses."""

import contextlib
import functools
import gc
import inspect
import os
import resource
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import pytest
import tensorflow as tf
from support import fixtures
from support.cases import (  # noqa: F401
    ELEMENTWISE,
    LOSSES,
    REDUCTIONS,
    TOLERANCE,
    labels_and_predictions,
    parameters_of,
)
from support.fixtures import case_id  # noqa: F401

from masklstm._core import library


def pytest_collection_modifyitems(items):
    """Puts the build with CUDA first: begun last, it would leave the other processes idle."""
    items.sort(key=lambda item: item.path.name != "test_cuda_build.py")


def pytest_collection_finish():
    """What has been imported stays: the search for garbage need not walk it again and again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="module", autouse=True)
def _what_a_module_leaves():
    """Nor what TensorFlow keeps of each graph that was ever traced."""
    yield
    gc.collect()
    gc.freeze()


dtype, loss_case, rng = fixtures.dtype, fixtures.loss_case, fixtures.rng


@pytest.fixture(params=["eager", "graph", "xla"])
def run(request):
    """Calls a function of tensors in one of TensorFlow's modes.

    Tracing and compiling take longer than all else: a test that has several cases, such as the
    reductions, lets one function compute them all, and one that calls a function again gets the
    program of the first call. The functions of a module are kept for all tests.
    """
    if request.param == "xla" and not library.build["xla"]:
        pytest.skip("built without XLA")
    is_compiled = request.param == "xla"
    traced_here = functools.cache(traced.__wrapped__)

    def called(function, *arguments):
        if request.param == "eager":
            return function(*arguments)
        is_of_module = inspect.isfunction(function) and "<locals>" not in function.__qualname__
        return (traced if is_of_module else traced_here)(function, is_compiled)(*arguments)

    vars(called)["mode"] = request.param
    return called


@functools.cache
def traced(function, is_compiled):
    return tf.function(function, autograph=False, jit_compile=is_compiled)


_computed_once: dict[Any, Any] = {}


@pytest.fixture
def once(request):
    """Calls a function for the first of a test's modes; the others get the same result.

    It is for what the modes of `run` are compared with, which takes as long as they do. They run
    one after the other, with the same random numbers: the last result alone is kept.
    """
    parameters = [(k, repr(v)) for k, v in request.node.callspec.params.items() if k != "run"]
    key = request.node.nodeid.split("[")[0], *parameters

    def result(function, *arguments):
        if key not in _computed_once:
            _computed_once.clear()
            _computed_once[key] = function(*arguments)
        return _computed_once[key]

    return result


@pytest.fixture
def full_disk():
    """A context in which files of this process cannot grow beyond 4 KB, as on a disk that is full.

    The limit of the process is the same one for every file system, and needs no rights.
    """

    @contextlib.contextmanager
    def limited():
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    return limited


def loss_and_gradients(function, y_true, y_pred, sample_weight=None, **arguments):
    """Flat list: the loss, its gradient by y_pred, and by sample_weight if there is one."""
    watched = [tf.convert_to_tensor(y_pred)]
    if sample_weight is not None:
        watched.append(tf.convert_to_tensor(sample_weight))
    with tf.GradientTape() as tape:
        tape.watch(watched)
        weight = watched[1] if sample_weight is not None else None
        loss = function(y_true, watched[0], sample_weight=weight, **arguments)
    return [loss, *tape.gradient(loss, watched)]


def assert_all_close(actual, expected, dtype, case=""):
    """Compares lists [loss, gradients ...]; where terms cancel, their size is that of the loss."""
    assert len(actual) == len(expected)
    sizes = np.abs(expected[0])
    largest = np.max(sizes, initial=1.0, where=np.isfinite(sizes))
    for a, b in zip(actual, expected, strict=True):
        assert a.dtype == b.dtype == dtype
        assert a.shape == b.shape
        tolerance = TOLERANCE[dtype]
        np.testing.assert_allclose(
            a, b, rtol=tolerance, atol=tolerance * largest, err_msg=str(case)
        )
