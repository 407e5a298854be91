"""`balance` and `normalizer`: what a mean is the mean of."""

import itertools

import numpy as np
import pytest
import tensorflow as tf
from conftest import TOLERANCE, labels_and_predictions, loss_and_gradients
from support.native import kernels

from masklstm import losses, ops, reference
from masklstm._core import reductions

NAN = float("nan")
BALANCES = ["sample", "timestep", "feature"]
REDUCTIONS = ["mean", "mean_with_sample_weight", "sum"]


class TestLiterals:
    """Two samples, three steps, two features; predictions are 0, so losses are squares."""

    y_true = np.array([[[1, NAN], [2, 3], [NAN, NAN]], [[4, NAN], [NAN, NAN], [NAN, NAN]]])
    y_pred = np.zeros((2, 3, 2))

    def loss(self, **arguments):
        for backend in (ops, reference):
            yield float(backend.masked_loss(self.y_true, self.y_pred, **arguments))

    @pytest.mark.parametrize(
        ("balance", "expected"),
        [
            (None, (1 + 4 + 9 + 16) / 4),
            ("sample", ((1 + 4 + 9) / 3 + 16) / 2),
            ("timestep", ((1 + 16) / 2 + (4 + 9) / 2) / 2),  # the third step has no label
            ("feature", ((1 + 4 + 16) / 3 + 9) / 2),
        ],
    )
    def test_mean(self, balance, expected):
        assert list(self.loss(balance=balance)) == pytest.approx([expected] * 2)

    def test_sum_is_that_of_the_means(self):
        for value in self.loss(balance="sample", reduction="sum"):
            assert value == pytest.approx((1 + 4 + 9) / 3 + 16)

    def test_weights(self):
        weight = np.array([2.0, 5.0])
        for value in self.loss(balance="sample", sample_weight=weight):
            assert value == pytest.approx((2 * (1 + 4 + 9) / 3 + 5 * 16) / 2)
        arguments = {"sample_weight": weight, "reduction": "mean_with_sample_weight"}
        for value in self.loss(balance="feature", **arguments):
            first = (2 * (1 + 4) + 5 * 16) / (2 + 2 + 5)
            assert value == pytest.approx((first + 9) / 2)
        # A sample without weight has no say at all.
        arguments["sample_weight"] = np.array([1.0, 0.0])
        for value in self.loss(balance="sample", **arguments):
            assert value == pytest.approx((1 + 4 + 9) / 3)

    def test_normalizer(self):
        assert list(self.loss(normalizer=10)) == pytest.approx([3.0] * 2)
        assert list(self.loss(normalizer=tf.constant(10.0))) == pytest.approx([3.0] * 2)
        for value in self.loss(normalizer=8, balance="sample"):
            assert value == pytest.approx(((1 + 4 + 9) / 3 + 16) / 8)

    def test_normalizer_keeps_its_digits(self):
        """A Python number is no float32 on its way, which 0.1 and 2**-1000 would not survive."""
        y_true, y_pred = np.array([[1.0]]), np.array([[3.0]])
        for normalizer in (0.1, 2.0**-1000, np.float64(0.1), tf.constant(0.1, tf.float64)):
            for backend in (ops, reference):
                assert backend.masked_loss(y_true, y_pred, normalizer=normalizer) == 4 / normalizer
        loss = losses.MeanSquaredError(normalizer=0.1, dtype="float64")
        assert loss(y_true, y_pred) == 4 / 0.1

    def test_sums(self):
        for backend in (ops, reference):
            sums = backend.masked_sums(self.y_true, self.y_pred, balance="timestep")
            assert [list(x.numpy()) for x in sums] == [[17, 13, 0], [2, 2, 0], [2, 2, 0]]
            assert sums.valid_count.dtype == tf.int64


# Groups shorter and longer than the kernels' 64 elements; one block and many; the same axis as
# steps and as features; nothing at all.
SHAPES = [
    (4, 3),
    (5, 4, 3),
    (3, 2, 4, 5),
    (2, 3, 70),
    (300, 7, 9),
    (2, 40000, 1),
    (3000, 2, 65),
    (0, 3, 2),
    (3, 0, 2),
    (3, 2, 0),
]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("balance", BALANCES)
def test_equals_the_reference_for_every_form(balance, shape, dtype, rng):
    y_true, y_pred = labels_and_predictions(rng, shape, dtype, "huber")
    if y_true.size:
        y_true[0] = NAN  # a sample, a step and a feature without a label
        y_true[:, 0] = NAN
        y_true[..., 0] = NAN
    weights = [None, rng.random(shape).astype(dtype), rng.random(shape[:2]).astype(dtype)]
    masks = [None, rng.random(shape[:1]) < 0.7]
    for reduction, weight, mask in itertools.product(REDUCTIONS, weights, masks):
        arguments = {"balance": balance, "reduction": reduction, "loss": "huber", "mask": mask}
        actual, expected = (
            loss_and_gradients(backend.masked_loss, y_true, y_pred, weight, **arguments)
            for backend in (ops, reference)
        )
        for a, b in zip(actual, expected, strict=True):
            assert a.dtype == b.dtype == dtype
            tolerance = TOLERANCE[dtype]
            np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


def test_every_loss_and_mode(loss_case, dtype, run, once, rng):
    loss, parameters = loss_case
    y_true, y_pred = labels_and_predictions(rng, (6, 5, 4), dtype, loss, parameters)
    weight = rng.random((6, 5)).astype(dtype)

    def with_gradients(backend, *tensors):
        return [
            loss_and_gradients(
                backend.masked_loss, *tensors, balance=balance, loss=loss, **parameters
            )
            for balance in BALANCES
        ]

    actual = run(lambda *xs: with_gradients(ops, *xs), *map(tf.constant, (y_true, y_pred, weight)))
    expected = once(with_gradients, reference, y_true, y_pred, weight)
    tolerance = TOLERANCE[dtype]
    for balance, found, right in zip(BALANCES, actual, expected, strict=True):
        for a, b in zip(found, right, strict=True):
            np.testing.assert_allclose(a, b, rtol=tolerance, atol=10 * tolerance, err_msg=balance)


@pytest.mark.parametrize("balance", BALANCES)
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_second_derivatives(balance, reduction, rng):
    y_true, y_pred = labels_and_predictions(rng, (3, 4, 2), "float64", "log_cosh")
    tensors = [tf.constant(y_pred), tf.constant(rng.random((3, 4)))]

    def hessians(backend):
        with tf.GradientTape(persistent=True) as outer:
            outer.watch(tensors)
            with tf.GradientTape() as inner:
                inner.watch(tensors)
                loss = backend.masked_loss(
                    y_true,
                    tensors[0],
                    "log_cosh",
                    sample_weight=tensors[1],
                    reduction=reduction,
                    balance=balance,
                )
            gradients = inner.gradient(loss, tensors)
        zero = tf.UnconnectedGradients.ZERO
        return [outer.jacobian(g, tensors, unconnected_gradients=zero) for g in gradients]

    for a, b in zip(
        tf.nest.flatten(hessians(ops)), tf.nest.flatten(hessians(reference)), strict=True
    ):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("balance", BALANCES)
def test_nothing_valid_gives_exact_zeros(balance, dtype):
    y_true = np.full((3, 2, 4), NAN, dtype)
    y_pred = np.full((3, 2, 4), np.inf, dtype)
    for reduction in REDUCTIONS:
        results = loss_and_gradients(
            ops.masked_loss, y_true, y_pred, balance=balance, reduction=reduction
        )
        for result in results:
            assert not np.any(result)
            assert not np.any(np.signbit(result))


def test_unknown_ranks():
    spec = tf.TensorSpec(None)
    rng = np.random.default_rng(0)
    for balance in BALANCES:
        loss = tf.function(
            lambda t, p, balance=balance: loss_and_gradients(
                ops.masked_loss, t, p, balance=balance
            ),
            input_signature=[spec] * 2,
        )
        for shape in ((4, 3), (4, 3, 2), (2, 3, 4, 5)):
            y_true, y_pred = labels_and_predictions(rng, shape, "float32")
            expected = loss_and_gradients(reference.masked_loss, y_true, y_pred, balance=balance)
            for a, b in zip(loss(y_true, y_pred), expected, strict=True):
                np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    for backend in (ops, reference):
        loss = tf.function(
            lambda t, p, backend=backend: backend.masked_loss(t, p, balance="feature"),
            input_signature=[spec] * 2,
        )
        message = r"\[4\] \[?has no axis for balance=\\?'feature"
        with pytest.raises(tf.errors.InvalidArgumentError, match=message):
            loss(tf.zeros([4]), tf.zeros([4]))


@pytest.mark.parametrize("balance", [None, "sample"])
def test_accumulated_gradients_are_exact(balance, rng):
    """Parts of a batch, divided by the number of the whole, add up to its mean."""
    y_true, y_pred = labels_and_predictions(rng, (12, 5, 2), "float64")
    y_true[0:3] = NAN  # a part without any label
    whole, gradient = loss_and_gradients(ops.masked_loss, y_true, y_pred, balance=balance)
    has_label = ~np.isnan(y_true)
    number = has_label.sum() if balance is None else has_label.any(axis=(1, 2)).sum()
    parts = [
        loss_and_gradients(
            ops.masked_loss,
            y_true[i : i + 3],
            y_pred[i : i + 3],
            normalizer=number,
            balance=balance,
        )
        for i in range(0, 12, 3)
    ]
    assert sum(float(part) for part, _ in parts) == pytest.approx(float(whole), rel=1e-14)
    np.testing.assert_allclose(np.concatenate([g for _, g in parts]), gradient, rtol=1e-14)


@pytest.mark.parametrize("balance", [None, "sample"])
def test_a_normalizer_of_0_where_nothing_is_valid(balance):
    """As the count of a batch without labels is."""
    y_true = tf.constant([[NAN], [NAN]])
    count = tf.math.count_nonzero(~tf.math.is_nan(y_true))
    for backend in (ops, reference):
        loss = backend.masked_loss(y_true, tf.ones([2, 1]), normalizer=count, balance=balance)
        assert float(loss) == 0.0


@pytest.mark.parametrize("balance", [*BALANCES, None])
@pytest.mark.parametrize("normalizer", [None, 7.0])
def test_keras_classes(balance, normalizer, rng):
    options = {"balance": balance, "normalizer": normalizer}
    y_true, y_pred = labels_and_predictions(rng, (6, 5, 3), "float32")
    loss = losses.MeanSquaredError(**options)
    expected = ops.masked_loss(y_true, y_pred, **options)
    assert float(loss(y_true, y_pred)) == float(expected)
    copy = losses.MeanSquaredError.from_config(loss.get_config())
    assert (copy.balance, copy.normalizer) == (balance, normalizer)


@pytest.mark.parametrize("balance", BALANCES)
def test_kernels(balance, dtype, rng):
    shape = (40, 30, 20)
    y_true, y_pred = labels_and_predictions(rng, shape, dtype)
    weight = rng.random(40).astype(dtype)
    with tf.device("CPU"):  # a GPU adds up in another order
        expected = ops.masked_sums(y_true, y_pred, sample_weight=weight, balance=balance)
    actual = kernels.masked_group_sums(
        y_true, y_pred, sample_weight=weight, balance=balance, threads=2
    )
    for a, b in zip(actual, expected, strict=True):
        np.testing.assert_array_equal(a, b)


class TestErrors:
    one = np.ones((2, 3, 1), "float32")

    def test_names(self):
        assert set(BALANCES) | {None} == set(reductions.BALANCES)
        for call in (ops.masked_loss, reference.masked_loss, ops.masked_sums):
            with pytest.raises(ValueError, match=r"'balance'. Expected one of .*balance='row'"):
                call(self.one, self.one, balance="row")
        for balance in ("row", tf.constant("sample"), np.array(["sample", "timestep"])):
            with pytest.raises(ValueError, match=r"'balance'. Expected one of"):
                losses.MeanSquaredError(balance=balance)

    def test_rows_have_no_balance(self):
        for call in (ops.masked_loss, reference.masked_loss):
            with pytest.raises(ValueError, match=r"'balance' needs a reduction to one number"):
                call(self.one, self.one, balance="sample", reduction=None)

    def test_labels_without_the_axis(self):
        for balance, shape in (("timestep", (3,)), ("feature", (3,)), ("sample", ())):
            for call in (ops.masked_loss, reference.masked_loss):
                with pytest.raises(ValueError, match=rf"an axis for balance='{balance}'"):
                    call(tf.ones(shape), tf.ones(shape), balance=balance)

    def test_normalizer(self):
        for normalizer in (0, -1.0, NAN, np.inf, "ten", True, np.bool_(True)):
            for call in (ops.masked_loss, reference.masked_loss):
                with pytest.raises(ValueError, match=r"'normalizer'. Expected a number in \(0, in"):
                    call(self.one, self.one, normalizer=normalizer)
            with pytest.raises(ValueError, match=r"'normalizer'"):
                losses.Huber(normalizer=normalizer)
        with pytest.raises(ValueError, match=r"'normalizer' to be a scalar.*\(2,\)"):
            ops.masked_loss(self.one, self.one, normalizer=tf.ones([2]))
        for dtype in (tf.bool, tf.complex64):
            with pytest.raises(ValueError, match=r"'normalizer' to be a number.*dtype"):
                ops.masked_loss(self.one, self.one, normalizer=tf.cast(1.0, dtype))
        unknown = tf.function(
            lambda n: ops.masked_loss(self.one, self.one, normalizer=n),
            input_signature=[tf.TensorSpec(None)],
        )
        with pytest.raises(tf.errors.InvalidArgumentError):
            unknown(tf.ones([2]))
        for reduction in ("sum", "none"):
            with pytest.raises(ValueError, match=r"place of a mean's divisor.*normalizer=2.0"):
                ops.masked_loss(self.one, self.one, normalizer=2.0, reduction=reduction)

    def test_unknown_options(self):
        with pytest.raises(TypeError, match=r"unexpected keyword argument 'balanced'"):
            losses.MeanSquaredError(balanced="sample")


@pytest.mark.parametrize(
    ("normalizer", "kind"), [(3, int), (3.0, float), (np.float32(3), float), (np.int64(3), float)]
)
def test_a_normalizer_is_saved_as_a_plain_number(normalizer, kind):
    loss = losses.MeanSquaredError(normalizer=normalizer)
    assert type(loss.get_config()["normalizer"]) is kind
    assert float(loss([[1.0, 1.0]], [[2.0, 3.0]])) == pytest.approx(5 / 3)


@pytest.mark.parametrize("of", [ops, reference], ids=["ops", "reference"])
@pytest.mark.parametrize(("balance", "least"), [("sample", 1), ("timestep", 2), ("feature", 2)])
def test_axes_that_are_known_when_it_runs(of, balance, least):
    spec = tf.TensorSpec(None)

    @tf.function(input_signature=[spec, spec])
    def loss(t, p):
        return of.masked_loss(t, p, balance=balance)

    for rank in (least, least + 1):
        t, p = tf.zeros([2] * rank), 2 * tf.ones([2] * rank)
        assert float(loss(t, p)) == 4.0
    if least == 2:
        with pytest.raises(tf.errors.InvalidArgumentError):
            loss(tf.zeros(2), tf.ones(2))
