"""Weights that belong to a loss: of features, steps, classes and positive labels.

They are the same weights as sample weights of the full shape, which `fit` takes.
"""

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import assert_all_close, labels_and_predictions, loss_and_gradients

from masklstm import losses, metrics
from masklstm.losses.base import ElementwiseLoss

NAN = float("nan")
SHAPE = 6, 5, 3
FEATURES, STEPS = [1.0, 0.0, 2.5], [1.0, 0.5, 2.0, 0.25, 3.0]
OWN = np.reshape(FEATURES, (1, 1, 3)) * np.reshape(STEPS, (1, 5, 1))
REDUCTIONS = ["mean", "mean_with_sample_weight", "sum", "none"]
OPTIONS = [
    {"reduction": reduction, "balance": balance}
    for reduction in REDUCTIONS
    for balance in ([None] if reduction == "none" else [None, "sample", "timestep", "feature"])
]
ELEMENTWISE = {
    **{
        name: getattr(losses, name)
        for name in losses.__all__
        if issubclass(getattr(losses, name), ElementwiseLoss)
    },
    "Masked": lambda **options: losses.Masked("Hinge", **options),
}


@pytest.fixture
def arrays(rng):
    y_true, y_pred = labels_and_predictions(rng, SHAPE, "float32", "binary_crossentropy")
    y_pred[np.isnan(y_true)] = np.inf
    return y_true, y_pred, rng.random(SHAPE[:1]).astype("float32") + 0.5


def test_are_sample_weights(arrays, run):
    """For every reduction, balance and mode, with and without others; gradients too."""
    y_true, y_pred, weight = map(tf.constant, arrays)
    full = tf.constant(np.broadcast_to(OWN, SHAPE), tf.float32)
    weights = {"feature_weights": FEATURES, "step_weights": STEPS}

    def compute(y_true, y_pred, weight, full):
        pairs = []
        for options in OPTIONS:
            own, plain = (losses.Huber(**options, **w) for w in (weights, {}))
            alone = losses.Huber(**options, feature_weights=FEATURES)
            of_features = tf.constant(FEATURES)[None, None]
            pairs += [
                (
                    loss_and_gradients(own, y_true, y_pred, weight),
                    loss_and_gradients(plain, y_true, y_pred, weight[:, None, None] * full)[:2],
                ),
                (
                    loss_and_gradients(alone, y_true, y_pred),
                    loss_and_gradients(plain, y_true, y_pred, of_features)[:2],
                ),
            ]
        return pairs

    for n, (own, plain) in enumerate(run(compute, y_true, y_pred, weight, full)):
        assert_all_close(own[:2], plain, "float32", OPTIONS[n // 2])
        assert np.isfinite(own[-1]).all()
        assert np.abs(plain[1]).max() > 0


def test_gradients_by_sample_weights(arrays):
    """Of the full form, summed up over what a small weight stands for."""
    y_true, y_pred, weight = arrays
    for options in OPTIONS:
        own = losses.Huber(**options, feature_weights=FEATURES, step_weights=STEPS)
        small, full = tf.constant(weight), tf.constant(weight[:, None, None] * OWN, tf.float32)
        with tf.GradientTape() as tape:
            tape.watch([small, full])
            values = own(y_true, y_pred, small), losses.Huber(**options)(y_true, y_pred, full)
            total = tf.reduce_sum(values[0]), tf.reduce_sum(values[1])
        by_small, by_full = tape.gradient([total[0], total[1]], [small, full])
        expected = np.sum(by_full * OWN, axis=(1, 2))
        np.testing.assert_allclose(by_small, expected, rtol=1e-4, atol=1e-6, err_msg=str(options))


def test_every_loss(rng):
    for name, make in ELEMENTWISE.items():
        element_loss = getattr(make, "loss", "binary_crossentropy")
        y_true, y_pred = labels_and_predictions(rng, SHAPE, "float64", element_loss)
        weight = rng.random(SHAPE[:2])
        options = {"dtype": "float64", "feature_weights": FEATURES, "step_weights": STEPS}
        loss = make(**options, reduction="mean_with_sample_weight")
        plain = make(dtype="float64", reduction="mean_with_sample_weight")
        expected = plain(y_true, y_pred, weight[..., None] * OWN)
        np.testing.assert_allclose(loss(y_true, y_pred, weight), expected, rtol=1e-12)
        assert not loss(y_true * NAN, y_pred, weight)
        again = keras.losses.deserialize(keras.losses.serialize(loss))
        assert again.get_config() == loss.get_config()
        metric = metrics.Loss(again)
        for part in (slice(0, 1), slice(1, 6)):
            metric.update_state(y_true[part], y_pred[part], weight[part])
        np.testing.assert_allclose(metric.result(), expected, rtol=1e-12, err_msg=name)
        rows = make(dtype="float64", feature_weights=FEATURES)
        flat = rows(y_true[:, 0], y_pred[:, 0])  # labels (batch, features)
        expected = make(dtype="float64")(y_true[:, :1], y_pred[:, :1], OWN[:, :1])
        np.testing.assert_allclose(flat, expected, rtol=1e-12, err_msg=name)


def binary(t, p, v):
    return -v * t * np.log(p) - (1 - t) * np.log1p(-p)


class TestPositiveWeights:
    rng = np.random.default_rng(5)
    hard = np.where(rng.random(SHAPE) < 0.4, NAN, np.round(rng.random(SHAPE)))
    soft = np.where(np.isnan(hard), NAN, rng.random(SHAPE))
    p = 0.05 + 0.9 * rng.random(SHAPE)
    poisoned = np.where(np.isnan(hard), np.inf, p)
    v = np.array([0.25, 1.0, 7.0])

    def test_values(self, run):
        """Of hard, soft and smoothed labels, from logits and from probabilities."""
        weight = self.rng.random(SHAPE[:1])
        made = losses.BinaryCrossentropy(pos_weight=list(self.v), dtype="float64")
        of_weights = losses.BinaryCrossentropy(
            pos_weight=3, dtype="float64", reduction="mean_with_sample_weight", step_weights=STEPS
        )
        smooth = losses.BinaryCrossentropy(
            True, 0.2, pos_weight=list(self.v), dtype="float64", missing=-1
        )

        def compute(hard, soft, p, weight, steep_logits):
            logits = tf.math.log(p / (1 - p))
            with_sentinel = tf.where(tf.math.is_nan(hard), -tf.ones_like(hard), hard)
            return [
                made(hard, p),
                made(soft, p),
                of_weights(hard, p, weight),
                smooth(tf.cast(with_sentinel, tf.int32), logits),
                made(hard, keras.activations.sigmoid(steep_logits)),
                made(hard * NAN, p),
                loss_and_gradients(made, soft, p)[1],
            ]

        logits = np.log(self.p / (1 - self.p)) * 50
        arguments = self.hard, self.soft, self.poisoned, weight, logits
        found = run(compute, *map(tf.constant, arguments))
        smoothed = binary(self.hard * 0.8 + 0.1, self.p, self.v)
        t = self.hard  # log(c) = -log(1 + exp(-x))
        steep = self.v * t * np.logaddexp(0, -logits) + (1 - t) * np.logaddexp(0, logits)
        small = weight[:, None, None] * np.reshape(STEPS, (1, 5, 1))
        w, weighted = small * (1 + 2 * self.hard), small * binary(self.hard, self.p, 3)
        gradient = (1 - self.soft) / (1 - self.p) - self.v * self.soft / self.p
        expected = [
            np.nanmean(binary(self.hard, self.p, self.v)),
            np.nanmean(binary(self.soft, self.p, self.v)),
            np.nansum(weighted) / np.nansum(w),
            np.nanmean(smoothed),
            np.nanmean(steep),
            0.0,
            np.nan_to_num(gradient / np.sum(~np.isnan(self.soft))),
        ]
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-13)

    def test_is_a_sample_weight_of_hard_labels(self):
        y_true, y_pred = self.hard.astype("float32"), self.poisoned.astype("float32")
        weights = np.where(y_true == 1, np.float32(self.v), 1)
        for options in OPTIONS:
            own = losses.BinaryCrossentropy(pos_weight=list(self.v), **options)
            plain = losses.BinaryCrossentropy(**options)
            assert_all_close(
                loss_and_gradients(own, y_true, y_pred),
                loss_and_gradients(plain, y_true, y_pred, weights)[:2],
                "float32",
                options,
            )

    def test_saving_and_divergence(self):
        for weight in (4, list(self.v)):
            loss = losses.BinaryCrossentropy(pos_weight=weight, dtype="float64")
            again = keras.losses.deserialize(keras.losses.serialize(loss))
            assert again.get_config() == loss.get_config()
            assert float(again(self.hard, self.p)) == float(loss(self.hard, self.p))
            metric = metrics.Loss(again)
            for part in (slice(0, 1), slice(1, 6)):
                metric.update_state(self.hard[part], self.p[part])
            np.testing.assert_allclose(metric.result(), loss(self.hard, self.p), rtol=1e-12)
            assert np.isnan(loss(self.hard, self.p * NAN))
            assert not np.isfinite(loss(np.full(SHAPE, np.inf), self.p))


class TestClassWeights:
    rng = np.random.default_rng(6)
    classes = np.where(rng.random((4, 7)) < 0.4, -1, rng.integers(0, 3, (4, 7)))
    p = rng.dirichlet(np.ones(3), (4, 7))
    there = classes >= 0
    weights = np.array([1.0, 4.0, 0.5])
    own = weights[classes]  # of any value where there is none
    each = -np.log(np.take_along_axis(p, np.maximum(classes, 0)[..., None], -1)[..., 0])

    @staticmethod
    def of_ones_own(y_true, y_pred):
        return keras.ops.sparse_categorical_crossentropy(y_true, y_pred)

    def test_values(self, run):
        one_hot = np.where(self.there[..., None], np.eye(3)[self.classes], NAN)
        sample_weight = self.rng.random(4)
        names = ["SparseCategoricalCrossentropy", "ce", self.of_ones_own]
        options = {"dtype": "float64", "class_weight": list(self.weights)}
        sparse = [losses.Masked(name, **options) for name in names]
        as_dict = losses.Masked(names[0], dtype="float64", class_weight={1: 4, 2: 0.5})
        dense = [losses.Masked(name, **options) for name in ("CategoricalCrossentropy", "ce")]
        of_weights = losses.Masked(
            names[0], "mean_with_sample_weight", step_weights=range(7), **options
        )

        def compute(classes, one_hot, p, sample_weight):
            return [
                *(loss(classes, p) for loss in [*sparse, as_dict]),
                *(loss(one_hot, p) for loss in dense),
                of_weights(classes, p, sample_weight),
                sparse[0](classes * 0 - 1, p),
            ]

        poisoned = np.where(self.there[..., None], self.p, np.inf)
        arguments = self.classes, one_hot, poisoned, sample_weight
        *found, of_weights, nothing = run(compute, *map(tf.constant, arguments))
        expected = (self.own * self.each)[self.there].mean()
        np.testing.assert_allclose(found, expected, rtol=1e-6)
        w = self.own * sample_weight[:, None] * np.arange(7.0)
        expected = (w * self.each)[self.there].sum() / w[self.there].sum()
        np.testing.assert_allclose(of_weights, expected, rtol=1e-6)
        assert nothing == 0

    def test_a_label_shared_out_among_classes_has_their_mean(self):
        y_true = self.rng.dirichlet(np.ones(3), (4, 7))
        loss = losses.Masked(
            "CategoricalCrossentropy", dtype="float64", class_weight=list(self.weights)
        )
        expected = ((y_true @ self.weights) * -(y_true * np.log(self.p)).sum(-1)).mean()
        np.testing.assert_allclose(loss(y_true, self.p), expected, rtol=1e-6)

    def test_a_class_of_weight_0(self):
        loss = losses.Masked(
            "SparseCategoricalCrossentropy",
            "mean_with_sample_weight",
            dtype="float64",
            class_weight={0: 0},
        )
        expected = self.each[self.classes > 0].mean()
        np.testing.assert_allclose(loss(self.classes, self.p), expected, rtol=1e-6)

    def test_saving(self):
        for weight in ({0: 2.0, 2: 0.5}, [2.0, 1.0, 0.5]):
            loss = losses.Masked("SparseCategoricalCrossentropy", class_weight=weight)
            model = keras.Sequential([keras.Input((7, 3)), keras.layers.Softmax()])
            model.compile(loss=loss)
            again = keras.models.model_from_json(model.to_json())
            again.compile_from_config(model.get_compile_config())
            assert again.loss.get_config() == loss.get_config()
            expected = float(loss(self.classes, self.p))
            assert float(again.loss(self.classes, self.p)) == expected
            metric = metrics.Loss(loss)
            metric.update_state(self.classes[:1], self.p[:1])
            metric.update_state(self.classes[1:], self.p[1:])
            np.testing.assert_allclose(metric.result(), expected, rtol=1e-6)


def fitted(loss, x, y, sample_weight=None):
    """The weights after training."""
    keras.utils.set_random_seed(1)
    model = keras.Sequential([keras.Input(x.shape[1:]), keras.layers.Dense(3)])
    model.compile(keras.optimizers.SGD(0.1), loss)
    before = model.get_weights()
    model.fit(x, y, 4, epochs=2, shuffle=False, verbose=0, sample_weight=sample_weight)
    assert not np.allclose(before[0], model.get_weights()[0], atol=1e-3)
    return model.get_weights()


def test_fit_is_that_with_full_sample_weights(rng):
    x = rng.normal(size=(8, 5, 4)).astype("float32")
    y = x[..., :3].cumsum(1)
    y[rng.random(y.shape) < 0.4] = NAN
    tasks = np.where(np.isnan(y), NAN, y > 0).astype("float32")
    classes = np.where(np.isnan(y[..., 0]), -1, rng.integers(0, 3, (8, 5)))
    sparse = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    mse, bce, masked = losses.MeanSquaredError, losses.BinaryCrossentropy, losses.Masked
    of_features = np.broadcast_to(np.reshape(FEATURES, (1, 1, 3)), y.shape)
    of_steps = np.broadcast_to(np.reshape(STEPS, (1, 5, 1)), y.shape)
    positive = np.where(tasks == 1, 3.0, 1.0)
    of_classes = np.array([1.0, 5.0, 0.5])[classes]
    cases = [
        (mse(feature_weights=FEATURES), mse(), y, of_features),
        (mse(step_weights=STEPS), mse(), y, of_steps),
        (bce(True, pos_weight=3.0), bce(True), tasks, positive),
        (masked(sparse, class_weight={1: 5.0, 2: 0.5}), masked(sparse), classes, of_classes),
    ]
    for own, plain, labels, weights in cases:
        one, other = fitted(own, x, labels), fitted(plain, x, labels, weights.astype("float32"))
        for a, b in zip(one, other, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


class TestErrors:
    @pytest.mark.parametrize(
        "weights", [[], [0.0, 0.0], [1, -1], [NAN], "ab", 3.0, [[1.0]], [True]]
    )
    def test_what_is_no_list_of_weights(self, weights):
        for name in ("feature_weights", "step_weights"):
            with pytest.raises(ValueError, match=rf"'{name}'. Expected a list of numbers"):
                losses.Huber(**{name: weights})
        with pytest.raises(ValueError, match=r"'class_weight'. Expected a dict of classes"):
            losses.Masked("SparseCategoricalCrossentropy", class_weight=weights)

    @pytest.mark.parametrize("weight", [0, -1, NAN, np.inf, [1, 0], [], "a", True])
    def test_positive_weights(self, weight):
        with pytest.raises(ValueError, match=r"'pos_weight'. Expected a number in \(0, inf\)"):
            losses.BinaryCrossentropy(pos_weight=weight)

    @pytest.mark.parametrize("weights", [{}, {"a": 1.0}, {-1: 2.0}, {0.5: 1.0}, {0: -1.0}])
    def test_classes(self, weights):
        with pytest.raises(ValueError, match=r"'class_weight'. Expected a dict of classes"):
            losses.Masked("SparseCategoricalCrossentropy", class_weight=weights)

    def test_lengths(self):
        zeros = np.zeros((2, 5, 3), "float32")
        for make in (losses.Huber, lambda **o: losses.Masked("Hinge", **o)):
            with pytest.raises(
                ValueError, match=r"'feature_weights'. Expected 3 numbers.*the last"
            ):
                make(feature_weights=[1.0])(zeros, zeros)
            with pytest.raises(ValueError, match=r"'step_weights'. Expected 5 numbers.*the second"):
                make(step_weights=[1.0] * 3)(zeros, zeros)
            with pytest.raises(ValueError, match=r"'step_weights' needs an axis"):
                make(step_weights=[1.0] * 2)(zeros[:, 0, 0], zeros[:, 0, 0])
            # What is only known when it runs.
            spec = tf.TensorSpec([None, None, 3])
            function = tf.function(make(step_weights=[1.0]), input_signature=[spec, spec])
            function(zeros[:, :1], zeros[:, :1])
            with pytest.raises(tf.errors.InvalidArgumentError, match=r"\[\?,1,\?\]"):
                function(zeros, zeros)
            spec = tf.TensorSpec([None, None, None])
            function = tf.function(make(feature_weights=[1.0]), input_signature=[spec, spec])
            function(zeros[..., :1], zeros[..., :1])
            with pytest.raises(tf.errors.InvalidArgumentError, match=r"\[\?,\?,1\]"):
                function(zeros, zeros)
        spec = tf.TensorSpec([None, 5, None])
        loss = losses.BinaryCrossentropy(pos_weight=[2.0])
        function = tf.function(loss, input_signature=[spec, spec])
        function(zeros[..., :1], zeros[..., :1])
        with pytest.raises(tf.errors.InvalidArgumentError, match=r"\[\?,\?,1\]"):
            function(zeros, zeros)
        with pytest.raises(ValueError, match=r"'pos_weight'. Expected 3 numbers"):
            losses.BinaryCrossentropy(pos_weight=[1.0, 2.0])(zeros, zeros)

    def test_what_has_no_features_or_classes(self):
        with pytest.raises(ValueError, match="'feature_weights' is for losses of elements"):
            losses.Masked("CosineSimilarity", feature_weights=[1.0])
        for name in ("Hinge", "CosineSimilarity", "CTC", "Dice"):
            with pytest.raises(ValueError, match=r"'class_weight' is for losses.*'pos_weight'"):
                losses.Masked(name, class_weight=[1.0, 2.0])
        for weights in ([1.0, 2.0], {3: 2.0}):
            loss = losses.Masked("SparseCategoricalCrossentropy", class_weight=weights)
            with pytest.raises(ValueError, match=r"'class_weight'. Expected weights of the 3"):
                loss([0, 1], np.ones((2, 3)))
