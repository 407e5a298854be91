"""Losses that take several predictions for each label, in every mode and form.

They are found by the kernels' list: a new one is tested without being named here.
"""

import functools
import hashlib
import os
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
import tensorflow as tf
from conftest import REDUCTIONS
from gpu import channels
from support import prepared
from support.exact_distributions import EXACT, exact, numbers
from support.markers import needs_native
from support.native import kernels

from masklstm import ops, reference
from masklstm._core import library

CASES = channels.with_channels(kernels)
each_case = pytest.mark.parametrize("case", CASES.items(), ids=list(CASES))
TYPES = {
    "float16": np.float16,
    "bfloat16": ml_dtypes.bfloat16,
    "float32": np.float32,
    "float64": np.float64,
}


def computing_type(dtype):
    return np.float64 if dtype == "float64" else np.float32


def example(case, shape, rng, dtype="float64"):
    """Labels with gaps, under which predictions are infinite."""
    t, p = channels.numbers(kernels, *case, shape, rng)
    t[rng.random(shape) < 0.3] = np.nan
    p[np.isnan(t)] = np.inf
    return t.astype(TYPES[dtype]), p.astype(TYPES[dtype])


def test_every_loss_has_an_exact_form():
    assert set(EXACT) == set(CASES)


@each_case
@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-6), ("float64", 1e-11)])
def test_values_and_slopes_over_the_whole_domain(case, dtype, tolerance, rng):
    """60 deviations away too, and where large terms cancel."""
    loss, parameters = case
    t, p = numbers(kernels, loss, parameters, 60, rng)
    t, p = t.astype(dtype), np.stack(p, -1).astype(dtype)
    values = kernels.masked_loss(t[:, None], p[:, None], loss, reduction="none", **parameters)[0]
    slopes = kernels.masked_loss_gradient(t, p, loss, reduction="sum_of_elements", **parameters)
    assert values.dtype == slopes.dtype == dtype
    for i in range(len(t)):
        value, expected = exact(loss, t[i], p[i], parameters)
        # Of a mixture the terms of a slope may cancel, and so may those of a loss near 0.
        assert_near(values[i], value, 1e-3 if "mixture" in loss else 0, tolerance)
        for slope, wanted in zip(slopes[i], expected, strict=True):
            assert_near(slope, wanted, 1e-3 if "mixture" in loss else 0, tolerance)


def assert_near(found, wanted, least, tolerance):
    assert abs(float(found) - wanted) <= tolerance * max(abs(wanted), least), (found, wanted)


def losses_and_derivatives(case, module, y_true, y_pred, weight, direction):
    """Every reduction, with first and second derivatives; and the sums of groups."""
    loss, parameters = case
    results = []
    for reduction in REDUCTIONS:
        with tf.GradientTape() as outer:
            outer.watch([y_pred, weight])
            with tf.GradientTape() as inner:
                inner.watch([y_pred, weight])
                value = module.masked_loss(
                    y_true, y_pred, loss, weight, reduction=reduction, **parameters
                )
            gradients = inner.gradient(value, [y_pred, weight])
            along = tf.reduce_sum(gradients[0] * direction)
        results += [value, *gradients, *outer.gradient(along, [y_pred, weight])]
    return [*results, *module.masked_sums(y_true, y_pred, loss, weight, None, **parameters)]


@each_case
def test_modes(case, rng):
    """Eager, traced and compiled: as the reference, for every reduction and derivative."""
    t, p = example(case, (4, 5, 3), rng)
    arguments = [tf.constant(x) for x in (t, p, rng.random((4, 5)), rng.normal(size=p.shape))]
    expected = losses_and_derivatives(case, reference, *arguments)
    eager = functools.partial(losses_and_derivatives, case, ops)
    runs = [eager, tf.function(eager, autograph=False)]
    if library.build["xla"]:
        runs.append(tf.function(eager, autograph=False, jit_compile=True))
    for run in runs:
        for k, (found, wanted) in enumerate(zip(run(*arguments), expected, strict=True)):
            size = np.max(np.abs(wanted))
            np.testing.assert_allclose(found, wanted, 1e-8, 1e-9 * size, err_msg=str(k))
        gaps = np.isnan(t)
        gradient = run(*arguments)[1].numpy()
        assert np.all(gradient[gaps] == 0)
        assert not np.any(np.signbit(gradient[gaps]))


@each_case
def test_the_curvature_along_a_direction_by_that_direction(case, rng):
    """The matrix of second derivatives is symmetric: both ways give its product."""
    loss, parameters = case
    y_true, y_pred = map(tf.constant, example(case, (4, 3), rng))
    one, other = (tf.constant(rng.normal(size=y_pred.shape)) for _ in range(2))

    def curvature(direction):
        with tf.GradientTape() as outer:
            outer.watch(y_pred)
            with tf.GradientTape() as inner:
                inner.watch(y_pred)
                value = ops.masked_loss(y_true, y_pred, loss, reduction="sum", **parameters)
            along = tf.reduce_sum(inner.gradient(value, y_pred) * direction)
        return outer.gradient(along, y_pred)

    with tf.GradientTape() as tape:
        tape.watch(one)
        total = tf.reduce_sum(curvature(one) * other)
    expected = curvature(other)
    assert np.any(expected != 0) or "pinball" in loss
    np.testing.assert_allclose(tape.gradient(total, one), expected, 1e-9, 1e-9)


BLOCKS = ((16_500,), (300, 57))  # beyond a block of 16,384 elements


def rows_of_single_elements(t, p):
    return t.reshape(-1, 1), p.reshape(t.size, 1, p.shape[-1])


@each_case
@pytest.mark.parametrize("dtype", TYPES)
def test_forms(case, dtype, rng):
    """Reductions, weights, masks, groups and sizes are made of the elements' losses and slopes."""
    loss, parameters = case
    for shape in ((3, 5, 2), (2, 70), (9, 64), (700,), (1, 1500), (3, 0), *BLOCKS):
        t, p = example(case, shape, rng, dtype)
        weight = rng.random(shape[:1]).astype(computing_type(dtype))
        mask = rng.random(shape) < 0.8
        valid = ~np.isnan(t.astype(np.float64)) & mask
        options = {"loss": loss, **parameters}
        single = rows_of_single_elements(*(x.astype(np.float64) for x in (t, p)))
        values = kernels.masked_loss(*single, reduction="none", **options)[0].reshape(shape)
        slopes = kernels.masked_loss_gradient(*single, reduction="sum_of_elements", **options)
        slopes = slopes.reshape(p.shape)
        full = np.broadcast_to(weight.reshape(weight.shape + (1,) * (len(shape) - 1)), shape)
        full = np.where(valid, full.astype(np.float64), 0)
        of_row = np.maximum(1, valid.sum(-1, keepdims=True))
        divisors = {
            "sum_of_elements": 1,
            "mean": max(1, valid.sum()),
            "mean_with_sample_weight": full.sum() or 1,
            "none": of_row,
            "sum": of_row,
        }
        for reduction, divisor in divisors.items():
            given = {"sample_weight": weight, "mask": mask, "reduction": reduction, **options}
            found, _, count = kernels.masked_loss(t, p, **given)
            assert count == valid.sum()
            wanted = full * values / divisor
            wanted = wanted.sum(-1) if reduction == "none" else wanted.sum()
            np.testing.assert_allclose(
                found, wanted, 1e-5, 1e-6 * np.max(np.abs(wanted), initial=1)
            )
            found = kernels.masked_loss_gradient(t, p, **given)
            assert found.dtype == p.dtype
            with np.errstate(over="ignore"):  # of float16
                wanted = ((full / divisor)[..., None] * slopes).astype(p.dtype).astype(np.float64)
            tolerance = {"float16": 2e-3, "bfloat16": 2e-2}.get(dtype, 1e-6)
            size = np.max(np.abs(wanted), initial=1e-3, where=np.isfinite(wanted))
            np.testing.assert_allclose(
                found.astype(np.float64), wanted, 2 * tolerance, tolerance * size
            )
            assert np.all(found[~valid].astype(np.float64) == 0)


@each_case
def test_threads_alignment_and_place_change_no_bit(case, rng):
    loss, parameters = case
    t, p = example(case, (9000, 5), rng, "float32")
    shifted = np.empty(p.size + 1, np.float32)[1:].reshape(p.shape)
    shifted[:] = p
    digests = set()
    for threads, predictions in ((1, p), (2, p), (5, shifted)):
        digest = hashlib.sha256()
        for reduction in ("mean", "none"):
            options = {"loss": loss, "reduction": reduction, "threads": threads, **parameters}
            digest.update(np.asarray(kernels.masked_loss(t, predictions, **options)[0]))
            place = predictions.copy()
            kernels.masked_loss_gradient(t, place, out=place, **options)
            digest.update(place)
        digests.add(digest.hexdigest())
    assert len(digests) == 1


def digest_of_all():
    """Of the bits of all of them, on this process's instruction set."""
    rng = np.random.default_rng(11)
    digest = hashlib.sha256()
    for case in CASES.items():
        loss, parameters = case
        t, p = example(case, (200, 5), rng, "float32")
        options = {"loss": loss, "reduction": "none", **parameters}
        digest.update(kernels.masked_loss(t, p, **options)[0])
        digest.update(kernels.masked_loss_gradient(t, p, **options))
    return digest.hexdigest()


@needs_native
def test_same_bits_for_every_instruction_set():
    tests = str(Path(__file__).parents[1])
    code = f"import sys; sys.path.insert(0, {tests!r})\n"
    code += "from ops import test_channels; print(test_channels.digest_of_all())"
    digests = set()
    for name in library.build["instruction_sets"]:
        process = prepared.run(code, env={**os.environ, "MASKLSTM_ISA": name})
        if "MASKLSTM_ISA. Expected" in process.stderr:
            continue  # built, but not on this processor
        assert process.returncode == 0, process.stderr
        digests.add(process.stdout)
    assert len(digests) == 1


@each_case
def test_labels_of_other_types(case, rng):
    """Integers, and a sentinel in the labels' own type."""
    loss, parameters = case
    t, p = channels.numbers(kernels, loss, parameters, (300,), rng)
    integer = np.clip(np.round(t), 1, 3).astype("int32")
    upper = kernels.descriptions()[loss]["labels"]["upper"]
    if upper > 1:
        wanted = kernels.masked_loss(np.where(integer == 2, np.nan, integer), p, loss, **parameters)
        assert kernels.masked_loss(integer, p, loss, missing=2, **parameters) == wanted
    sentinel = np.where(rng.random(300) < 0.4, np.float32(-999.9), t.astype("float32"))
    gaps = np.where(sentinel == np.float32(-999.9), np.nan, sentinel)
    wanted = kernels.masked_loss(gaps, p.astype("float32"), loss, **parameters)
    found = kernels.masked_loss(sentinel, p.astype("float32"), loss, missing=-999.9, **parameters)
    assert found == wanted


@each_case
def test_what_is_wrong_is_shown(case, rng):
    """A prediction that is NaN, a scale that is not above 0, a label outside of the support."""
    loss, parameters = case
    description = kernels.descriptions()[loss]
    t, p = channels.numbers(kernels, loss, parameters, (4,), rng)

    def is_shown(t, p):
        gradient = kernels.masked_loss_gradient(t, p, loss, **parameters)
        return (
            np.isnan(kernels.masked_loss(t, p, loss, **parameters)[0]) and np.isnan(gradient).any()
        )

    assert not is_shown(t, p)
    names = [c for c in description["channels"] for _ in range(p.shape[-1])]
    for c in range(p.shape[-1]):
        bad = p.copy()
        bad[1, c] = np.nan
        assert is_shown(t, bad)
    first = 0
    repeated = len(parameters.get("quantile", "")) or parameters.get("components", 1)
    for channel in description["channels"]:
        outside = p.copy()
        if channel["lower"] == 0 and not channel["includes_lower"]:
            for number in (0.0, -1.0):
                outside[1, first] = number
                assert is_shown(t, outside), (channel, number)
        first += repeated if channel["repeats"] else 1
    assert names
    for end, sign in (("lower", -1), ("upper", 1)):
        if np.isfinite(description["labels"][end]):
            outside = t.copy()
            outside[1] = description["labels"][end] + 0.5 * sign
            assert is_shown(outside, p)


@each_case
def test_nothing_valid_and_single_labels(case, rng):
    loss, parameters = case
    t, p = channels.numbers(kernels, loss, parameters, (3, 4), rng)
    nothing = np.full_like(t, np.nan)
    for reduction in REDUCTIONS:
        options = {"loss": loss, "reduction": reduction, **parameters}
        assert np.all(kernels.masked_loss(nothing, p * np.nan, **options)[0] == 0)
        assert np.all(kernels.masked_loss_gradient(nothing, p * np.nan, **options) == 0)
        nothing[1, 2] = t[1, 2]
        assert np.all(np.isfinite(kernels.masked_loss_gradient(nothing, p, **options)))
        nothing[1, 2] = np.nan


def test_exact_fits_have_finite_slopes():
    """At the location, the slope by it is 0, even where it jumps."""
    for loss in ("gaussian_nll", "laplace_nll", "gaussian_crps"):
        p = np.array([[2.0, 0.5]])
        assert kernels.masked_loss_gradient(np.array([2.0]), p, loss)[0, 0] == 0
        assert np.isfinite(kernels.masked_loss_gradient(np.array([2.0]), p, loss)).all()
    p = np.array([[2.0, 0.5, 0.3]])
    for loss in ("student_t_nll", "asymmetric_laplace_nll"):
        gradient = kernels.masked_loss_gradient(np.array([2.0]), p, loss)
        assert gradient[0, 0] == 0
        assert np.isfinite(gradient).all()
    p = np.array([[2.0, 2.0]])
    gradient = kernels.masked_loss_gradient(np.array([2.0]), p, "pinball_set", quantile=[0.1, 0.9])
    assert np.all(gradient == 0)


def test_a_negative_binomial_without_dispersion_is_poisson_s():
    t = np.array([0.0, 3.0, 250.0])
    m = np.array([0.5, 4.0, 240.0])
    options = {"reduction": "sum_of_elements"}
    no_dispersion = np.stack([m, 0 * m], -1)
    found = kernels.masked_loss(t, no_dispersion, "negative_binomial_nll", **options)[0]
    wanted = kernels.masked_loss(t, m[:, None], "poisson_nll", **options)[0]
    np.testing.assert_allclose(found, wanted, 1e-13)
    gradient = kernels.masked_loss_gradient(t, no_dispersion, "negative_binomial_nll", **options)
    np.testing.assert_allclose(gradient[:, 1], ((t - m) ** 2 - t) / -2, 1e-12)  # its limit


class TestShapes:
    labels = np.zeros((2, 3), "float32")

    @pytest.mark.parametrize(
        ("y_true", "y_pred"),
        [((2, 3), (2, 3, 2)), ((2, 3, 1), (2, 3, 2)), ((2, 3), (2, 3, 1, 2)), ((3,), (3, 2))],
    )
    def test_a_trailing_axis_of_length_1_may_be_missing(self, y_true, y_pred):
        found = ops.masked_loss(np.zeros(y_true), np.ones(y_pred), "gaussian_nll")
        assert float(found) == pytest.approx(0.5 * np.log(2 * np.pi) + 0.5)

    def test_a_single_channel_needs_no_axis(self):
        for shape in ((2, 3), (2, 3, 1)):
            found = ops.masked_loss(np.ones((2, 3)), np.ones(shape), "poisson_nll")
            assert float(found) == pytest.approx(1.0)

    @pytest.mark.parametrize("shape", [(2, 3), (2, 3, 3), (3, 2, 2), (2, 3, 2, 1)])
    def test_others_are_refused(self, shape):
        with pytest.raises(ValueError, match=r"2 predictions for each label.*\(2, 3, 2\)"):
            ops.masked_loss(self.labels, np.ones(shape), "gaussian_nll")
        with pytest.raises(ValueError, match=r"2 predictions for each label"):
            kernels.masked_loss(self.labels, np.ones(shape, "float32"), "gaussian_nll")

    @needs_native
    def test_unknown_shapes_are_checked_when_the_op_runs(self):
        @tf.function(input_signature=[tf.TensorSpec(None), tf.TensorSpec(None)])
        def loss(y_true, y_pred):
            return ops.masked_loss(y_true, y_pred, "gaussian_nll")

        assert np.isfinite(loss(self.labels, np.ones((2, 3, 2), "float32")))
        with pytest.raises(tf.errors.InvalidArgumentError, match="2 predictions for each label"):
            loss(self.labels, np.ones((2, 3), "float32"))


class TestParameters:
    labels, channels = np.zeros((2, 1)), np.ones((2, 1, 6))

    @pytest.mark.parametrize("components", [0, 2.5, 33, "two", None])
    def test_components_are_whole_numbers(self, components):
        for function in (ops.masked_loss, reference.masked_loss, kernels.masked_loss):
            with pytest.raises(ValueError, match=r"whole numbers of \[1, 32\]"):
                function(self.labels, self.channels, "gaussian_mixture_nll", components=components)

    @pytest.mark.parametrize("quantile", [[], [0.5, 1.0], [0.5] * 129, "median", [0.2, None]])
    def test_quantiles_lie_between_0_and_1(self, quantile):
        for function in (ops.masked_loss, reference.masked_loss, kernels.masked_loss):
            with pytest.raises(ValueError, match="quantile"):
                function(self.labels, self.channels, "pinball_set", quantile=quantile)

    def test_as_many_as_there_is_room_for(self):
        levels = list(np.linspace(0.001, 0.999, 128))
        t, p = np.ones((5, 3)), np.zeros((5, 3, 128))
        for function in (ops.masked_loss, reference.masked_loss):
            found = function(t, p, "pinball_set", quantile=levels)
            assert float(found) == pytest.approx(0.5)
        mixture = {"loss": "asymmetric_laplace_mixture_nll", "components": 32}
        value = ops.masked_loss(t, p + 0.5, **mixture)
        one = ops.masked_loss(t, p[..., :3] + 0.5, "asymmetric_laplace_nll")
        assert float(value) == pytest.approx(float(one))


@needs_native
@each_case
def test_one_op_in_each_direction(case, rng):
    """No tensor of the predictions' shape but these and their gradient, nor of the labels'."""
    loss, parameters = case
    t, p = example(case, (6, 5, 3), rng, "float32")

    @tf.function(autograph=False)
    def run(y_true, y_pred):
        with tf.GradientTape() as tape:
            tape.watch(y_pred)
            value = ops.masked_loss(y_true, y_pred, loss, **parameters)
        return value, tape.gradient(value, y_pred)

    graph = run.get_concrete_function(tf.constant(t), tf.constant(p)).graph
    large = [
        op.type
        for op in graph.get_operations()
        if any((tensor.shape.num_elements() or 0) >= t.size for tensor in op.outputs)
        and op.type not in ("Placeholder", "Identity")
    ]
    assert large == ["Masklstm>MaskedLossGrad"]
    assert sum(op.type.startswith("Masklstm>") for op in graph.get_operations()) == 2


@needs_native
def test_third_derivatives_are_refused():
    t, p = np.zeros((2,)), tf.constant(np.ones((2, 2)))
    with tf.GradientTape() as third:
        third.watch(p)
        with tf.GradientTape() as second:
            second.watch(p)
            with tf.GradientTape() as first:
                first.watch(p)
                loss = ops.masked_loss(t, p, "gaussian_nll")
            gradient = tf.reduce_sum(tf.square(first.gradient(loss, p)))
        curvature = tf.reduce_sum(second.gradient(gradient, p))
    with pytest.raises(NotImplementedError, match="third one"):
        third.gradient(curvature, p)
