"""Random cases against the float64 reference, and laws that hold whatever the loss is.

`make fuzz` draws many more: MASKLSTM_FUZZ_CASES says how many.
"""

import os

import numpy as np
import pytest
from conftest import LOSSES, REDUCTIONS, labels_and_predictions, loss_and_gradients
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from masklstm import ops, reference

CASES = int(os.environ.get("MASKLSTM_FUZZ_CASES", "300"))
every_case = settings(
    max_examples=CASES,
    deadline=None,
    derandomize=CASES <= 300,  # the normal run always tests the same cases
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


@st.composite
def problems(draw):
    """Arguments of masked_loss in float64, and the dtype to run it in."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    loss, parameters = draw(st.sampled_from(LOSSES))
    shape = draw(shapes())
    dtype = draw(st.sampled_from(["float32", "float64"]))
    y_true, y_pred = labels_and_predictions(rng, shape, dtype, loss, parameters, missing_share=0)
    gaps = GAPS[draw(st.sampled_from(sorted(GAPS)))](rng, shape)
    sentinel = draw(st.booleans())
    y_true = np.where(gaps, np.where(rng.random(shape) < 0.5 * sentinel, -7.0, np.nan), y_true)
    problem = {
        "y_true": y_true.astype(dtype),
        "y_pred": y_pred,
        "loss": loss,
        "missing": -7.0 if sentinel else float("nan"),
        "reduction": draw(st.sampled_from(REDUCTIONS)),
        **parameters,
    }
    if draw(st.booleans()):
        weight = 0.1 + rng.random(partial_shape(draw, shape))
        problem["sample_weight"] = weight.astype(dtype)
    if draw(st.booleans()):
        problem["mask"] = rng.random(partial_shape(draw, shape)) < 0.7
    return problem, dtype


@given(problems())
@every_case
def test_equals_the_float64_reference(drawn):
    problem, dtype = drawn
    actual = loss_and_gradients(ops.masked_loss, **problem)
    exact = {
        key: value.astype("float64") if getattr(value, "dtype", None) == dtype else value
        for key, value in problem.items()
    }
    expected = loss_and_gradients(reference.masked_loss, **exact)
    tolerance = 2e-5 if dtype == "float32" else 1e-11
    for a, b in zip(actual, expected, strict=True):
        assert a.dtype == dtype
        assert a.shape == b.shape
        size = np.max(np.abs([*np.ravel(b), *np.ravel(expected[0]), 1.0]))
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance * size)


def flat(problem):
    """The problem as one column of elements with weights and mask of their own."""
    y_true = problem["y_true"]

    def full(name, default):
        x = np.asarray(problem.get(name, default))
        x = x.reshape(x.shape + (1,) * (y_true.ndim - x.ndim))
        return np.broadcast_to(x, y_true.shape).reshape(-1, 1)

    return {
        **{k: v for k, v in problem.items() if k != "reduction"},
        "y_true": y_true.reshape(-1, 1),
        "y_pred": problem["y_pred"].reshape(-1, 1),
        "sample_weight": full("sample_weight", np.ones((), y_true.dtype)),
        "mask": full("mask", True),
    }


def rows(problem, chosen):
    arrays = ("y_true", "y_pred", "sample_weight", "mask")
    return {k: v[chosen] if k in arrays else v for k, v in problem.items()}


def sums(problem):
    return np.array([x.numpy() for x in ops.masked_sums(**problem)], "float64")


@given(problems(), st.randoms(use_true_random=False))
@every_case
def test_laws(drawn, random):
    """What permuting, dropping, splitting and weighing may do to the sums."""
    problem = flat(drawn[0])
    size = len(problem["y_true"])
    whole = sums(problem)
    close = {"rtol": 1e-12, "atol": 1e-9 * max(1.0, abs(whole[0]))}

    order = list(range(size))
    random.shuffle(order)
    np.testing.assert_allclose(sums(rows(problem, order)), whole, **close)

    valid = problem["mask"] & ~np.isnan(problem["y_true"])
    valid &= ~(problem["y_true"] == problem["missing"])
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
