"""Gradients whose factors lie far apart: an upstream gradient, a divisor, a weight and a slope.

Their product is an ordinary number, though the products of some of them are none.
"""

import itertools

import numpy as np
import pytest
import tensorflow as tf
from support.markers import needs_native
from support.native import kernels

from masklstm import ops
from masklstm._core import library

MODES = ["eager", "graph", "xla"]
# Binary exponents of float32's normal numbers, with their ends.
EXPONENTS = [-126, -125, -101, -100, -99, -70, -64, -63, -1, 0, 40, 63, 64, 65, 100, 125, 126]
DIGITS = 1.37


def is_normal(x, dtype="float32"):
    limits = np.finfo(dtype)
    return float(limits.tiny) <= abs(x) <= float(limits.max)


def gradient_function(mode, **options):
    """gradient(y_true, y_pred, weight, upstream) by y_pred, of squared errors: slopes 2 p."""
    if mode == "xla" and not library.build["xla"]:
        pytest.skip("built without XLA")

    def gradient(y_true, y_pred, weight, upstream):
        with tf.GradientTape() as tape:
            tape.watch(y_pred)
            loss = ops.masked_loss(y_true, y_pred, sample_weight=weight, **options)
        return tape.gradient(loss, y_pred, output_gradients=upstream)

    return gradient if mode == "eager" else tf.function(gradient, jit_compile=mode == "xla")


def cases(divisor):
    """(upstream, weight, slope, result) of float32 numbers with a normal product."""
    for exponents in itertools.product(EXPONENTS, repeat=3):
        upstream, weight, slope = (DIGITS * 2.0**exponent for exponent in exponents)
        result = upstream * weight * slope / divisor(weight)
        if is_normal(slope / 2) and is_normal(result / 4) and is_normal(result * 4):
            yield upstream, weight, slope, result


@needs_native
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("options", "divisor"),
    [
        ({"reduction": "mean"}, lambda weight: 3.0),
        ({"reduction": "mean_with_sample_weight"}, lambda weight: 3.0 * weight),
        ({"reduction": "sum"}, lambda weight: 3.0),
        ({"reduction": "none"}, lambda weight: 3.0),
        ({"reduction": "sum", "balance": "sample"}, lambda weight: 3.0),
        ({"reduction": "mean_with_sample_weight", "balance": "sample"}, lambda weight: 3 * weight),
        ({"normalizer": 3e30}, lambda weight: 3e30),
        ({"normalizer": 3e-30}, lambda weight: 3e-30),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
def test_a_product_of_far_factors_is_right(mode, options, divisor):
    gradient = gradient_function(mode, **options)
    y_true = tf.constant([[0.0, 0.0, np.nan, 0.0]])
    with tf.device("CPU"):
        some = list(cases(divisor))[:: 1 if mode == "xla" else 3]
        assert len(some) > 100
        for upstream, weight, slope, result in some:
            if "balance" in options and not is_normal(upstream * weight / divisor(weight)):
                continue  # weights are multiplied by the groups' factors first
            upstream = np.full(1, upstream) if options.get("reduction") == "none" else upstream
            found = gradient(
                y_true,
                tf.fill([1, 4], tf.constant(slope / 2, tf.float32)),
                tf.constant([weight], tf.float32),
                tf.constant(upstream, tf.float32),
            )
            expected = np.array([[result, result, 0.0, result]])
            np.testing.assert_allclose(found, expected, rtol=4e-7, err_msg=f"{upstream, weight}")


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("balance", [None, "sample", "feature"])
@pytest.mark.parametrize(
    ("weights", "upstream"),
    [
        ([1e-36, 0.0], 2.0**15),
        ([1e38, 1e38], 1.0),
        ([1e38, 1e38], 1e-30),
        ([1e-36, 1e38], 1.0),
        ([2e-38, 2e38], 1.0),
        ([3e37, 1e-3], 2.0**15),
        ([1e-36, 1e-37], 1e-30),
    ],
)
def test_weights_at_both_ends(mode, balance, weights, upstream):
    gradient = gradient_function(mode, reduction="mean_with_sample_weight", balance=balance)
    y_true, y_pred = np.zeros((2, 3)), np.full((2, 3), 0.5)
    y_true[0, 1] = np.nan
    valid = ~np.isnan(y_true)
    weight = np.where(valid, np.float32(weights).astype("float64")[:, None], 0)
    axis = {None: None, "sample": 1, "feature": 0}[balance]
    divisor = weight.sum(axis, keepdims=True)
    groups = np.count_nonzero(divisor)
    found = gradient(
        *(tf.constant(x, tf.float32) for x in (y_true, y_pred, weights)), tf.constant(upstream)
    )
    expected = upstream * weight / np.where(divisor == 0, 1, divisor) / groups
    smallest = np.finfo("float32").tiny  # what lies below may be flushed to 0
    np.testing.assert_allclose(found, expected, rtol=4e-7, atol=smallest)


@needs_native
@pytest.mark.parametrize("mode", MODES)
def test_a_product_of_far_float64_factors_is_right(mode):
    """Upstream over divisor has to be a float64; what it is multiplied with, may lie anywhere."""
    gradient = gradient_function(mode)
    exponents = (-1000, -600, -500, 0, 500, 600, 1000)
    number = 0
    for upstream, weight, slope in itertools.product([2.0**e for e in exponents], repeat=3):
        exact = sum(np.log2([upstream, weight, slope]))
        if abs(exact) > 1000:
            continue
        number += 1
        found = gradient(
            tf.zeros([1, 1], tf.float64),
            tf.constant([[slope / 2]], tf.float64),
            tf.constant([weight], tf.float64),
            tf.constant(upstream, tf.float64),
        )
        assert float(found[0, 0]) == 2.0**exact, (upstream, weight, slope)
    assert number > 100


def test_the_borders_of_the_scale():
    """One weight alone cancels itself out, whatever 1 / weight is as a float32."""
    y_true = np.zeros((1, 37), "float32")
    y_pred = np.full((1, 37), 37 * 0.65, "float32")
    for exponent in range(-148, 128):
        weight = np.array(DIGITS * 2.0**exponent, "float32")
        for sample_weight in (weight, np.full((1, 37), weight)):
            found = kernels.masked_loss_gradient(
                y_true, y_pred, sample_weight=sample_weight, reduction="mean_with_sample_weight"
            )
            np.testing.assert_allclose(found, 1.3, rtol=3e-7, err_msg=str(exponent))


@pytest.mark.parametrize("shape", [(), (64, 1), (1, 32), (64, 32)], ids=str)
@pytest.mark.parametrize("exponent", [-120, 120])
def test_weights_at_the_ends_beside_an_ordinary_scale(shape, exponent):
    """However they are stored: the product with 1 / 2048 leaves the range, or nearly so."""
    slope = 1.5 * 2.0**-exponent
    found = kernels.masked_loss_gradient(
        np.zeros((64, 32), "float32"),
        np.full((64, 32), slope / 2, "float32"),
        sample_weight=np.full(shape, DIGITS * 2.0**exponent, "float32"),
    )
    np.testing.assert_allclose(found, DIGITS * 1.5 / 2048, rtol=3e-7)


def test_a_weight_of_0_stays_0_beside_one_that_is_out_of_range():
    weight = np.array([1e-44, 0.0] * 20, "float32")
    y_pred = np.full(40, 3e38, "float32")
    y_pred[::2] = 1.0
    found = kernels.masked_loss_gradient(
        np.zeros_like(y_pred),
        y_pred,
        "absolute_error",
        sample_weight=weight,
        reduction="mean_with_sample_weight",
    )
    np.testing.assert_allclose(found, np.tile([0.05, 0.0], 20), rtol=3e-7)


@pytest.mark.parametrize("row_size", [1, 3, 16, 61, 64, 65, 300])
def test_rows_keep_what_their_weights_bring_back(row_size):
    """A weight and a slope at the two ends of the range, in rows that are short, or long."""
    rng = np.random.default_rng(1)
    shape = (2 * 1024 // row_size + 3, row_size)
    exponents = rng.integers(-120, 121, shape)
    weight = (DIGITS * 2.0**exponents).astype("float32")
    slope = 2.0**-exponents * 1.5
    y_pred = (slope / 2).astype("float32")
    y_true = np.where(rng.random(shape) < 0.3, np.nan, 0).astype("float32")
    y_true[1] = np.nan
    valid = ~np.isnan(y_true)
    expected = np.where(valid, DIGITS * 1.5 / np.maximum(1, valid.sum(1, keepdims=True)), 0)
    for reduction in ("none", "sum"):
        found = kernels.masked_loss_gradient(
            y_true, y_pred, sample_weight=weight, reduction=reduction
        )
        np.testing.assert_allclose(found, expected, rtol=4e-7)
    smaller = kernels.masked_loss_gradient(
        y_true,
        np.full(shape, 1e30, "float32"),
        sample_weight=np.full(shape, 1e-38, "float32"),
        reduction="sum",
    )
    np.testing.assert_allclose(smaller, expected / (DIGITS * 1.5) * 2e-8, rtol=4e-7)


@pytest.mark.parametrize("reduction", ["mean", "mean_with_sample_weight"])
def test_a_float64_sum_out_of_range_is_infinite(reduction, run):
    """Also where its mean would be a number; of float32 numbers no sum is."""
    y_true, y_pred = np.zeros(2), tf.constant([1.5e308, 1.5e308], tf.float64)

    def loss(y_pred):
        return ops.masked_loss(y_true, y_pred, "absolute_error", reduction=reduction)

    assert run(loss, y_pred) == np.inf
    largest = tf.fill([1000], tf.float32.max)
    y_true = np.zeros(1000)
    assert run(loss, largest) == tf.float32.max


@pytest.mark.parametrize("normalizer", [5e-324, 2e-308])
def test_a_normalizer_that_tensorflow_takes_for_0_is_refused(normalizer):
    with pytest.raises(ValueError, match=r"'normalizer'.*2\.2250738585072014e-308"):
        ops.masked_loss([[1.0]], [[2.0]], normalizer=normalizer)
    found = ops.masked_loss([[1.0]], [[2.0]], normalizer=2.0**-1000)
    assert found == np.inf
    smallest = np.finfo("float64").tiny
    y_pred = tf.constant([[smallest]])
    assert ops.masked_loss([[0.0]], y_pred, "absolute_error", normalizer=smallest) == 1.0
