"""Labels and predictions are read in the types that they are stored in."""

import decimal

import ml_dtypes
import numpy as np
import pytest
import tensorflow as tf
from conftest import REDUCTIONS, labels_and_predictions, loss_and_gradients
from support.markers import needs_native
from support.native import kernels

from masklstm import losses, metrics, ops, reference
from masklstm._core import library

HALVES = {"float16": np.float16, "bfloat16": ml_dtypes.bfloat16}
INTEGERS = ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]
LABELS = [*HALVES, "float32", "float64", *INTEGERS, "bool"]
PREDICTIONS = [*HALVES, "float32", "float64"]
NAN = float("nan")


def labels_of_type(rng, name, shape):
    if name == "bool":
        return tf.constant(rng.random(shape) < 0.5)
    y_true = rng.integers(0 if name.startswith("u") else -9, 9, shape).astype("float64")
    if name in PREDICTIONS:
        y_true = np.where(rng.random(shape) < 0.3, NAN, y_true + rng.normal(size=shape))
    return tf.cast(y_true, name)


def bits(tensors):
    return [np.asarray(x).tobytes() for x in tensors]


def of_every_reduction(y_true, y_pred, weight):
    return [
        loss_and_gradients(
            ops.masked_loss, y_true, y_pred, weight, loss="huber", reduction=reduction
        )
        for reduction in REDUCTIONS
    ]


@pytest.mark.parametrize("predictions", PREDICTIONS)
@pytest.mark.parametrize("labels", LABELS)
def test_every_pair_of_types(labels, predictions, run, rng):
    """The bits are those of the same numbers in the computing type, which hold them all.

    XLA of TensorFlow before 2.21, and XLA without our lowering, compiles the two programs
    differently.
    """
    is_older = tf.__version__.startswith(("2.18.", "2.19.", "2.20."))
    is_lowered = library.backend == "native" and not is_older
    may_differ = run.mode == "xla" and not is_lowered
    computing = "float64" if predictions == "float64" else "float32"
    y_true = labels_of_type(rng, labels, (130, 9))
    y_pred = tf.cast(5 * rng.normal(size=(130, 9)), predictions)
    weight = tf.constant(rng.random(130), computing)
    found = run(of_every_reduction, y_true, y_pred, weight)
    computed = run(
        of_every_reduction, tf.cast(y_true, computing), tf.cast(y_pred, computing), weight
    )
    for reduction, actual, expected in zip(REDUCTIONS, found, computed, strict=True):
        assert actual[0].dtype == computing
        assert actual[1].dtype == predictions
        expected[1] = tf.cast(expected[1], predictions)
        if may_differ:
            for a, b in zip(actual, expected, strict=True):
                a, b = (tf.cast(x, tf.float64) for x in (a, b))  # NumPy 1.26 compares no bfloat16
                tolerance = 4 * np.finfo(computing).eps
                # Where terms cancel in a row, its error is one of the terms.
                atol = tolerance * np.max(np.abs(b))
                np.testing.assert_allclose(a, b, rtol=tolerance, atol=atol)
        else:
            assert bits(actual) == bits(expected), reduction


@pytest.mark.parametrize("predictions", HALVES)
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_half_predictions_agree_with_the_reference(predictions, reduction, loss_case, rng):
    loss, parameters = loss_case
    y_true, y_pred = labels_and_predictions(rng, (40, 3), "float32", loss, parameters)
    y_pred = tf.cast(y_pred, predictions)
    actual, expected = (
        loss_and_gradients(
            backend.masked_loss, y_true, y_pred, loss=loss, reduction=reduction, **parameters
        )
        for backend in (ops, reference)
    )
    np.testing.assert_allclose(actual[0], expected[0], rtol=1e-5, atol=1e-6)
    unit = float(ml_dtypes.finfo(HALVES[predictions]).eps)
    gradient, its_reference = (tf.cast(x[1], tf.float64) for x in (actual, expected))
    np.testing.assert_allclose(gradient, its_reference, rtol=unit, atol=1e-5)


@pytest.mark.parametrize("name", HALVES)
def test_every_half_number_is_widened_exactly(name):
    """All 65,536 patterns, as labels and as predictions."""
    halves = np.arange(2**16, dtype=np.uint16).view(HALVES[name])
    exact = halves.astype("float32")
    zeros = np.zeros(2**16, "float32")
    arguments = {"loss": "absolute_error", "reduction": "none"}
    as_label = kernels.masked_loss(halves[:, None], zeros[:, None], **arguments)[0]
    np.testing.assert_array_equal(as_label, np.where(np.isnan(exact), 0, np.abs(exact)))
    as_prediction = kernels.masked_loss(zeros[:, None], halves[:, None], **arguments)[0]
    np.testing.assert_array_equal(as_prediction, np.abs(exact))


@pytest.mark.parametrize("name", HALVES)
def test_gradients_are_rounded_to_the_nearest_half_number(name, rng):
    """The gradient of the absolute error is the weight, over the whole range of float32."""
    ties = np.arange(2**16, dtype=np.uint16).view(HALVES[name]).astype("float32")
    ties = ties[np.isfinite(ties)]
    following = np.nextafter(np.sort(ties), np.float32(np.inf))
    middle = (np.sort(ties)[1:].astype("float64") + np.sort(ties)[:-1]) / 2
    weight = np.concatenate(
        [
            (10.0 ** rng.uniform(-12, 12, 100_000)),
            following,
            middle,
            [np.inf, -np.inf, NAN, 65519.0, 65520.0, 3.39e38],
        ]
    ).astype("float32")
    y_pred = np.ones(weight.shape, HALVES[name])
    arguments = {"loss": "absolute_error", "reduction": "sum_of_elements"}
    actual = kernels.masked_loss_gradient(
        np.zeros(weight.shape, "float32"), y_pred, sample_weight=weight, **arguments
    )
    assert actual.dtype == HALVES[name]
    with np.errstate(over="ignore"):
        expected = weight.astype(HALVES[name])
    np.testing.assert_array_equal(actual.astype("float32"), expected.astype("float32"))


def count(y_true, missing):
    y_true = tf.constant(y_true)
    y_pred = tf.zeros(y_true.shape)
    counts = [int(b.masked_sums(y_true, y_pred, missing=missing)[2]) for b in (ops, reference)]
    assert counts[0] == counts[1]
    if y_true.dtype != tf.bfloat16:
        sums = kernels.masked_loss(y_true.numpy(), y_pred.numpy(), missing=missing)
        assert sums[2] == counts[0]
    return counts[0]


def count_by_ops(labels, missing):
    """The number of valid labels; `kernels` takes one sentinel."""
    counts = {
        int(module.masked_sums(labels, np.zeros(len(labels)), missing=missing).valid_count)
        for module in (ops, reference)
    }
    assert len(counts) == 1
    return counts.pop()


class TestSentinels:
    """Compared in the labels' own type, before any rounding."""

    def test_neighbours_that_float32_cannot_tell_apart(self):
        assert count(np.array([2**24, 2**24 + 1, 2**24 + 2], "int32"), 2**24 + 1) == 2
        assert count(np.array([2**53, 2**53 - 1, 7], "int64"), 2**53 - 1) == 2
        assert count(np.array([0.1, 0.1 + 1e-12]), 0.1) == 1

    def test_the_ends_of_each_integer_type(self):
        for name in INTEGERS:
            ends = [np.iinfo(name).min, np.iinfo(name).max]
            for end in ends:
                labels = np.array([*ends, 1], name)
                if int(float(end)) == end:
                    assert count(labels, end) == 2
                else:  # no float64: refused, instead of finding another label
                    with pytest.raises(ValueError, match=r"'missing'.*beyond 2\^53"):
                        count(labels, end)

    def test_integers_that_no_float64_can_be_are_refused(self):
        labels = np.array([2**53, 2**53 + 1], "int64")
        number = 2**53 + 1
        for missing in (number, np.int64(number), tf.constant(number), decimal.Decimal(number)):
            with pytest.raises(ValueError, match=r"'missing'.*beyond 2\^53"):
                ops.masked_loss(labels, [0.0, 0.0], missing=missing)
        for missing in (number, np.int64(number)):
            with pytest.raises(ValueError, match=r"'missing'.*beyond 2\^53"):
                kernels.masked_loss(labels, np.zeros(2), missing=missing)
        assert count(labels, np.int64(2**53)) == 1

    def test_a_number_that_no_label_can_be_marks_none(self):
        for name, number in (("uint8", -1), ("int8", 128), ("int16", 0.5), ("bool", 2)):
            assert count(np.array([0, 1, 1], name), number) == 3
        assert count(np.array([65504, np.inf], "float16"), 1e6) == 2
        assert count(np.array([3e38, np.inf], "float32"), 1e39) == 2

    def test_booleans(self):
        assert count(np.array([True, False, False]), 0) == 1
        assert count(np.array([True, False, False]), 1) == 2

    def test_halves_find_the_nearest_number(self):
        assert count(np.array([-999.0, -999.5, 0], "float16"), -999.1) == 2
        assert count(np.array([-1000.0, -996.0, 0], ml_dtypes.bfloat16), -999.0) == 2

    def test_infinities_of_the_label_type(self):
        """1e300 is finite as float64, though not as float32, in which it is computed."""
        assert count(np.array([1e300, np.inf, 1.0]), "nonfinite") == 2
        assert not np.isfinite(ops.masked_loss(np.array([1e300]), [0.0], missing="nonfinite"))
        assert count(np.array([65504, np.inf, 1], "float16"), "nonfinite") == 2
        assert count(np.array([1, 2], "int32"), "nonfinite") == 2

    @pytest.mark.parametrize("name", [*INTEGERS, "float16", "float32", "float64"])
    def test_several(self, name):
        """Those that this type does not have mark nothing."""
        labels = np.array([1, 2, 3, 4, 4, 5], name)
        for missing in ([4, 2], (2, 4, -1000.5, 1e300), np.array([2.0, 4.0]), [2, np.nan, 4, 2]):
            assert count_by_ops(labels, missing) == 3
        assert count_by_ops(labels, []) == 6
        assert count_by_ops(labels, [1]) == 5
        with pytest.raises(ValueError, match=r"'missing'. Expected a number.*or a list of these"):
            count_by_ops(labels, [1, "two"])

    def test_several_with_the_infinities(self):
        labels = np.array([-999.0, np.inf, np.nan, 3.0, -1.0])
        assert count_by_ops(labels, [-999, "nonfinite"]) == 2
        assert count_by_ops(labels, ["nonfinite", -999, -1]) == 1
        assert count_by_ops(labels, [-999, -1]) == 2

    @pytest.mark.parametrize(
        "options",
        [{}, {"balance": "feature"}, {"reduction": "sum"}, {"reduction": "none"}],
        ids=str,
    )
    def test_several_change_no_number_but_by_their_gaps(self, options, rng, run):
        y_true, y_pred = rng.normal(size=(2, 6, 4, 3)).astype("float32")
        gaps = rng.random(y_true.shape) < 0.4
        marked = np.where(gaps, rng.choice([-999.0, -1e30, np.nan], y_true.shape), y_true)

        def value_and_gradient(labels, missing):
            def value(labels, predictions):
                loss = losses.Huber(missing=missing, **options)
                return loss_and_gradients(
                    lambda t, p, sample_weight: loss(t, p, sample_weight), labels, predictions
                )

            return run(value, tf.constant(labels, tf.float32), tf.constant(y_pred))

        actual = value_and_gradient(marked, [-999, -1e30])
        expected = value_and_gradient(np.where(gaps, np.nan, y_true), np.nan)
        for a, b in zip(actual, expected, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-6)

    def test_objects_keep_several(self):
        for cls in (losses.MeanSquaredError, metrics.MeanAbsoluteError, metrics.R2Score):
            config = cls(missing=(-999, -1)).get_config()
            assert config["missing"] == [-999.0, -1.0]
            assert cls.from_config(config).missing == [-999.0, -1.0]
        assert metrics.ValidFraction(missing=[np.nan]).get_config().get("missing") is None


@needs_native
def test_keras_losses_read_half_predictions_as_they_are(rng):
    """No cast of a whole tensor in the graph of the loss."""
    y_true, y_pred = rng.normal(size=(2, 8, 3)).astype("float32")
    for predictions in ("float16", "bfloat16", "float32"):
        graph = tf.function(losses.MeanSquaredError()).get_concrete_function(
            tf.constant(y_true), tf.cast(y_pred, predictions)
        )
        casts = [op for op in graph.graph.get_operations() if op.type == "Cast"]
        assert all(op.inputs[0].shape.rank == 0 for op in casts)
        loss = graph(tf.constant(y_true), tf.cast(y_pred, predictions))
        assert loss.dtype == "float32"


def test_other_types_are_refused():
    for argument in ("y_true", "y_pred", "sample_weight"):
        arguments = {"y_true": [1.0], "y_pred": [1.0], argument: tf.constant([1j])}
        with pytest.raises(ValueError, match=rf"'{argument}'.*one of the dtypes.*complex128"):
            ops.masked_loss(**arguments)
