"""`Masked`: any Keras loss, over the rows that have a label.

The oracle is the inner loss itself, called with the rows that are left when the others are dropped;
for elementwise losses with the elements that are left, each as a row of its own.
"""

import functools
import inspect

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import labels_and_predictions, loss_and_gradients

from masklstm import losses

NAN = float("nan")
ROWS, CLASSES = 24, 5

# Every loss of Keras with its kind of labels and predictions. Losses that Keras may add later
# fail the test that compares this list with Keras's.
ELEMENTS = [name for name in losses.__all__ if hasattr(keras.losses, name)]
CLASS_LABELS = ["SparseCategoricalCrossentropy", "CategoricalGeneralizedCrossEntropy", "Circle"]
ONE_HOT = ["CategoricalCrossentropy", "CategoricalFocalCrossentropy", "CategoricalHinge"]
DISTRIBUTIONS = ["KLDivergence", "Dice", "Tversky"]
SIGNS = ["Hinge", "SquaredHinge"]
VECTORS = ["CosineSimilarity"]
SEQUENCES = ["CTC"]
ALL = [*ELEMENTS, *CLASS_LABELS, *ONE_HOT, *DISTRIBUTIONS, *SIGNS, *VECTORS, *SEQUENCES]
ARGUMENTS = [
    ("CategoricalCrossentropy", {"from_logits": True, "label_smoothing": 0.1}),
    ("CategoricalCrossentropy", {"axis": 1}),
    ("SparseCategoricalCrossentropy", {"from_logits": True}),
    ("SparseCategoricalCrossentropy", {"ignore_class": 2}),
    ("CosineSimilarity", {"axis": 1}),
    ("Dice", {"axis": (1, 2)}),
    ("Dice", {"axis": 1}),
    ("Tversky", {"axis": 2}),
    ("Tversky", {"axis": (1,), "alpha": 0.3}),
]
CASES = [(name, {}) for name in ALL] + ARGUMENTS
SCALAR = {"Dice", "Tversky"}
ELEMENTWISE = {*ELEMENTS, *SIGNS}


def case_id(case):
    return "-".join([case[0], *(f"{k}={v}" for k, v in case[1].items())])


@pytest.fixture(params=CASES, ids=case_id)
def masked_case(request):
    return request.param


def test_every_keras_loss_is_here():
    classes = {
        name
        for name, cls in vars(keras.losses).items()
        if inspect.isclass(cls) and cls is not keras.losses.Loss
    }
    assert classes == set(ALL)


def inner_loss(case, **options):
    name, arguments = case
    if name == "CategoricalGeneralizedCrossEntropy":
        arguments = {"q": 0.5, **arguments}
    return getattr(keras.losses, name)(**arguments, **options)


def data(case, rng):
    """Complete labels, predictions, and a function that takes labels away from the chosen rows."""
    name, arguments = case
    if name in ELEMENTS:
        loss = getattr(losses, name)()
        y_true, y_pred = labels_and_predictions(
            rng, (ROWS, 3), "float32", loss.loss, loss.parameters, missing_share=0
        )
    elif name in CLASS_LABELS:
        y_true = rng.integers(0, CLASSES, ROWS).astype("float32")
        y_pred = rng.random((ROWS, CLASSES)).astype("float32")
        y_pred /= np.sqrt((y_pred**2).sum(-1, keepdims=True))
    elif name in SEQUENCES:
        y_true = rng.integers(1, CLASSES, (ROWS, 3)).astype("float32")
        y_pred = rng.normal(size=(ROWS, 9, CLASSES)).astype("float32")
    else:
        shape = (ROWS, 4, 3) if "axis" in arguments else (ROWS, CLASSES)
        y_pred = 0.1 + rng.random(shape).astype("float32")
        y_true = rng.random(shape).astype("float32")
        axis = arguments.get("axis", -1) if name in ONE_HOT else -1
        if name in ONE_HOT:
            classes = np.argmax(y_true, axis)
            y_true = np.moveaxis(np.eye(shape[axis])[classes], -1, axis).astype("float32")
        if name in SIGNS:
            y_true = np.round(y_true)
    return y_true, y_pred


def with_gaps(case, y_true, rng):
    """Labels with gaps, and which samples (or elements, where they count) are valid."""
    if case[0] in ELEMENTWISE:
        valid = rng.random(y_true.shape) < 0.6
        return np.where(valid, y_true, NAN), valid
    missing = rng.random(ROWS) < 0.4
    y_true = y_true.copy()
    if case[0] in CLASS_LABELS:
        y_true[missing] = np.where(rng.random(missing.sum()) < 0.5, NAN, -1)
    else:
        # One element of each row is enough; of a sequence one that is not its end.
        entry = 0 if case[0] in SEQUENCES else rng.integers(y_true.shape[-1])
        y_true[missing, ..., entry] = NAN
        if case[1].get("axis") not in (None, -1):
            y_true[missing] = NAN
    return y_true, ~missing


def compare(actual, expected):
    np.testing.assert_allclose(actual[0], expected[0], rtol=2e-5, atol=1e-6)
    np.testing.assert_allclose(actual[1], expected[1], rtol=2e-5, atol=1e-6)


def value_and_gradient(loss, y_true, y_pred, weight=None):
    def weighted(y_true, y_pred, sample_weight):
        return loss(y_true, y_pred, weight)

    return [x.numpy() for x in loss_and_gradients(weighted, y_true, y_pred)]


def of_the_elements(inner, y_true, y_pred, valid, weight):
    """By the inner loss of the elements that are left; `"sum"` is that of the row means."""
    weight = np.ones(len(valid)) if weight is None else weight
    weight = np.broadcast_to(weight[:, None], valid.shape)[valid].astype("float32")
    rows = np.nonzero(valid)[0]

    def loss(y_true, y_pred, sample_weight):
        each = weight * inner.call(y_true[:, None], y_pred[:, None])
        if inner.reduction == "sum":
            return tf.reduce_sum(each / valid.sum(-1)[rows].astype("float32"))
        divided_by = weight.sum() if inner.reduction == "mean_with_sample_weight" else each.shape[0]
        return tf.reduce_sum(each) / divided_by

    return value_and_gradient(loss, y_true[valid], y_pred[valid])


def spread(gradient, valid, shape):
    full = np.zeros(shape, "float32")
    full[valid] = gradient
    return full


@pytest.mark.parametrize("reduction", ["sum_over_batch_size", "mean_with_sample_weight", "sum"])
@pytest.mark.parametrize("weighted", [False, True])
def test_equals_the_inner_loss_of_what_is_left(reduction, weighted, masked_case, rng):
    name, arguments = masked_case
    y_true, y_pred = data(masked_case, rng)
    y_true, valid = with_gaps(masked_case, y_true, rng)
    inner = inner_loss(masked_case, reduction=reduction)
    weight = rng.random(ROWS).astype("float32") if weighted else None
    if weighted and name in SCALAR and "axis" not in arguments:
        weight = np.float32(0.7)
    left = weight[valid] if np.ndim(weight) and name not in ELEMENTWISE else weight
    if weighted and name not in ELEMENTWISE:
        # Keras adds weights up as they are given, and forgets to divide a scalar.
        shape = inner.call(y_true[valid], y_pred[valid]).shape
        if len(shape) == 2:
            left = left[:, None] * np.ones(shape)
        if shape == () and reduction == "mean_with_sample_weight":
            left = None
    y_pred_poisoned = y_pred.copy()
    y_pred_poisoned[~valid] = np.inf  # whatever it holds there
    if name in ELEMENTWISE:
        value, gradient = of_the_elements(inner, y_true, y_pred, valid, weight)
    else:
        value, gradient = value_and_gradient(inner, y_true[valid], y_pred[valid], left)
    actual = value_and_gradient(losses.Masked(inner), y_true, y_pred_poisoned, weight)
    assert not np.any(actual[1][~valid])
    compare(actual, [value, spread(gradient, valid, y_pred.shape)])


def test_numbers_without_gaps(masked_case, run, rng):
    y_true, y_pred = map(tf.constant, data(masked_case, rng))
    inner = inner_loss(masked_case)
    for reduction in ("sum_over_batch_size", "sum", "none"):
        inner = inner_loss(masked_case, reduction=reduction)
        np.testing.assert_allclose(
            run(losses.Masked(inner), y_true, y_pred), inner(y_true, y_pred), rtol=2e-6, atol=1e-7
        )


def test_nothing_valid(masked_case, rng):
    y_true, y_pred = data(masked_case, rng)
    for reduction in ("sum_over_batch_size", "mean_with_sample_weight", "sum", "none"):
        loss = losses.Masked(inner_loss(masked_case, reduction=reduction))
        value, gradient = value_and_gradient(loss, np.full_like(y_true, NAN), NAN * y_pred)
        assert not np.any(value)
        assert not np.any(gradient)


def test_divergence_is_never_hidden(masked_case, rng):
    y_true, y_pred = data(masked_case, rng)
    y_true, valid = with_gaps(masked_case, y_true, rng)
    y_pred[tuple(np.argwhere(valid)[3])] = NAN
    assert not np.isfinite(losses.Masked(inner_loss(masked_case))(y_true, y_pred))


class TestClassLabels:
    y_pred = np.array([[[0.5, 0.25, 0.25], [0.1, 0.8, 0.1]], [[0.2, 0.2, 0.6], [1.0, 0.0, 0.0]]])
    expected = -(np.log(0.5) + np.log(0.6)) / 2

    def test_integers(self):
        y_true = np.array([[0, -1], [2, -1]])
        for labels in (y_true, y_true[..., None]):
            loss = losses.Masked(keras.losses.SparseCategoricalCrossentropy())
            assert float(loss(labels, self.y_pred)) == pytest.approx(self.expected)

    def test_floats_and_a_class_that_means_no_label(self):
        y_true = np.array([[0, NAN], [2, 1]])
        loss = losses.Masked("sparse_categorical_crossentropy", missing=1)
        assert float(loss(y_true, self.y_pred)) == pytest.approx(self.expected)

    def test_unsigned_labels_have_no_class_below_0(self):
        loss = losses.Masked("sparse_categorical_crossentropy", missing=255)
        y_true = np.array([[0, 255], [2, 255]], "uint8")
        assert float(loss(y_true, self.y_pred)) == pytest.approx(self.expected)

    def test_weights_mask_and_balance(self):
        y_true = np.array([[0, 1], [2, -1]])
        nll = -np.log([0.5, 0.8, 0.6])
        loss = losses.Masked("sparse_categorical_crossentropy", balance="sample")
        assert float(loss(y_true, self.y_pred)) == pytest.approx((nll[:2].mean() + nll[2]) / 2)
        loss = losses.Masked("sparse_categorical_crossentropy", reduction="mean_with_sample_weight")
        value = loss(y_true, self.y_pred, np.array([3.0, 1.0]))
        assert float(value) == pytest.approx((3 * nll[0] + 3 * nll[1] + nll[2]) / 7)
        y_pred = tf.constant(self.y_pred)
        y_pred._keras_mask = tf.constant([[True, False], [True, True]])
        loss = losses.Masked("sparse_categorical_crossentropy")
        assert float(loss(y_true, y_pred)) == pytest.approx(self.expected)
        loss = losses.Masked("sparse_categorical_crossentropy", normalizer=10)
        assert float(loss(y_true, self.y_pred)) == pytest.approx(nll.sum() / 10)


class TestSequences:
    """CTC: 0 is the blank, which pads labels as well."""

    rng = np.random.default_rng(5)
    labels = np.array([[1, 2, 3, 1], [4, 4, 0, 0], [2, 0, 0, 0], [3, 1, 0, 0]])
    logits = rng.normal(size=(4, 10, 5)).astype("float32")
    keras_ctc = keras.losses.CTC()

    def one(self, sample, frames=slice(None)):
        row = slice(sample, sample + 1)
        return float(self.keras_ctc(self.labels[row], self.logits[row][:, frames]))

    @pytest.mark.parametrize("pad", [0, -1, NAN, -7], ids=str)
    @pytest.mark.parametrize("dtype", ["int32", "float32"])
    def test_a_missing_tail_is_a_shorter_label(self, pad, dtype, run):
        if dtype == "int32" and np.isnan(pad):
            pytest.skip("whole numbers have no NaN")
        labels = np.where(self.labels == 0, pad, self.labels).astype(dtype)
        loss = losses.Masked("CTC", missing=-7)
        expected = np.mean([self.one(sample) for sample in range(4)])
        value = run(loss, tf.constant(labels), tf.constant(self.logits))
        assert float(value) == pytest.approx(expected, rel=1e-5)

    def test_of_shapes_that_are_not_known_before(self):
        expected = np.mean([self.one(sample) for sample in range(4)])
        specs = tf.TensorSpec([None, None]), tf.TensorSpec([None, None, 5])
        function = tf.function(losses.Masked("CTC"), input_signature=specs)
        labels = self.labels.astype("float32")
        assert float(function(labels, self.logits)) == pytest.approx(expected, rel=1e-5)
        with pytest.raises(tf.errors.InvalidArgumentError, match="do not fit together"):
            function(labels[:3], self.logits)

    def test_what_is_no_label(self):
        labels = self.labels.astype("float32")
        labels[1] = NAN  # no transcript
        labels[3] = [NAN, 1, 0, 0]  # its beginning is not known
        expected = np.mean([self.one(0), self.one(2)])
        loss = losses.Masked(keras.losses.ctc)
        assert float(loss(labels, self.logits)) == pytest.approx(expected, rel=1e-5)
        assert loss.counted(labels, self.logits).numpy().tolist() == [True, False, True, False]

    def test_masked_frames_are_not_there(self, run):
        kept = np.ones((4, 10), bool)
        kept[1, 6:] = kept[2, :3] = kept[2, 5] = False
        kept[3] = False  # no recording
        logits = np.where(kept[..., None], self.logits, NAN)

        def value(labels, logits):
            logits = tf.identity(logits)
            logits._keras_mask = tf.constant(kept)
            return losses.Masked("CTC")(labels, logits)

        arguments = tf.constant(self.labels), tf.constant(logits)
        expected = np.mean([self.one(sample, kept[sample]) for sample in range(3)])
        assert float(run(value, *arguments)) == pytest.approx(expected, rel=1e-5)
        with tf.GradientTape() as tape:
            tape.watch(arguments)
            loss = value(*arguments)
        gradient = tape.gradient(loss, arguments[1]).numpy()
        assert np.isfinite(gradient).all()
        assert not gradient[~kept].any()
        assert gradient[kept].any()

    def test_advice_for_ragged_labels_can_be_followed(self):
        for dtype, advice in (
            ("float32", r"to_tensor\(default_value=nan\)"),
            ("int32", r"to_tensor\(default_value=-1\).*missing=-1"),
            ("uint8", r"to_tensor\(default_value=255\).*missing=255"),
        ):
            ragged = tf.ragged.constant([[1, 2, 3, 1], [4, 4], [2], [3, 1]], dtype=dtype)
            with pytest.raises(ValueError, match=advice):
                losses.Masked("CTC")(ragged, self.logits)
        expected = np.mean([self.one(sample) for sample in range(4)])
        for dtype, pad in (("float32", NAN), ("int32", -1), ("uint8", 255)):
            ragged = tf.ragged.constant([[1, 2, 3, 1], [4, 4], [2], [3, 1]], dtype=dtype)
            loss = losses.Masked("CTC", missing=pad)
            value = loss(ragged.to_tensor(default_value=pad), self.logits)
            assert float(value) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("name", ["ce", "crossentropy"])
def test_a_cross_entropy_by_its_short_name_is_keras_s(name, rng):
    """Which one it is depends on the shapes, as in Keras's `compile`."""
    x = rng.normal(size=(24, 3)).astype("float32")
    classes = rng.integers(0, 3, 24).astype("float32")
    for y, outputs, activation in (
        (np.minimum(classes, 1)[:, None], 1, "sigmoid"),
        (classes, 3, "softmax"),
        (classes[:, None], 3, "softmax"),
        (np.eye(3, dtype="float32")[classes.astype(int)], 3, "softmax"),
    ):
        model = keras.Sequential([keras.layers.Dense(outputs, activation)])
        model.compile("sgd", loss=name)
        expected = model.evaluate(x, y, verbose=0)
        model.compile("sgd", loss=losses.Masked(name))
        assert model.evaluate(x, y, verbose=0) == pytest.approx(expected, rel=1e-6)
        gaps = np.concatenate([y, np.full_like(y, NAN)])
        value = model.evaluate(np.concatenate([x, x]), gaps, batch_size=48, verbose=0)
        assert value == pytest.approx(expected, rel=1e-5)
    loss = keras.losses.deserialize(keras.losses.serialize(losses.Masked(name)))
    assert (loss.inner, loss.name) == (name, name)


@pytest.mark.parametrize("name", ["dice", "tversky", "circle", "ctc", "kl_divergence", "hinge"])
def test_functions_are_like_their_classes(name, rng):
    classes = {"ctc": "CTC", "kl_divergence": "KLDivergence"}
    case = (classes.get(name, name.capitalize()), {})
    y_true, y_pred = data(case, rng)
    y_true, _ = with_gaps(case, y_true, rng)
    for function in (name, getattr(keras.losses, name)):
        np.testing.assert_array_equal(
            losses.Masked(function)(y_true, y_pred), losses.Masked(inner_loss(case))(y_true, y_pred)
        )


@pytest.mark.parametrize(
    "loss",
    [
        lambda t, p: tf.reduce_mean(tf.abs(t - p), -1),
        functools.partial(keras.losses.huber, delta=2.0),
    ],
    ids=["lambda", "partial"],
)
def test_what_keras_trains_with_trains(loss, rng):
    model = keras.Sequential([keras.layers.Dense(2)])
    model.compile("sgd", losses.Masked(loss))
    y = rng.normal(size=(8, 2))
    y[::2, 0] = NAN
    assert np.isfinite(model.fit(rng.normal(size=(8, 3)), y, verbose=0).history["loss"][0])


@pytest.mark.parametrize("name", ["Dice", "Tversky"])
@pytest.mark.parametrize("weight", [NAN, 100.0])
def test_the_weight_of_a_missing_row_is_of_no_interest(name, weight):
    y_true = np.array([[1.0, 0], [NAN, 1], [0, 1]], "float32")
    y_pred = np.array([[0.7, 0.3], [0.5, 0.5], [0.4, 0.6]], "float32")
    loss = losses.Masked(name)
    expected = loss(y_true, y_pred, np.array([1.0, 1.0, 3.0]))
    assert float(loss(y_true, y_pred, np.array([1.0, weight, 3.0]))) == float(expected)
    assert float(expected) == pytest.approx(2 * float(loss(y_true, y_pred)), rel=1e-6)


def test_saving_keeps_what_keras_forgets():
    for loss in (
        losses.Masked(keras.losses.CosineSimilarity(axis=1)),
        losses.Masked(keras.losses.Huber(delta=0.3)),
        losses.Masked(keras.losses.KLDivergence(dtype="float64")),
        losses.Masked("kl_divergence", dtype="float64"),
        losses.MeanSquaredError(dtype="float64"),
    ):
        copy = keras.losses.deserialize(keras.losses.serialize(loss))
        t, p = np.random.default_rng(0).random((2, 4, 3, 2))
        assert copy(t, p).dtype == loss(t, p).dtype
        assert float(copy(t, p)) == float(loss(t, p))


def test_classes_that_half_types_do_not_have():
    y_pred = np.eye(300, dtype="float32")[[257, 257]]
    for dtype in ("float16", "bfloat16"):
        loss = losses.Masked("sparse_categorical_crossentropy", dtype=dtype)
        assert float(loss([257, -1], y_pred)) < 0.1


def test_a_function_of_the_users_own(rng):
    def worst(y_true, y_pred):
        return tf.reduce_max(tf.abs(y_true - y_pred), -1)

    loss = losses.Masked(worst)
    assert loss.name == "worst"
    assert float(loss([[1.0, 2.0], [NAN, 0.0]], [[1.5, 0.0], [3.0, 3.0]])) == 2.0


def test_saving(masked_case, tmp_path, rng):
    y_true, y_pred = data(masked_case, rng)
    y_true, _ = with_gaps(masked_case, y_true, rng)
    loss = losses.Masked(inner_loss(masked_case), reduction="sum", missing=-5.0)
    config = keras.saving.serialize_keras_object(loss)
    copy = keras.saving.deserialize_keras_object(config)
    assert copy.get_config() == loss.get_config()
    np.testing.assert_array_equal(copy(y_true, y_pred), loss(y_true, y_pred))


def test_fit_save_load_fit(tmp_path, rng):
    x = rng.normal(size=(64, 6, 2)).astype("float32")
    y = (x.sum(-1) > 0).astype("int32")
    y[rng.random(y.shape) < 0.5] = -1
    model = keras.Sequential(
        [
            keras.Input((6, 2)),
            keras.layers.LSTM(8, return_sequences=True),
            keras.layers.Dense(2, activation="softmax"),
        ]
    )
    model.compile("adam", losses.Masked(keras.losses.SparseCategoricalCrossentropy()))
    history = model.fit(x, y, epochs=8, verbose=0).history["loss"]
    assert history[-1] < history[0]
    model.save(tmp_path / "model.keras")
    copy = keras.saving.load_model(tmp_path / "model.keras")
    expected = model.evaluate(x, y, verbose=0)
    assert copy.evaluate(x, y, verbose=0) == pytest.approx(expected, rel=1e-6)
    assert copy.fit(x, y, epochs=1, verbose=0).history["loss"][-1] < history[0]


class TestErrors:
    def test_not_a_loss(self):
        for loss in (None, "no_such_loss", 3):
            with pytest.raises(ValueError, match=r"loss"):
                losses.Masked(loss)

    def test_losses_that_skip_gaps_themselves(self):
        for inner in (losses.MeanSquaredError(), losses.Masked("kl_divergence")):
            with pytest.raises(ValueError, match=r"'loss'. Expected one that does not skip gaps"):
                losses.Masked(inner)

    @pytest.mark.parametrize(
        ("labels", "predictions"),
        [((4, 3), (1, 3)), ((4, 3), (3,)), ((4, 1), (4, 3)), ((4, 5, 3), (4, 1, 3)), ((), ())],
        ids=str,
    )
    @pytest.mark.parametrize("name", ["kl_divergence", "mse", "hinge", "Dice", "CosineSimilarity"])
    def test_labels_are_not_broadcast(self, name, labels, predictions):
        with pytest.raises(ValueError, match=r"do not fit together.*y_true with shape.*y_pred"):
            losses.Masked(name)(np.ones(labels), np.ones(predictions))

    def test_labels_are_not_broadcast_in_a_graph(self):
        spec = tf.TensorSpec([None, None])
        loss = tf.function(losses.Masked("mse"), input_signature=[spec, spec])
        assert loss(tf.zeros([4, 3]), tf.ones([4, 3])) == 1.0
        with pytest.raises(tf.errors.InvalidArgumentError, match="do not fit together"):
            loss(tf.zeros([4, 3]), tf.ones([1, 3]))

    def test_class_labels_that_do_not_fit(self):
        for labels in ((5,), (4, 3), (4, 2), ()):
            with pytest.raises(ValueError, match=r"class labels.*y_pred with shape \(4, 3\)"):
                losses.Masked("sparse_categorical_crossentropy")(np.zeros(labels), np.ones((4, 3)))

    def test_unknown_ranks(self):
        loss = tf.function(losses.Masked("mse"), input_signature=[tf.TensorSpec(None)] * 2)
        with pytest.raises(ValueError, match=r"'y_true' to have a known rank"):
            loss(tf.zeros([4, 3]), tf.ones([4, 3]))

    def test_a_loss_that_is_not_one_for_each_row(self):
        y_true, y_pred = np.array([[1.0, 2.0], [NAN, 2.0]]), np.zeros((2, 2))
        for inner in (
            lambda t, p: tf.reduce_mean(tf.square(t - p)),
            lambda t, p: tf.concat([t, p], axis=-1),
        ):
            with pytest.raises(ValueError, match=r"one loss for each row, with shape \(2,\)"):
                losses.Masked(inner)(y_true, y_pred)

    def test_rows_have_no_features(self):
        with pytest.raises(ValueError, match=r"'balance'. Expected 'sample', 'timestep' or None"):
            losses.Masked("kl_divergence", balance="feature")

    def test_weights_that_do_not_fit(self):
        loss = losses.Masked("kl_divergence")
        with pytest.raises(ValueError, match=r"'sample_weight'.*\(4,\).*\(4, 3\)"):
            loss(tf.ones([4, 3]), tf.ones([4, 3]), tf.ones([4, 3]))
