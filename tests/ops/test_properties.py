"""Random cases against the float64 reference, and laws that hold whatever the loss is.

`make fuzz` draws many more: MASKLSTM_FUZZ_CASES says how many.
"""

import os

import ml_dtypes
import numpy as np
import pytest
import tensorflow as tf
from conftest import LOSSES, REDUCTIONS, labels_and_predictions, loss_and_gradients
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from masklstm import ops, reference
from masklstm._core import library

CASES = int(os.environ.get("MASKLSTM_FUZZ_CASES", "500"))
every_case = settings(
    max_examples=CASES,
    deadline=None,
    derandomize=CASES <= 500,  # the normal run always tests the same cases
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


@st.composite
def shapes(draw):
    rank = draw(st.integers(0, 4))
    small = [draw(st.sampled_from([1, 1, 2, 3, 5, 7])) for _ in range(rank)]
    if rank and draw(st.booleans()):
        small[draw(st.integers(0, rank - 1))] = draw(st.sampled_from([0, 16, 33, 64, 65, 130]))
    return tuple(small)


def partial_shape(draw, shape):
    """A shape that weights or a mask may have."""
    rank = draw(st.integers(0, len(shape)))
    return tuple(draw(st.sampled_from([1, n])) for n in shape[:rank])


GAPS = {
    "none": lambda rng, shape: np.zeros(shape, bool),
    "all": lambda rng, shape: np.ones(shape, bool),
    "random": lambda rng, shape: rng.random(shape) < 0.3,
    "most": lambda rng, shape: rng.random(shape) < 0.95,
    "alternating": lambda rng, shape: np.arange(np.prod(shape, dtype=int)).reshape(shape) % 2 == 0,
    "rows": lambda rng, shape: np.broadcast_to(
        rng.random((*shape[:-1], 1)[: len(shape)]) < 0.5, shape
    ),
    "columns": lambda rng, shape: np.broadcast_to(rng.random(shape[-1:]) < 0.5, shape),
}


PREDICTIONS = {
    "float32": np.float32,
    "float64": np.float64,
    "float16": np.float16,
    "bfloat16": ml_dtypes.bfloat16,
}
INTEGERS = ["int8", "int32", "int64", "uint8", "uint64", "bool"]


def labels_of_type(y_true, dtype):
    if dtype == "bool":
        return y_true > 0.5
    if dtype in INTEGERS:
        y_true = np.round(np.abs(y_true) if dtype.startswith("u") else y_true)
        return np.minimum(y_true, 100).astype(dtype)
    return y_true.astype(dtype)


@st.composite
def problems(draw):
    """Arguments of masked_loss, of which all numbers are exact in float64."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    loss, parameters = draw(st.sampled_from(LOSSES))
    shape = draw(shapes())
    prediction_type = PREDICTIONS[draw(st.sampled_from(list(PREDICTIONS)))]
    label_type = draw(st.sampled_from([prediction_type, np.float32, *INTEGERS]))
    y_true, y_pred = labels_and_predictions(rng, shape, "float64", loss, parameters, 0)
    gaps = GAPS[draw(st.sampled_from(sorted(GAPS)))](rng, shape)
    sentinel = draw(st.sampled_from([None, 117.0]))
    y_true = np.asarray(labels_of_type(y_true, label_type))
    if label_type not in INTEGERS:
        y_true = np.where(gaps, np.array(np.nan, y_true.dtype), y_true)
    if sentinel is not None and label_type != "bool":
        found = gaps & (rng.random(shape) < 0.5) if label_type not in INTEGERS else gaps
        y_true = np.where(found, np.array(sentinel).astype(y_true.dtype), y_true)
    reduction = draw(st.sampled_from(REDUCTIONS))
    problem = {
        "y_true": y_true,
        "y_pred": np.asarray(y_pred).astype(prediction_type),
        "loss": loss,
        "missing": float("nan") if sentinel is None else sentinel,
        "reduction": reduction,
        **parameters,
    }
    if draw(st.booleans()):
        weight = 0.1 + rng.random(partial_shape(draw, shape))
        problem["sample_weight"] = weight.astype(computing_type(problem))
    if draw(st.booleans()):
        problem["mask"] = rng.random(partial_shape(draw, shape)) < 0.7
    if reduction != "none" and len(shape) >= 1:
        axes = ["sample", "timestep", "feature"] if len(shape) >= 2 else ["sample"]
        problem["balance"] = draw(st.sampled_from([None, *axes]))
    if reduction.startswith("mean"):
        problem["normalizer"] = draw(st.sampled_from([None, 3.5]))
    return problem


def computing_type(problem):
    return "float64" if problem["y_pred"].dtype == "float64" else "float32"


def assert_equals_the_float64_reference(problem, actual):
    exact = {
        key: value.astype("float64")
        if isinstance(value, np.ndarray) and value.dtype != "bool"
        else value
        for key, value in problem.items()
    }
    expected = loss_and_gradients(reference.masked_loss, **exact)
    dtype = computing_type(problem)
    assert [x.dtype for x in actual[:2]] == [dtype, problem["y_pred"].dtype]
    for a, b in zip(actual, expected, strict=True):
        assert a.shape == b.shape
        size = np.max(np.abs([*np.ravel(b), *np.ravel(expected[0]), 1.0]))
        tolerance = 2e-5 if dtype == "float32" else 1e-11
        own = a.dtype.as_numpy_dtype
        with np.errstate(over="ignore"):  # a half gradient may overflow, and both must then
            rounded = np.asarray(b).astype(own).astype("float64")
        np.testing.assert_allclose(
            a.numpy().astype("float64"),
            rounded,
            rtol=max(tolerance, float(ml_dtypes.finfo(own).eps)),
            atol=tolerance * size,
        )


@given(problems())
@every_case
def test_equals_the_float64_reference(problem):
    assert_equals_the_float64_reference(problem, loss_and_gradients(ops.masked_loss, **problem))


@pytest.mark.skipif(not library.build["xla"], reason="built without XLA")
@given(problems())
@settings(every_case, max_examples=CASES // 20)  # each one is compiled
def test_equals_the_float64_reference_under_xla(problem):
    arrays = {key: x for key, x in problem.items() if isinstance(x, np.ndarray)}
    rest = {key: x for key, x in problem.items() if key not in arrays}

    @tf.function(jit_compile=True)
    def results(tensors):
        return loss_and_gradients(ops.masked_loss, **tensors, **rest)

    actual = results({key: tf.constant(x) for key, x in arrays.items()})
    assert_equals_the_float64_reference(problem, actual)


def flat(problem):
    """The problem as one column of elements with weights and mask of their own."""
    y_true = problem["y_true"]

    def full(name, default):
        x = np.asarray(problem.get(name, default))
        x = x.reshape(x.shape + (1,) * (y_true.ndim - x.ndim))
        return np.broadcast_to(x, y_true.shape).reshape(-1, 1)

    return {
        **{k: v for k, v in problem.items() if k not in ("reduction", "balance", "normalizer")},
        "y_true": y_true.reshape(-1, 1),
        "y_pred": problem["y_pred"].reshape(-1, 1),
        "sample_weight": full("sample_weight", np.ones((), computing_type(problem))),
        "mask": full("mask", True),
    }


def rows(problem, chosen):
    arrays = ("y_true", "y_pred", "sample_weight", "mask")
    return {k: v[chosen] if k in arrays else v for k, v in problem.items()}


def sums(problem):
    return np.array([x.numpy() for x in ops.masked_sums(**problem)], "float64")


@given(problems(), st.randoms(use_true_random=False))
@every_case
def test_laws(problem, random):
    """What permuting, dropping, splitting and weighing may do to the sums."""
    problem = flat(problem)
    size = len(problem["y_true"])
    whole = sums(problem)
    # TensorFlow's own exponentials and logarithms depend on the place in memory.
    rtol, atol = (1e-12, 1e-9) if library.backend == "native" else (1e-6, 1e-6)
    close = {"rtol": rtol, "atol": atol * max(1.0, abs(whole[0]))}

    order = list(range(size))
    random.shuffle(order)
    np.testing.assert_allclose(sums(rows(problem, order)), whole, **close)

    labels = problem["y_true"].astype("float64")
    valid = problem["mask"] & ~np.isnan(labels) & (labels != problem["missing"])
    np.testing.assert_allclose(sums(rows(problem, valid[:, 0])), whole, **close)
    assert whole[2] == valid.sum()

    cut = random.randint(0, size)
    parts = [sums(rows(problem, slice(0, cut))), sums(rows(problem, slice(cut, None)))]
    np.testing.assert_allclose(parts[0] + parts[1], whole, **close)

    doubled = sums({**problem, "sample_weight": 2 * problem["sample_weight"]})
    assert list(doubled) == [2 * whole[0], 2 * whole[1], whole[2]]


@pytest.mark.parametrize(("loss", "power"), [("squared_error", 2), ("absolute_error", 1)])
def test_powers_of_two_scale_exactly(loss, power, dtype, rng):
    y_true, y_pred = labels_and_predictions(rng, (500, 3), dtype)
    value, gradient = loss_and_gradients(ops.masked_loss, y_true, y_pred, loss=loss)
    scaled, its_gradient = loss_and_gradients(ops.masked_loss, 8 * y_true, 8 * y_pred, loss=loss)
    assert float(scaled) == 8**power * float(value)
    np.testing.assert_array_equal(its_gradient, 8 ** (power - 1) * gradient.numpy())
