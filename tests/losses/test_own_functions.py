"""Losses and metrics of somebody's own within `Masked`: what counts is found out by trying them."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

from masklstm import losses, metrics

NAN = float("nan")
WEIGHTS = np.arange(1.0, 6.0, dtype="float32")


def absolute(t, p):
    return keras.ops.mean(keras.ops.abs(t - p), axis=-1)


def weighted_cross_entropy(t, p):
    return keras.ops.mean(keras.ops.binary_crossentropy(t, p) * (1 + 3 * t), axis=-1)


class Asymmetric(keras.losses.Loss):
    """Too low is twice as bad."""

    def call(self, t, p):
        return tf.reduce_mean(tf.where(p < t, 2.0, 1.0) * tf.square(t - p), axis=-1)


def summed(t, p):
    return tf.reduce_sum(tf.square(t - p), axis=-1)


def worst(t, p):
    return tf.reduce_max(tf.abs(t - p), axis=-1)


def of_normalized(t, p):
    return -t * tf.math.log(p / tf.reduce_sum(p, axis=-1, keepdims=True))


def np_cross_entropy(t, p):
    return -(t * np.log(p) + (1 - t) * np.log(1 - p)) * (1 + 3 * t)


ELEMENTWISE = {
    "mean": (absolute, lambda t, p: abs(t - p)),
    "cross-entropy": (weighted_cross_entropy, np_cross_entropy),
    "loss": (Asymmetric(), lambda t, p: np.where(p < t, 2, 1) * (t - p) ** 2),
    "partial": (
        functools.partial(keras.losses.huber, delta=0.2),
        lambda t, p: np.where(abs(t - p) <= 0.2, (t - p) ** 2 / 2, 0.2 * (abs(t - p) - 0.1)),
    ),
    "labels' shape": (lambda t, p: tf.abs(t - p) ** 1.5, lambda t, p: abs(t - p) ** 1.5),
    "of the label": (lambda t, p: (1 + t) * tf.abs(t - p), lambda t, p: (1 + t) * abs(t - p)),
    "weights of features": (
        lambda t, p: WEIGHTS * tf.abs(t - p),
        lambda t, p: WEIGHTS * abs(t - p),
    ),
    "of one of Keras's": (
        lambda t, p: keras.losses.squared_hinge(t, p),
        lambda t, p: np.maximum(1 - (2 * t - 1) * p, 0) ** 2,
    ),
}
ROWWISE = {
    "sum": (summed, lambda t, p: ((t - p) ** 2).sum(-1)),
    "largest": (worst, lambda t, p: abs(t - p).max(-1)),
    "normalized": (
        of_normalized,
        lambda t, p: (-t * np.log(p / p.sum(-1, keepdims=True))).mean(-1),
    ),
}


@pytest.fixture
def tasks(rng):
    """Binary labels of five tasks with gaps, in most rows, and probabilities."""
    y_true = np.round(rng.random((40, 5))).astype("float32")
    y_true[rng.random(y_true.shape) < 0.4] = NAN
    return y_true, rng.uniform(0.05, 0.95, y_true.shape).astype("float32")


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_means_of_elements_count_elements(name, tasks, run):
    y_true, y_pred = tasks
    inner, formula = ELEMENTWISE[name]
    there = ~np.isnan(y_true)
    expected = np.broadcast_to(formula(np.nan_to_num(y_true), y_pred), there.shape)[there].mean()
    poisoned = np.where(there, y_pred, np.inf).astype("float32")
    loss = losses.Masked(inner)
    assert float(run(loss, tf.constant(y_true), tf.constant(poisoned))) == pytest.approx(expected)
    assert np.array_equal(loss.counted(y_true, y_pred), there)
    if not isinstance(inner, keras.losses.Loss):
        metric = metrics.Masked(inner)
        metric.update_state(y_true * NAN, y_pred)
        run(metric.update_state, tf.constant(y_true), tf.constant(poisoned))
        assert float(metric.result()) == pytest.approx(expected)


@pytest.mark.parametrize("name", ROWWISE)
def test_losses_of_rows_count_rows(name, rng, run):
    y_true = np.eye(5, dtype="float32")[rng.integers(0, 5, 30)]
    y_true[rng.random(y_true.shape) < 0.05] = NAN
    y_pred = rng.uniform(0.05, 0.95, y_true.shape).astype("float32")
    inner, formula = ROWWISE[name]
    whole = ~np.isnan(y_true).any(axis=-1)
    if name == "normalized":  # of the labels' shape, but no entry for itself
        with pytest.raises(ValueError, match=r"one loss for each row, with shape \(30,\)"):
            losses.Masked(inner)(y_true, y_pred)
        return
    expected = formula(y_true[whole], y_pred[whole]).mean()
    loss = losses.Masked(inner)
    assert float(run(loss, tf.constant(y_true), tf.constant(y_pred))) == pytest.approx(expected)
    metric = metrics.Masked(inner)
    metric.update_state(y_true, y_pred)
    assert float(metric.result()) == pytest.approx(expected)


def test_two_entries_that_depend_on_each_other_are_a_row():
    """One of which is missing: nothing can be said of the other."""

    def of_differences(t, p):
        return (p - p[..., ::-1] - (t - t[..., ::-1])) ** 2

    y_true = np.array([[1.0, 2.0], [NAN, 2.0]], "float32")
    with pytest.raises(ValueError, match=r"one loss for each row"):
        losses.Masked(of_differences)(y_true, np.zeros((2, 2), "float32"))


def test_many_tasks_learn():
    """No row has all of its labels: by rows nothing would count."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(128, 8)).astype("float32")
    y = (x @ rng.normal(size=(8, 12)) > 0).astype("float32")
    y[np.arange(128), rng.integers(0, 12, 128)] = NAN
    model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(12, activation="sigmoid")])
    model.compile(keras.optimizers.Adam(0.05), losses.Masked(weighted_cross_entropy))
    history = model.fit(x, y, epochs=5, batch_size=16, verbose=0).history["loss"]
    assert history[-1] < 0.8 * history[0]


def test_elements_have_masks_weights_balance_and_row_means(tasks):
    y_true, y_pred = tasks
    errors, there = abs(np.nan_to_num(y_true) - y_pred), ~np.isnan(y_true)
    weight = np.arange(1.0, 41.0, dtype="float32")
    loss = losses.Masked(absolute, reduction="mean_with_sample_weight")
    weights = np.broadcast_to(weight[:, None], there.shape)
    expected = np.average(errors[there], weights=weights[there])
    assert float(loss(y_true, y_pred, weight)) == pytest.approx(expected)
    rows = (errors * there).sum(-1) / np.maximum(there.sum(-1), 1)
    none = losses.Masked(absolute, reduction="none")(y_true, y_pred)
    np.testing.assert_allclose(none, rows, rtol=1e-5)
    total = losses.Masked(absolute, reduction="sum")(y_true, y_pred)
    assert float(total) == pytest.approx(rows.sum(), rel=1e-5)
    by_task = losses.Masked(absolute, balance="feature")(y_true, y_pred)
    columns = [errors[there[:, k], k].mean() for k in range(5)]
    assert float(by_task) == pytest.approx(np.mean(columns), rel=1e-5)
    masked = tf.constant(y_pred)
    masked._keras_mask = tf.constant(np.arange(40) % 2 == 0)
    kept = there & (np.arange(40) % 2 == 0)[:, None]
    assert float(losses.Masked(absolute)(y_true, masked)) == pytest.approx(
        errors[kept].mean(), rel=1e-5
    )


class TestWarning:
    y_true = np.array([[1.0, NAN], [NAN, 2.0], [1.0, 1.0]] * 10, "float32")
    y_pred = np.zeros((30, 2), "float32")

    def test_most_rows_dropped_is_said_once(self):
        loss = losses.Masked(worst)
        with pytest.warns(UserWarning, match=r"only 10 of 30 rows that have labels are complete"):
            loss(self.y_true, self.y_pred)
        loss(self.y_true, self.y_pred)  # an error in these tests, if it warned again

    def test_whole_rows_without_label_are_no_reason(self):
        y_true = np.where(np.isnan(self.y_true).any(-1, keepdims=True), NAN, self.y_true)
        losses.Masked(worst)(y_true, self.y_pred)
        losses.Masked("Hinge")(np.round(self.y_true > 1) + 0 * self.y_true, self.y_pred)


class TestPer:
    def test_element_of_a_sum(self, tasks):
        y_true, y_pred = tasks
        there = ~np.isnan(y_true)
        loss = losses.Masked(summed, per="element")
        expected = ((y_true - y_pred)[there] ** 2).mean()
        assert float(loss(y_true, y_pred)) == pytest.approx(expected, rel=1e-5)

    def test_row_of_a_mean(self):
        y_true, y_pred = np.array([[1.0, NAN], [2.0, 3.0]]), np.zeros((2, 2))
        for masked in (losses.Masked, metrics.Masked):
            value = masked(absolute, per="row")
            if masked is metrics.Masked:
                value.update_state(y_true, y_pred)
                assert float(value.result()) == 2.5
            else:
                assert float(value(y_true, y_pred)) == 2.5

    def test_what_is_not_of_elements_is_refused(self, tasks):
        def with_constants(t, p):
            return tf.reduce_mean(WEIGHTS * tf.abs(t - p), axis=-1)

        for inner in (worst, with_constants):
            with pytest.raises(ValueError, match=r"'per' is 'element'.*labels' shape"):
                losses.Masked(inner, per="element")(*tasks)

    def test_keras_s_own_are_known(self):
        for masked in (losses.Masked, metrics.Masked):
            with pytest.raises(
                ValueError, match=r"Argument 'per' is for losses and metrics of your"
            ):
                masked("KLDivergence", per="element")
            with pytest.raises(
                ValueError, match=r"'per'. Expected one of {'element', 'row', None}"
            ):
                masked(absolute, per="feature")
            with pytest.raises(ValueError, match=r"Argument 'class_labels' is for"):
                masked("mse", class_labels=True)


class TestMorePredictionsThanLabels:
    """Likelihoods: mean and logarithm of the deviation for each label."""

    rng = np.random.default_rng(1)
    labels = rng.normal(size=(4, 6, 3)).astype("float32")
    labels[rng.random(labels.shape) < 0.4] = NAN
    parameters = rng.normal(size=(4, 6, 3, 2)).astype("float32")
    there = ~np.isnan(labels)

    @staticmethod
    def element(t, mean, scale):
        return scale + 0.5 * ((t - mean) * np.exp(-scale)) ** 2

    def expected(self):
        each = self.element(self.labels, self.parameters[..., 0], self.parameters[..., 1])
        return each[self.there].mean()

    @staticmethod
    def by_axis(t, p):
        return p[..., 1] + 0.5 * keras.ops.square((t - p[..., 0]) * keras.ops.exp(-p[..., 1]))

    @staticmethod
    def side_by_side(t, p):
        mean, scale = p[..., :3], p[..., 3:]
        return scale + 0.5 * keras.ops.square((t - mean) * keras.ops.exp(-scale))

    @staticmethod
    def of_one_label(t, p):
        return p[..., 1] + 0.5 * keras.ops.square(
            (t[..., 0] - p[..., 0]) * keras.ops.exp(-p[..., 1])
        )

    def check(self, inner, y_true, y_pred, expected, run):
        y_true, y_pred = tf.constant(y_true), tf.constant(y_pred)
        loss = losses.Masked(inner)
        assert float(run(loss, y_true, y_pred)) == pytest.approx(expected, rel=1e-5)
        metric = metrics.Masked(inner)
        metric.update_state(y_true * NAN, y_pred)
        run(metric.update_state, y_true, y_pred)
        assert float(metric.result()) == pytest.approx(expected, rel=1e-5)

    def test_one_axis_more(self, run):
        poisoned = np.where(self.there[..., None], self.parameters, np.inf)
        self.check(self.by_axis, self.labels, poisoned, self.expected(), run)

    def test_side_by_side(self, run):
        flat = np.concatenate([self.parameters[..., 0], self.parameters[..., 1]], axis=-1)
        self.check(self.side_by_side, self.labels, flat, self.expected(), run)

    def test_one_label_in_a_row(self, run):
        labels, parameters = self.labels[..., :1], self.parameters[..., 0, :]
        there = ~np.isnan(labels[..., 0])
        each = self.element(labels[..., 0], parameters[..., 0], parameters[..., 1])
        poisoned = np.where(there[..., None], parameters, NAN)
        self.check(self.of_one_label, labels, poisoned, each[there].mean(), run)

    def test_gradients_are_finite_and_0_under_gaps(self):
        parameters = tf.constant(np.where(self.there[..., None], self.parameters, np.inf))
        with tf.GradientTape() as tape:
            tape.watch(parameters)
            loss = losses.Masked(self.by_axis)(self.labels, parameters)
        gradient = tape.gradient(loss, parameters).numpy()
        assert np.isfinite(gradient).all()
        assert not gradient[~self.there].any()
        assert gradient[self.there].any()

    def test_counts_that_are_whole_numbers(self):
        def poisson(t, p):
            return keras.ops.exp(p[..., 0]) - keras.ops.cast(t[..., 0], "float32") * p[..., 0]

        counts = np.arange(24).reshape(4, 6, 1) % 7
        counts[1:3, :2] = -1
        rates = self.parameters[..., 0, :]
        each = np.exp(rates[..., 0]) - counts[..., 0] * rates[..., 0]
        loss = losses.Masked(poisson, missing=-1)
        assert float(loss(counts, rates)) == pytest.approx(
            each[counts[..., 0] >= 0].mean(), rel=1e-5
        )

    def test_keras_s_losses_do_not_take_them(self):
        for name in ("mse", "Hinge", "KLDivergence"):
            with pytest.raises(ValueError, match="do not fit together"):
                losses.Masked(name)(self.labels[..., :1], self.labels)


class TestClassLabels:
    rng = np.random.default_rng(2)
    labels = rng.integers(0, 4, (5, 6))
    labels[rng.random(labels.shape) < 0.4] = -1
    logits = rng.normal(size=(5, 6, 4)).astype("float32")
    there = labels >= 0

    @staticmethod
    def focal(t, p):
        log_p = keras.ops.log_softmax(p)
        classes = keras.ops.expand_dims(keras.ops.cast(t, "int32"), -1)
        own = keras.ops.take_along_axis(log_p, classes, axis=-1)[..., 0]
        return -keras.ops.square(1 - keras.ops.exp(own)) * own

    @staticmethod
    def hits(t, p):
        right = keras.ops.equal(keras.ops.argmax(p, -1), keras.ops.cast(t, "int64"))
        return keras.ops.cast(right, "float32")

    class Focal(keras.losses.Loss):
        def call(self, t, p):
            return TestClassLabels.focal(t, p)

    def expected(self):
        log_p = self.logits - np.log(np.exp(self.logits).sum(-1, keepdims=True))
        own = np.take_along_axis(log_p, np.maximum(self.labels, 0)[..., None], -1)[..., 0]
        return (-((1 - np.exp(own)) ** 2) * own)[self.there].mean()

    @pytest.mark.parametrize("form", ["integers", "last axis", "floats", "sentinel"])
    @pytest.mark.parametrize("class_labels", [None, True])
    def test_forms(self, form, class_labels, run):
        labels, missing = self.labels, NAN
        if form == "last axis":
            labels = labels[..., None]
        elif form == "floats":
            labels = np.where(self.there, labels, NAN)
        elif form == "sentinel":
            labels, missing = np.where(self.there, labels, -100), -100
        labels, logits = tf.constant(labels), tf.constant(self.logits)
        for inner in (self.focal, self.Focal()):
            loss = losses.Masked(inner, missing=missing, class_labels=class_labels)
            assert float(run(loss, labels, logits)) == pytest.approx(self.expected(), rel=1e-5)
        metric = metrics.Masked(self.hits, missing=missing, class_labels=class_labels)
        metric.update_state(labels, logits)
        expected = (self.logits.argmax(-1) == self.labels)[self.there].mean()
        assert float(metric.result()) == pytest.approx(expected)

    @pytest.mark.parametrize(("class_labels", "expected"), [(None, 2.0), (False, 1.5)])
    def test_whole_numbers_that_are_no_classes(self, class_labels, expected):
        """-1 then is a number like any other."""

        def distance(t, p):
            return keras.ops.abs(keras.ops.cast(t, "float32") - p[..., 0]) + 0 * p[..., 1]

        loss = losses.Masked(distance, class_labels=class_labels)
        assert float(loss(np.array([[-1, 2]]), np.zeros((1, 2, 2), "float32"))) == expected


class MeanDistance(keras.metrics.Mean):
    """A metric class of a user's own, of elements."""

    def update_state(self, y_true, y_pred, sample_weight=None):
        super().update_state(tf.abs(y_true - y_pred), sample_weight=sample_weight)


class WorstDistance(keras.metrics.Mean):
    """And one of rows."""

    def update_state(self, y_true, y_pred, sample_weight=None):
        distance = tf.reduce_max(tf.abs(y_true - y_pred), axis=-1)
        super().update_state(distance, sample_weight=sample_weight)


def test_metric_classes_of_ones_own():
    y_true = np.array([[1.0, NAN], [2.0, 3.0], [0.0, 1.0]], "float32")
    y_pred = np.zeros((3, 2), "float32")
    for cls, expected in ((MeanDistance, 7 / 5), (WorstDistance, 2.0)):
        metric = metrics.Masked(cls(name="distance"))
        metric.update_state(y_true, y_pred)
        assert float(metric.result()) == pytest.approx(expected)
    metric = metrics.Masked(WorstDistance(name="distance"), per="element")
    metric.update_state(y_true, y_pred)
    assert float(metric.result()) == pytest.approx(7 / 5)


def test_a_metric_that_one_label_is_too_little_for_counts_rows():
    class Spread(keras.metrics.Mean):
        """How much the errors of a row differ."""

        def update_state(self, y_true, y_pred, sample_weight=None):
            assert y_true.shape[-1] > 1
            spread = tf.math.reduce_std(y_true - y_pred, axis=-1)
            super().update_state(spread, sample_weight=sample_weight)

    metric = metrics.Masked(Spread())
    metric.update_state(np.array([[1.0, NAN], [2.0, 4.0], [0.0, 6.0]]), np.zeros((3, 2)))
    assert float(metric.result()) == pytest.approx(2.0)


def test_options_are_saved():
    for masked, inner in ((losses.Masked, "mse"), (metrics.Masked, "AUC")):
        config = masked(inner, per="element").get_config()
        assert config["per"] == "element"
        assert masked.from_config(config).per == "element"
    config = losses.Masked("SparseCategoricalCrossentropy", class_labels=True).get_config()
    assert losses.Masked.from_config(config).class_labels is True
    config = metrics.Masked("sparse_categorical_accuracy", class_labels=True).get_config()
    assert metrics.Masked.from_config(config).class_labels is True
    assert "class_labels" not in metrics.Masked("sparse_categorical_accuracy").get_config()


def test_it_is_tried_once_and_not_within_a_graph(tasks):
    calls = []

    def loss(t, p):
        calls.append(tf.executing_eagerly())
        return tf.reduce_mean(tf.abs(t - p), axis=-1)

    masked = losses.Masked(loss)
    masked(*tasks)
    tried = len(calls) - 1
    tf.function(masked)(*map(tf.constant, tasks))
    masked(*tasks)
    assert len(calls) == tried + 3
    assert calls.count(False) == 1


def test_a_prediction_for_each_label_in_an_axis_of_its_own(rng):
    """Labels (samples,), predictions (samples, 1): no table of differences."""
    y_true, y_pred = rng.normal(size=6).astype("float32"), rng.normal(size=(6, 1)).astype("float32")
    y_true[2] = NAN
    expected = np.nanmean(np.abs(y_true - y_pred[:, 0]))
    for inner in (absolute, Asymmetric()):
        found = losses.Masked(inner)(y_true, y_pred)
        if inner is absolute:
            assert float(found) == pytest.approx(expected, rel=1e-5)
        assert float(found) == pytest.approx(
            float(losses.Masked(inner)(y_true[:, None], y_pred)), rel=1e-5
        )


def test_what_takes_no_channels_is_refused(rng):
    def picky(t, p):
        raise TypeError("of two columns alone")

    with pytest.raises((TypeError, ValueError)) as caught:
        losses.Masked(picky)(rng.normal(size=(6, 1)), rng.normal(size=(6, 3)))
    assert "NoneType" not in str(caught.value)
