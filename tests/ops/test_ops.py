"""The native op against the reference, and the contract's rules one by one."""

import functools
import itertools
import math

import numpy as np
import pytest
import tensorflow as tf
from conftest import (
    LOSSES,
    REDUCTIONS,
    assert_all_close,
    case_id,
    labels_and_predictions,
    loss_and_gradients,
)
from support.markers import needs_native

from masklstm import ops, reference

NAN = float("nan")

# Ranks 0 to 5, empty axes, rows shorter and longer than the kernels' 64 elements, sizes around the
# vector widths (8, 16), the chunk (1024) and the block (16384).
SHAPES = [
    (),
    (0,),
    (3, 0),
    (0, 3),
    (1,),
    (7, 1),
    (5, 3),
    (4, 5, 6),
    (17, 1, 2, 5),
    (2, 1, 3, 2, 2),
    (3, 64),
    (3, 65),
    (2, 3, 1030),
]
SIZES = [n + d for n in (8, 16, 1024, 16384) for d in (-1, 0, 1)]


def leading_shapes(shape):
    """Every shape that weights and masks may have: prefixes, with 1s behind or in between."""
    prefixes = [shape[:rank] for rank in range(len(shape) + 1)]
    padded = [p + (1,) * (len(shape) - len(p)) for p in prefixes]
    suffixes = [(1,) * rank + shape[rank:] for rank in range(1, len(shape))]
    return list(dict.fromkeys(prefixes + padded + suffixes))


# Forms do not depend on the loss, so float32 has them for some losses only.
FORM_CASES = [
    pytest.param(case, dtype, id=f"{case_id(case)}-{dtype}")
    for case in LOSSES
    for dtype in ("float32", "float64")
    if dtype == "float64" or case[0] in ("squared_error", "huber", "poisson")
]


@functools.lru_cache(maxsize=1)
def reference_of_rows(loss, parameters, dtype):
    """The reference's results of all reductions, for rows with weights and a mask of their shape.

    Traced once for labels of every size, it takes a tenth of the time of the eager reference.
    """
    rows = tf.TensorSpec([None, None], dtype)

    @tf.function(input_signature=[rows, rows, rows, tf.TensorSpec([None, None], "bool")])
    def results(y_true, y_pred, weight, mask):
        return {
            reduction: loss_and_gradients(
                reference.masked_loss,
                y_true,
                y_pred,
                weight,
                mask=mask,
                loss=loss,
                reduction=reduction,
                **dict(parameters),
            )
            for reduction in REDUCTIONS
        }

    return results


def spread(values, shape):
    """Broadcast to `shape`, with the axes aligned from the left, as weights and masks are."""
    values = np.asarray(values)
    return np.broadcast_to(values.reshape(values.shape + (1,) * (len(shape) - values.ndim)), shape)


def gathered(gradient, shape):
    """What `spread` broadcast, added up over the axes along which it did."""
    padded = shape + (1,) * (gradient.ndim - len(shape))
    axes = tuple(i for i, n in enumerate(padded) if n == 1)
    return gradient.sum(axis=axes, keepdims=True, dtype="float64").reshape(shape)


def by_the_reference(y_true, y_pred, weight, mask, loss, parameters):
    """Of each reduction the list that `loss_and_gradients` has, of arrays."""
    shape, dtype = y_true.shape, y_true.dtype
    rows = math.prod(shape[:-1]), math.prod(shape[-1:])
    full = [
        y_true,
        y_pred,
        spread(np.ones((), dtype) if weight is None else weight, shape),
        spread(np.True_ if mask is None else mask, shape),
    ]
    results = reference_of_rows(loss, tuple(parameters.items()), dtype.name)
    found = results(*(tf.constant(np.reshape(x, rows)) for x in full))
    expected = {}
    for reduction, (value, by_y_pred, by_weight) in found.items():
        value = value.numpy().reshape(shape[:-1] if reduction == "none" else ())
        expected[reduction] = [value, by_y_pred.numpy().reshape(shape)]
        if weight is not None:
            by_weight = gathered(by_weight.numpy().reshape(shape), weight.shape)
            expected[reduction].append(by_weight.astype(dtype))
    return expected


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize(("case", "dtype"), FORM_CASES)
def test_equals_the_reference_for_every_form(shape, case, dtype, rng):
    """Every reduction, weight shape and mask shape that a label shape has."""
    loss, parameters = case
    y_true, y_pred = labels_and_predictions(rng, shape, dtype, loss, parameters)
    weights = [None] + [rng.random(s).astype(dtype) for s in leading_shapes(shape)]
    masks = [None] + [rng.random(s) < 0.7 for s in leading_shapes(shape)]
    # All weights without a mask, all masks without weights, and some of both.
    pairs = [(w, None) for w in weights] + [(None, m) for m in masks]
    pairs += [(weights[i % len(weights)], m) for i, m in enumerate(masks, start=1)]
    for weight, mask in pairs:
        expected = by_the_reference(y_true, y_pred, weight, mask, loss, parameters)
        for reduction in REDUCTIONS:
            arguments = {
                "y_true": y_true,
                "y_pred": y_pred,
                "sample_weight": weight,
                "mask": mask,
                "loss": loss,
                "reduction": reduction,
                **parameters,
            }
            actual = loss_and_gradients(ops.masked_loss, **arguments)
            forms = [None if x is None else x.shape for x in (weight, mask)]
            assert_all_close(actual, expected[reduction], dtype, (reduction, *forms))
            if loss == "log_cosh":  # the forms of the eager reference; they are those of any loss
                eager = loss_and_gradients(reference.masked_loss, **arguments)
                assert_all_close(actual, eager, dtype, ("eager", reduction, *forms))


@pytest.mark.parametrize("size", SIZES)
def test_equals_the_reference_at_block_borders(size, loss_case, dtype, rng):
    loss, parameters = loss_case
    y_true, y_pred = labels_and_predictions(rng, (size,), dtype, loss, parameters)
    weight = rng.random(size).astype(dtype)
    for reduction in ("mean", "mean_with_sample_weight"):
        arguments = {"loss": loss, "reduction": reduction, **parameters}
        actual, expected = (
            loss_and_gradients(backend.masked_loss, y_true, y_pred, weight, **arguments)
            for backend in (ops, reference)
        )
        assert_all_close(actual, expected, dtype)


def test_modes_and_missing(loss_case, dtype, run, once, rng):
    loss, parameters = loss_case
    y_true, y_pred = labels_and_predictions(rng, (6, 5, 3), dtype, loss, parameters)
    y_true[rng.random(y_true.shape) < 0.2] = -999.0
    y_true[0, 0, 0] = 0.0
    with_infinity = y_true.copy()
    with_infinity[0, 0, 0] = np.inf
    weight = rng.random((6, 5)).astype(dtype)
    mask = rng.random((6, 5)) < 0.8
    cases = list(itertools.product([NAN, -999.0, "nonfinite"], REDUCTIONS))

    def with_gradients(backend, y_true, with_infinity, y_pred, weight):
        return [
            loss_and_gradients(
                backend.masked_loss,
                with_infinity if missing == "nonfinite" else y_true,
                y_pred,
                weight,
                mask=mask,
                loss=loss,
                reduction=reduction,
                missing=missing,
                **parameters,
            )
            for missing, reduction in cases
        ]

    tensors = [tf.constant(x) for x in (y_true, with_infinity, y_pred, weight)]
    actual = run(lambda *xs: with_gradients(ops, *xs), *tensors)
    expected = once(with_gradients, reference, *tensors)
    for case, a, b in zip(cases, actual, expected, strict=True):
        assert_all_close(a, b, dtype, case)


def test_nothing_valid_gives_exact_zeros(loss_case, dtype, run):
    loss, parameters = loss_case
    shapes = [(6, 2), (3, 100), (40, 64), (0, 4)]
    cases = list(itertools.product(shapes, REDUCTIONS))
    y_true = {shape: tf.fill(shape, tf.constant(NAN, dtype)) for shape in shapes}
    y_pred = {shape: tf.fill(shape, tf.constant(np.inf, dtype)) for shape in shapes}

    def with_gradients(y_true, y_pred):
        return [
            loss_and_gradients(
                ops.masked_loss,
                y_true[shape],
                y_pred[shape],
                loss=loss,
                reduction=reduction,
                **parameters,
            )
            for shape, reduction in cases
        ]

    for case, results in zip(cases, run(with_gradients, y_true, y_pred), strict=True):
        for result in results:
            assert not np.any(result.numpy()), case
            assert not np.any(np.signbit(result.numpy())), case


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("row_size", [2, 33, 100])
def test_an_invalid_element_contributes_nothing(reduction, row_size, loss_case, dtype, rng):
    """Whatever prediction and weight hold there; compared bit by bit."""
    loss, parameters = loss_case
    y_true, y_pred = labels_and_predictions(rng, (50, row_size), dtype, loss, parameters)
    mask = rng.random(y_true.shape) < 0.9
    weight = rng.random(y_true.shape).astype(dtype)
    invalid = np.isnan(y_true) | ~mask

    def results(y_pred, weight):
        return loss_and_gradients(
            ops.masked_loss,
            y_true,
            y_pred,
            weight,
            mask=mask,
            loss=loss,
            reduction=reduction,
            **parameters,
        )

    expected = results(y_pred, weight)
    assert np.all(np.isfinite(expected[0]))
    for poison in (NAN, np.inf, -np.inf, 1e30):
        for where in ("prediction", "weight", "both"):
            p = y_pred if where == "weight" else np.where(invalid, poison, y_pred).astype(dtype)
            w = weight if where == "prediction" else np.where(invalid, poison, weight).astype(dtype)
            actual = results(p, w)
            for a, b in zip(actual, expected, strict=True):
                assert a.numpy().tobytes() == b.numpy().tobytes()
            assert not np.any(actual[1].numpy()[invalid])
            assert not np.any(np.signbit(actual[1].numpy()[invalid]))


def test_divergence_is_never_hidden(loss_case, dtype, run, rng):
    """A valid element with a NaN or infinite prediction; its gradient by y_pred is NaN for NaN."""
    loss, parameters = loss_case
    y_true, y_pred = labels_and_predictions(rng, (40, 3), dtype, loss, parameters)
    y_true[17, 1] = 1.0

    def of_every_reduction(y_true, y_pred):
        return [
            loss_and_gradients(
                ops.masked_loss, y_true, y_pred, loss=loss, reduction=reduction, **parameters
            )
            for reduction in REDUCTIONS
        ]

    for poison in (NAN, np.inf, -np.inf):
        y_pred[17, 1] = poison
        found = run(of_every_reduction, tf.constant(y_true), tf.constant(y_pred))
        for reduction, (value, gradient) in zip(REDUCTIONS, found, strict=True):
            case = poison, reduction
            value = value.numpy()[17] if reduction == "none" else value.numpy()
            assert not np.isfinite(value), case
            if np.isnan(poison):
                assert np.isnan(value), case
                assert np.isnan(gradient.numpy()[17, 1]), case
            others = np.delete(gradient.numpy().ravel(), 17 * 3 + 1)
            assert np.all(np.isfinite(others)), case


@pytest.mark.parametrize("poison", [NAN, np.inf])
@pytest.mark.parametrize("balance", [None, "sample"])
def test_weights_that_add_up_to_0_do_not_hide_divergence(poison, balance, dtype):
    y_true, y_pred = np.ones((2, 1), dtype), np.array([[poison], [1.0]], dtype)
    arguments = {"reduction": "mean_with_sample_weight", "balance": balance}
    for weight in ([0.0, 0.0], [0.0, 1.0]):
        for backend in (ops, reference):
            loss = backend.masked_loss(y_true, y_pred, sample_weight=weight, **arguments)
            assert not np.isfinite(loss)
    loss = ops.masked_loss(y_true, y_true, sample_weight=[0.0, 0.0], **arguments)
    assert float(loss) == 0.0


def test_an_infinite_label_is_data(loss_case, dtype):
    loss, parameters = loss_case
    y_true = np.array([1.0, np.inf], dtype)
    value = ops.masked_loss(y_true, np.zeros(2, dtype), loss=loss, **parameters)
    assert not np.isfinite(value)


def test_a_prefix_of_weights_is_aligned_from_the_left():
    """`(B,)` weighs samples even where B equals the number of steps."""
    y_true = np.zeros((2, 2, 1))
    y_pred = np.array([[[1.0], [2.0]], [[3.0], [4.0]]])
    loss = ops.masked_loss(y_true, y_pred, sample_weight=[1.0, 0.0], reduction="none")
    np.testing.assert_array_equal(loss, [[1.0, 4.0], [0.0, 0.0]])


def test_the_mean_is_one_mean_over_all_valid_elements():
    """Not a mean of row means, which would give (1 + (4 + 9) / 2) / 2."""
    loss = ops.masked_loss([[0.0, NAN], [0.0, 0.0]], [[1.0, 0.0], [2.0, 3.0]])
    assert float(loss) == pytest.approx((1 + 4 + 9) / 3)


@pytest.mark.parametrize(
    ("true_shape", "pred_shape", "shape"),
    [((4,), (4, 1), (4, 1)), ((4, 1), (4,), (4, 1)), ((4, 3), (4, 3, 1), (4, 3))],
)
def test_one_trailing_axis_of_length_1_may_be_missing(true_shape, pred_shape, shape, run):
    loss = run(
        lambda t, p: ops.masked_loss(t, p, reduction="none"),
        tf.zeros(true_shape),
        tf.ones(pred_shape),
    )
    assert loss.shape == shape[:-1]


def test_unknown_shapes_trace_once():
    traces = []

    @tf.function(input_signature=[tf.TensorSpec(None), tf.TensorSpec(None), tf.TensorSpec(None)])
    def loss(y_true, y_pred, weight):
        traces.append(None)
        return ops.masked_loss(y_true, y_pred, sample_weight=weight, reduction="none")

    assert loss(tf.zeros([3, 2]), tf.ones([3, 2]), tf.ones([3])).shape == [3]
    assert loss(tf.zeros([2, 4, 2]), tf.ones([2, 4, 2]), tf.ones([2, 4])).shape == [2, 4]
    assert len(traces) == 1


class TestErrors:
    """The argument, what was expected, what was received."""

    def test_reduction(self):
        with pytest.raises(ValueError, match=r"'reduction'. Expected one of .*reduction='avg'"):
            ops.masked_loss([1.0], [1.0], reduction="avg")

    def test_loss(self):
        with pytest.raises(ValueError, match=r"'loss'. Expected one of .*loss='mse'"):
            ops.masked_loss([1.0], [1.0], loss="mse")

    def test_missing(self):
        for missing in ("none", None, True, [1, "one"]):
            with pytest.raises(ValueError, match=r"'missing'. Expected a number"):
                ops.masked_loss([1.0], [1.0], missing=missing)

    def test_parameter_out_of_its_domain(self):
        for delta in (0, -1.0, NAN, "wide", None):
            with pytest.raises(ValueError, match=r"'delta'. Expected a number in \(0, inf\)"):
                ops.masked_loss([1.0], [1.0], loss="huber", delta=delta)

    def test_no_tensors(self):
        for name in ("y_true", "y_pred"):
            for value in (None, {}, "text"):
                with pytest.raises(ValueError, match=rf"'{name}'"):
                    ops.masked_loss(**{"y_true": [1.0], "y_pred": [1.0], name: value})

    def test_unknown_parameter(self):
        for loss, _ in LOSSES:
            with pytest.raises(TypeError, match="sigma"):
                ops.masked_loss([1.0], [1.0], loss=loss, sigma=1.0)

    def test_integer_predictions(self):
        with pytest.raises(ValueError, match=r"'y_pred' to have one of the dtypes.*int32"):
            ops.masked_loss([1.0], tf.constant([1]))

    def test_labels_are_not_broadcast(self):
        for shape in ((1, 3), (3,), (2, 1), (2, 3, 2)):
            with pytest.raises(ValueError, match=r"same shape.*y_pred with shape \(2, 3\)"):
                ops.masked_loss(tf.zeros(shape), tf.zeros([2, 3]))

    @pytest.mark.parametrize("argument", ["sample_weight", "mask"])
    def test_weight_and_mask_shapes(self, argument):
        for shape in ((2,), (3, 3), (3, 2, 2), (2, 2)):
            with pytest.raises(ValueError, match=rf"'{argument}'.*\(3, 2\).*Received"):
                ops.masked_loss(tf.zeros([3, 2]), tf.zeros([3, 2]), **{argument: tf.ones(shape)})

    def test_weights_along_the_last_axis_get_a_hint(self):
        with pytest.raises(ValueError, match=r"reshape it to \(1, 1, 5\)"):
            ops.masked_loss(tf.zeros([3, 2, 5]), tf.zeros([3, 2, 5]), sample_weight=tf.ones([5]))

    @needs_native
    def test_shapes_found_out_when_the_op_runs(self):
        spec = tf.TensorSpec(None)
        loss = tf.function(
            lambda t, p, w: ops.masked_loss(t, p, sample_weight=w), input_signature=[spec] * 3
        )
        with pytest.raises(tf.errors.InvalidArgumentError, match=r"\[2,3\].*\[3,2\]"):
            loss(tf.zeros([2, 3]), tf.zeros([3, 2]), tf.ones([2]))
        with pytest.raises(tf.errors.InvalidArgumentError, match=r"'sample_weight'.*\[2,3\]"):
            loss(tf.zeros([2, 3]), tf.zeros([2, 3]), tf.ones([3]))

    @needs_native
    def test_bad_attributes_do_not_crash(self):
        from masklstm._core import library

        one = tf.ones([1])
        common = {"Tloss": tf.float32, "reduction": "mean"}
        for attributes in (
            {"loss": "huber", "parameters": "-1.0"},
            {"loss": "huber", "parameters": ""},
            {"loss": "huber", "parameters": "1.0,2.0"},
            {"loss": "squared_error", "missing": "soon"},
        ):
            with pytest.raises(tf.errors.InvalidArgumentError):
                library.ops.masklstm_masked_loss(one, one, [], [], **common, **attributes)
        for weights, masks, message in (
            ([one] * 3, [], "at most 2"),
            ([], [one > 0] * 2, "at most 1"),
            ([tf.ones([1], tf.float64)], [], "weights of type"),
        ):
            with pytest.raises(tf.errors.InvalidArgumentError, match=message):
                library.ops.masklstm_masked_loss(
                    one, one, weights, masks, loss="squared_error", **common
                )
        with pytest.raises(tf.errors.InvalidArgumentError):
            library.ops.masklstm_masked_loss_grad(
                tf.ones([2]),
                tf.ones([0], tf.float64),
                1,
                one,
                one,
                [],
                [],
                loss="squared_error",
                reduction="mean",
            )
