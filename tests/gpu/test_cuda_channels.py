"""Losses with channels by the CUDA kernels, against the CPU's."""

import numpy as np
import pytest

from . import channels
from .checks import REDUCTIONS, TYPES, assert_close, computing_type

SHAPES = ((7, 5, 3), (5, 70), (1, 300), (600,))  # short rows, long ones, a single one, and many


@pytest.fixture(scope="module", params=range(16))
def case(request, kernels):
    """A loss and its parameters."""
    cases = list(channels.with_channels(kernels).items())
    assert len(cases) == 16  # of the parameters above
    return cases[request.param]


def example(kernels, case, shape, dtype, rng):
    loss, parameters = case
    t, p = channels.numbers(kernels, loss, parameters, shape, rng)
    t[rng.random(shape) < 0.3] = np.nan
    p[np.isnan(t)] = np.inf
    return t.astype(TYPES[dtype]), p.astype(TYPES[dtype])


def within_range(x):
    """What float16 cannot hold as a number that it could nearly."""
    return (
        np.clip(x.astype(np.float64), -7e4, 7e4) if x.dtype == np.float16 else x.astype("float64")
    )


def on_device(kernels, arrays):
    return {name: kernels.to_device(array) for name, array in arrays.items()}


@pytest.mark.sanitize
@pytest.mark.parametrize("dtype", TYPES)
def test_as_on_the_cpu(kernels, rng, case, dtype):
    loss, parameters = case
    for shape in SHAPES:
        t, p = example(kernels, case, shape, dtype, rng)
        labels = {"y_true": t, "y_pred": p}
        weights = {
            "sample_weight": rng.random(shape[:1]).astype(computing_type(dtype)),
            "mask": rng.random(shape) < 0.8,
        }
        for given in ({}, weights):
            arrays = labels | given
            moved = on_device(kernels, arrays)
            for reduction in REDUCTIONS:
                options = {"loss": loss, "reduction": reduction, **parameters}
                want, _, count = kernels.masked_loss(**arrays, **options)
                found, _, found_count = kernels.masked_loss(**moved, **options)
                precision = "float64" if dtype == "float64" else "float32"
                assert_close(found.numpy(), np.asarray(want), precision)
                assert found_count.numpy() == count
                want = kernels.masked_loss_gradient(**arrays, **options)
                found = kernels.masked_loss_gradient(**moved, **options).numpy()
                assert found.dtype == want.dtype
                assert_close(within_range(found), within_range(want), dtype)
                assert np.all(found[np.isnan(t.astype(np.float64))].astype(np.float64) == 0)


def test_sums_of_groups_as_on_the_cpu(kernels, rng, case):
    loss, parameters = case
    for balance in ("sample", "timestep", "feature"):
        t, p = example(kernels, case, (40, 9, 3), "float32", rng)
        options = {"loss": loss, "balance": balance, **parameters}
        want = kernels.masked_group_sums(t, p, **options)
        found = kernels.masked_group_sums(*map(kernels.to_device, (t, p)), **options)
        for sums, expected in zip(found, want, strict=True):
            assert_close(sums.numpy(), expected, "float32")


def test_the_gradient_may_take_the_predictions_place(kernels, rng, case):
    loss, parameters = case
    t, p = example(kernels, case, (600,), "float32", rng)
    for reduction in ("mean", "none"):
        options = {"loss": loss, "reduction": reduction, **parameters}
        t, p = t.reshape(-1, 3), p.reshape(-1, 3, p.shape[-1])
        want = kernels.masked_loss_gradient(*map(kernels.to_device, (t, p)), **options).numpy()
        place = kernels.to_device(p)
        kernels.masked_loss_gradient(kernels.to_device(t), place, out=place, **options)
        assert place.numpy().tobytes() == want.tobytes()
