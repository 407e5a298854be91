"""Gradients against finite differences, and gradients of gradients against the reference."""

import itertools

import numpy as np
import pytest
import tensorflow as tf
from conftest import REDUCTIONS, assert_all_close, labels_and_predictions
from support.markers import needs_native

from masklstm import ops, reference
from masklstm._core import library

STEP = 1e-6  # of the finite differences; the test points keep further away from every kink


def away_from_kinks(rng, shape, loss, parameters):
    """Labels and predictions whose errors are neither 0 nor +-delta."""
    y_true, y_pred = labels_and_predictions(rng, shape, "float64", loss, parameters)
    error = np.abs(y_pred - np.nan_to_num(y_true))
    delta = parameters.get("delta", 1.0)
    near = (error < 1e-3) | (np.abs(error - delta) < 1e-3)
    return y_true, y_pred + 0.01 * near


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("shape", [(5, 3), (2, 70)], ids=str)
def test_numeric_gradients(reduction, shape, loss_case, rng):
    loss, parameters = loss_case
    y_true, y_pred = away_from_kinks(rng, shape, loss, parameters)
    weight = 0.5 + rng.random(shape[0])

    def function(y_pred, weight):
        return ops.masked_loss(
            y_true, y_pred, loss, sample_weight=weight, reduction=reduction, **parameters
        )

    theoretical, numerical = tf.test.compute_gradient(
        function, [tf.constant(y_pred), tf.constant(weight)], delta=STEP
    )
    for a, b in zip(theoretical, numerical, strict=True):
        assert np.any(a)
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-7)


def test_second_derivatives(loss_case, run, once, rng):
    """The gradient of a function of the gradient, by predictions, weights and upstream."""
    loss, parameters = loss_case
    y_true, y_pred = away_from_kinks(rng, (4, 3), loss, parameters)
    weight = 0.5 + rng.random((4, 1))
    upstreams = {name: rng.normal(size=(4,) if name == "none" else ()) for name in REDUCTIONS}
    cases = list(itertools.product(REDUCTIONS, [False, True]))

    def second(function, y_pred, weight, upstream, reduction, weighted):
        watched = [y_pred, upstream] + ([weight] if weighted else [])
        with tf.GradientTape(persistent=True) as outer:
            outer.watch(watched)
            with tf.GradientTape() as inner:
                inner.watch(watched)
                value = function(
                    y_true,
                    y_pred,
                    loss,
                    sample_weight=weight if weighted else None,
                    reduction=reduction,
                    **parameters,
                )
                value = tf.reduce_sum(value * upstream)
            first = inner.gradient(value, y_pred)
            product = tf.reduce_sum(tf.sin(first) * (1 + y_pred))
        return [first, *outer.gradient(product, watched)]

    def all_cases(backend, y_pred, weight, upstreams):
        return [
            second(backend.masked_loss, y_pred, weight, upstreams[reduction], reduction, weighted)
            for reduction, weighted in cases
        ]

    tensors = [
        tf.constant(y_pred),
        tf.constant(weight),
        tf.nest.map_structure(tf.constant, upstreams),
    ]
    actual = run(lambda *xs: all_cases(ops, *xs), *tensors)
    expected = once(all_cases, reference, *tensors)
    for case, a, b in zip(cases, actual, expected, strict=True):
        assert_all_close(a, b, "float64", case)


def test_gradients_of_the_sums(loss_case, rng):
    """loss_sum and weight_sum are both differentiable, so that users can build reductions."""
    loss, parameters = loss_case
    y_true, y_pred = labels_and_predictions(rng, (4, 3), "float32", loss, parameters)
    y_pred, weight = tf.constant(y_pred), tf.constant(rng.random((4,)), tf.float32)
    results = []
    for backend in (ops, reference):
        with tf.GradientTape() as tape:
            tape.watch([y_pred, weight])
            sums = backend.masked_sums(y_true, y_pred, loss, sample_weight=weight, **parameters)
            value = sums.loss_sum / (1 + sums.weight_sum**2)
        results.append(tape.gradient(value, [y_pred, weight]))
    assert_all_close(*results, "float32")


@needs_native
def test_a_third_derivative_is_refused():
    x = tf.constant([1.0])
    with tf.GradientTape() as third:
        third.watch(x)
        with tf.GradientTape() as second:
            second.watch(x)
            with tf.GradientTape() as first:
                first.watch(x)
                value = ops.masked_loss([0.0], x)
            slope = first.gradient(value, x)
        curvature = second.gradient(slope, x)
    with pytest.raises(NotImplementedError, match="third"):
        third.gradient(curvature, x)


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_every_way_to_differentiate(reduction, loss_case, rng):
    """Forward mode, persistent tapes, jacobians, recomputation, vectorised maps."""
    loss, parameters = loss_case
    y_true, y_pred = away_from_kinks(rng, (4, 3), loss, parameters)
    y_pred, weight = tf.constant(y_pred), tf.constant(0.5 + rng.random((4,)))

    def value(y_pred, backend=ops):
        return backend.masked_loss(
            y_true, y_pred, loss, sample_weight=weight, reduction=reduction, **parameters
        )

    def of_row(y_pred, backend=ops):
        return backend.masked_loss(y_true[0], y_pred, loss, reduction=reduction, **parameters)

    with tf.autodiff.ForwardAccumulator(y_pred, tf.ones_like(y_pred)) as forward:
        loss_value = value(y_pred)
    found = [loss_value, forward.jvp(loss_value)]
    with tf.GradientTape(persistent=True) as outer:
        outer.watch(y_pred)
        with tf.GradientTape() as inner:
            inner.watch(y_pred)
            loss_value = value(y_pred)
        slope = inner.gradient(loss_value, y_pred)
    found += [outer.gradient(loss_value, y_pred), outer.jacobian(loss_value, y_pred)]
    found += [outer.jacobian(slope, y_pred)]
    with tf.GradientTape() as tape:
        tape.watch(y_pred)
        loss_value = tf.recompute_grad(value)(y_pred)
    found += [tape.gradient(loss_value, y_pred), tf.vectorized_map(of_row, y_pred)]

    # All of it follows from the reference's gradient and its derivatives.
    with tf.GradientTape(persistent=True) as outer:
        outer.watch(y_pred)
        with tf.GradientTape() as inner:
            inner.watch(y_pred)
            loss_value = value(y_pred, reference)
        slope = inner.gradient(loss_value, y_pred)
    by_rows = loss_value.shape.rank == 1  # each of its own row alone
    expected = [
        loss_value,
        tf.reduce_sum(slope, axis=-1 if by_rows else None),
        slope,
        tf.linalg.diag(tf.transpose(slope), k=0) if by_rows else slope,
        outer.jacobian(slope, y_pred, experimental_use_pfor=False),
        slope,
        tf.stack([of_row(row, reference) for row in y_pred]),
    ]
    if by_rows:  # features last again
        expected[3] = tf.transpose(expected[3], [1, 2, 0])
    assert_all_close(found, expected, "float64")


@needs_native
@pytest.mark.parametrize(
    ("name", "shape", "reduction", "message"),
    [
        ("loss_gradient", (7,), "none", r"gradient of 8 loss values.*shape \[7\]"),
        ("loss_gradient", (1,), "none", r"gradient of 8 loss values.*shape \[1\]"),
        ("loss_gradient", (9,), "none", r"gradient of 8 loss values.*shape \[9\]"),
        ("loss_gradient", (0,), "mean", r"gradient of 1 loss values.*shape \[0\]"),
        ("loss_gradient", (8,), "sum", r"gradient of 1 loss values.*shape \[8\]"),
        ("weight_sum", (2,), "mean_with_sample_weight", r"Expected scalars.*weight_sum.*\[2\]"),
        ("weight_sum", (0,), "mean", r"Expected scalars.*weight_sum.*\[0\]"),
        ("valid_count", (8,), "mean", r"Expected scalars.*valid_count.*\[8\]"),
        ("valid_count", (8, 3), "none", r"Expected scalars.*valid_count.*\[8,3\]"),
        ("valid_count", (0,), "mean", r"Expected scalars.*valid_count.*\[0\]"),
    ],
)
def test_results_that_do_not_fit_are_refused(name, shape, reduction, message, run):
    """The op that computes gradients reads as many numbers as it expects, from wherever."""
    shapes = {
        "loss_gradient": (8,) if reduction == "none" else (),
        "weight_sum": (),
        "valid_count": (),
        name: shape,
    }
    results = [
        tf.ones(shapes["loss_gradient"]),
        tf.ones(shapes["weight_sum"], tf.float64),
        tf.ones(shapes["valid_count"], tf.int64),
    ]

    def gradient(y_true, *results):
        return library.ops.masklstm_masked_loss_grad(
            *results, y_true, y_true, [], [], loss="squared_error", reduction=reduction
        )

    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        run(gradient, tf.zeros([8, 3]), *results)
    loss_gradient = tf.ones([8] if reduction == "none" else [])
    right = loss_gradient, tf.ones([], tf.float64), tf.ones([], tf.int64)
    np.testing.assert_array_equal(run(gradient, tf.zeros([8, 3]), *right), np.zeros((8, 3)))


@needs_native
def test_a_scale_below_the_range_of_the_type_is_not_lost(dtype, run):
    """The upstream gradient over the count would be flushed to 0; its product with the slope is
    an ordinary number.
    """
    upstream, slope, count = (1e-36, 2e6, 10_000) if dtype == "float32" else (1e-300, 2e6, 10_000)
    y_true = np.zeros(count, dtype)
    y_pred = tf.fill([count], tf.constant(slope / 2, dtype))

    def gradient(y_pred):
        with tf.GradientTape() as tape:
            tape.watch(y_pred)
            loss = ops.masked_loss(y_true, y_pred)
        return tape.gradient(loss, y_pred, output_gradients=tf.constant(upstream, dtype))

    expected = upstream * slope / count
    np.testing.assert_allclose(run(gradient, y_pred), expected, rtol=1e-6)
