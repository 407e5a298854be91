"""Sums and means within one unit in the last place, and counts that are exact at any size."""

import math

import numpy as np
import pytest
import tensorflow as tf
from support.markers import needs_native
from support.native import kernels

from masklstm import ops
from masklstm._core import library, summation

SIZE = 2**20 + 7


def one_large_among_ones(rng):
    y_pred = np.ones(SIZE)
    y_pred[rng.integers(SIZE)] = 1e8
    return y_pred


def many_large_among_ones(rng):
    return np.where(rng.random(SIZE) < 0.01, 1e8, 1.0)


def alternating(rng):
    return np.where(np.arange(SIZE) % 2, 1e9, 1e-9)


def every_size(rng):
    return 10.0 ** rng.uniform(-9, 9, SIZE)


def tenths(rng):
    return np.full(SIZE, 0.1)


def tenths_beyond_the_integers_of_float32(rng):
    return np.full(2**24 + 3, 0.1)


HARD = [
    one_large_among_ones,
    many_large_among_ones,
    alternating,
    every_size,
    tenths,
    tenths_beyond_the_integers_of_float32,
]


def ulp_between(value, exact):
    return abs(float(value) - exact) / float(np.spacing(np.float32(exact)))


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("make", HARD)
def test_sums_and_means_are_within_one_ulp(make, weighted, run, rng):
    y_pred = make(rng).astype("float32")
    y_true = np.zeros_like(y_pred)
    y_true[rng.random(y_true.size) < 0.3] = np.nan
    y_true[np.argmax(y_pred)] = 0.0
    valid = ~np.isnan(y_true)
    weight = rng.random(y_true.size).astype("float32") if weighted else None
    losses = np.abs(y_pred[valid]).astype("float64")
    weights = np.ones(valid.sum()) if weight is None else weight[valid].astype("float64")
    # The product of two float32 numbers is exact in float64, and fsum is exact.
    loss_sum, weight_sum = math.fsum(losses * weights), math.fsum(weights)
    exact = {
        "sum": loss_sum,
        "mean": loss_sum / len(losses),
        "mean_with_sample_weight": loss_sum / weight_sum,
    }

    def losses_by_reduction(y_true, y_pred, *weights):
        return {
            reduction: ops.masked_loss(
                y_true, y_pred, "absolute_error", *weights, reduction=reduction
            )
            for reduction in exact
        }

    tensors = [tf.constant(x[:, None]) for x in (y_true, y_pred)]
    tensors += [] if weight is None else [tf.constant(weight)]
    results = run(losses_by_reduction, *tensors)
    for reduction, value in exact.items():
        assert ulp_between(results[reduction], value) <= 1.0, reduction
    if make is not tenths_beyond_the_integers_of_float32:
        # A plain float32 sum would have lost it: the data is as hard as it is meant to be.
        naive = np.add.accumulate((np.abs(y_pred[valid]) * weights).astype("float32"))[-1]
        assert ulp_between(naive, loss_sum) > 1.0


def test_groups_are_within_one_ulp(run, rng):
    y_pred = (10.0 ** rng.uniform(-9, 9, (500, 40, 3))).astype("float32")
    y_true = np.where(rng.random(y_pred.shape) < 0.3, np.nan, 0).astype("float32")
    for balance, axes in (("sample", (1, 2)), ("timestep", (0, 2)), ("feature", (0, 1))):

        def balanced(y_true, y_pred, balance=balance):
            return ops.masked_loss(y_true, y_pred, "absolute_error", balance=balance)

        loss = run(balanced, tf.constant(y_true), tf.constant(y_pred))
        exact = np.mean(np.nanmean(np.where(np.isnan(y_true), np.nan, y_pred.astype("g")), axes))
        assert ulp_between(loss, float(exact)) <= 1.0


def test_counts_beyond_the_integers_of_float32(run):
    y_true = tf.zeros([2**24 + 3])
    sums = run(ops.masked_sums, y_true, y_true)
    assert int(sums.valid_count) == 2**24 + 3
    assert float(sums.weight_sum) == 2**24 + 3


@needs_native
def test_counts_beyond_32_bits():
    """More elements than an int32 can count, in half types to save memory; some seconds."""
    size = 2**31 + 3
    halves = tf.zeros([size], tf.bfloat16)
    sums = ops.masked_sums(halves, halves)
    assert int(sums.valid_count) == size
    assert float(sums.weight_sum) == size
    assert float(sums.loss_sum) == 0.0
    del halves, sums

    y_pred = np.zeros(size, np.float16)
    y_pred[[0, 2**31 - 1, 2**31 + 2]] = np.nan, np.nan, 2.0
    y_true = np.ones(size, np.int8)
    y_true[:2] = -1
    arguments = {"missing": -1, "reduction": "sum_of_elements", "threads": 2}
    # The mean's divisor is this count, and elements beyond 2^31 get their gradient (in place).
    assert kernels.masked_loss(y_true, y_pred, **arguments)[2] == size - 2
    gradient = kernels.masked_loss_gradient(y_true, y_pred, out=y_pred, **arguments)
    assert list(gradient[:3]) == [0.0, 0.0, -2.0]
    assert list(gradient[-2:]) == [-2.0, 2.0]
    assert np.isnan(gradient[2**31 - 1])


@pytest.mark.parametrize("backend", ["native", "reference"])
@pytest.mark.parametrize("axes", [[0], [1], [0, 2], [0, 1, 2]], ids=str)
def test_totals_along_axes(backend, axes, rng, monkeypatch):
    if backend == "native" and library.backend != "native":
        pytest.skip("this masklstm has no native part")
    monkeypatch.setattr(library, "backend", backend)
    x = rng.normal(size=(4, 3, 2))
    found = summation.total_along(tf.constant(x), axes)
    np.testing.assert_allclose(found, x.sum(axis=tuple(axes)), rtol=1e-12)
