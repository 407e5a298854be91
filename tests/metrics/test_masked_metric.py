"""`metrics.Masked`: any Keras metric over what has a label.

The oracle is the same metric, updated with nothing but the rows or elements that have one; where
each task or series has gaps of its own, the metric of each alone.
"""

import inspect

import keras
import numpy as np
import pytest
import tensorflow as tf

from masklstm import metrics

NAN = float("nan")
ROWS, CLASSES = 30, 4

# Every metric of Keras that takes sample_weight, by its kind of labels and predictions, with the
# arguments that it needs and others. Metrics that Keras may add later fail the test that compares
# this list with Keras's.
BINARY_ELEMENTS = {
    "AUC": [
        {},
        {"curve": "PR", "num_thresholds": 31},
        {"thresholds": [0.2, 0.7]},
        {"multi_label": True},
        {"multi_label": True, "thresholds": [0.2, 0.7]},
        {"label_weights": [0.1, 0.5, 0.2, 0.9]},
    ],
    "BinaryAccuracy": [{}, {"threshold": 0.3}],
    "BinaryIoU": [{"dtype": "float32"}],
    "FalseNegatives": [{}],
    "FalsePositives": [{}],
    "TrueNegatives": [{}],
    "TruePositives": [{}, {"thresholds": [0.2, 0.7]}],
    "Precision": [{}],
    "Recall": [{}],
    "PrecisionAtRecall": [{"recall": 0.5}],
    "RecallAtPrecision": [{"precision": 0.5}],
    "SensitivityAtSpecificity": [{"specificity": 0.5}],
    "SpecificityAtSensitivity": [{"sensitivity": 0.5}],
}
OF_ONE_CLASS = {
    "Precision": [{"class_id": 1}],
    "Recall": [{"class_id": 2}],
    "PrecisionAtRecall": [{"recall": 0.5, "class_id": 1}],
}
OF_THE_TOP = {"Precision": [{"top_k": 2}, {"top_k": 2, "class_id": 1}], "Recall": [{"top_k": 2}]}
CLASS_ELEMENTS = {
    "Accuracy": [{}],
    "IoU": [{"num_classes": CLASSES, "target_class_ids": [0, 2], "dtype": "float32"}],
    "MeanIoU": [{"num_classes": CLASSES, "dtype": "float32"}],
}
# Before Keras 3.13 the metric does not have it.
_KNOWN = inspect.signature(keras.metrics.SparseCategoricalCrossentropy).parameters
IGNORED_CLASS = [{"ignore_class": 2}] if "ignore_class" in _KNOWN else []
CLASS_LABELS = {
    "SparseCategoricalAccuracy": [{}],
    "SparseTopKCategoricalAccuracy": [{"k": 2}],
    "SparseCategoricalCrossentropy": [{}, {"from_logits": True}, *IGNORED_CLASS],
    "MeanIoU": [{"num_classes": CLASSES, "sparse_y_pred": False, "dtype": "float32"}],
}
ONE_HOT = {
    "CategoricalAccuracy": [{}],
    "CategoricalCrossentropy": [{}, {"label_smoothing": 0.1}],
    "CategoricalHinge": [{}],
    "F1Score": [{}, {"average": "macro"}, {"average": "micro"}],
    "FBetaScore": [{"beta": 2.0, "average": "weighted"}],
    "OneHotIoU": [{"num_classes": CLASSES, "target_class_ids": [0, 2], "dtype": "float32"}],
    "OneHotMeanIoU": [{"num_classes": CLASSES, "dtype": "float32"}],
    "TopKCategoricalAccuracy": [{"k": 2}],
}
VECTORS = {
    "CosineSimilarity": [{}, {"axis": 1}],
    "KLDivergence": [{}],
    "MeanMetricWrapper": [{"fn": lambda t, p: tf.reduce_sum(tf.math.log(p) / t, -1)}],
}
AVERAGES = {
    "BinaryCrossentropy": [{}, {"from_logits": True}],
    "Hinge": [{}],
    "LogCoshError": [{}],
    "MeanAbsoluteError": [{}],
    "MeanAbsolutePercentageError": [{}],
    "MeanMetricWrapper": [
        {"fn": lambda t, p: tf.reduce_mean(p * tf.abs(t - p), -1)},
        {"fn": lambda t, p: t * tf.abs(t - p)},
        {"fn": keras.losses.huber, "delta": 0.2},
    ],
    "MeanSquaredError": [{}],
    "MeanSquaredLogarithmicError": [{}],
    "Poisson": [{}],
    "RootMeanSquaredError": [{}],
    "SquaredHinge": [{}],
}
TASKS = {
    "F1Score": [{"threshold": 0.4}, {"threshold": 0.4, "average": "macro"}],
    "FBetaScore": [{"threshold": 0.6, "beta": 2.0}],
    "R2Score": [{}, {"class_aggregation": None}],
}
SERIES = {"ConcordanceCorrelation": [{}], "PearsonCorrelation": [{}]}
KINDS = {
    "binary elements": BINARY_ELEMENTS,
    "one class": OF_ONE_CLASS,
    "top": OF_THE_TOP,
    "class elements": CLASS_ELEMENTS,
    "class labels": CLASS_LABELS,
    "one-hot": ONE_HOT,
    "vectors": VECTORS,
    "averages": AVERAGES,
    "tasks": TASKS,
    "series": SERIES,
}
CASES = [
    (kind, name, arguments)
    for kind, members in KINDS.items()
    for name, variants in members.items()
    for arguments in variants
]


FIRST_AUC = next(case for case in CASES if case[1] == "AUC")


def case_id(case):
    return "-".join(
        [*case[:2], *(f"{key}={value}" for key, value in case[2].items() if key != "fn")]
    )


@pytest.fixture(params=CASES, ids=case_id)
def masked_case(request):
    return request.param


def create(case):
    return getattr(keras.metrics, case[1])(**case[2])


def test_every_keras_metric_is_here():
    found = {
        name
        for name, cls in vars(keras.metrics).items()
        if inspect.isclass(cls) and "y_true" in inspect.signature(cls.update_state).parameters
    }
    assert found == {name for members in KINDS.values() for name in members}


def data(case, rng):
    """Labels with gaps, predictions, and which rows or elements are valid."""
    kind = case[0]
    classes = rng.integers(0, CLASSES, ROWS).astype("float32")
    y_pred = (0.05 + 0.9 * rng.random((ROWS, CLASSES))).astype("float32")
    if kind == "class labels":
        valid = rng.random(ROWS) < 0.6
        return np.where(valid, classes, rng.choice([NAN, -1.0], ROWS)), y_pred, valid
    if kind == "class elements":
        shape = (ROWS, 3)
        y_true, y_pred = rng.integers(0, CLASSES, (2, *shape)).astype("float32")
        valid = rng.random(shape) < 0.6
        return np.where(valid, y_true, NAN), y_pred, valid
    if kind == "one-hot":
        y_true = np.eye(CLASSES, dtype="float32")[classes.astype(int)]
    elif kind in ("vectors", "averages", "series") or case[1] == "R2Score":
        y_true = 0.1 + rng.random((ROWS, CLASSES)).astype("float32")
        if "Hinge" in case[1]:
            y_true = np.round(y_true)
    else:
        y_true = np.round(rng.random((ROWS, CLASSES)).astype("float32"))
    there = rng.random(y_true.shape) < 0.8
    y_true = np.where(there, y_true, NAN)
    if kind in ("binary elements", "averages", "tasks"):
        return y_true, y_pred, there
    if kind == "series":
        return y_true, y_pred, there.sum(axis=-1) >= 2
    if kind == "one class":
        return y_true, y_pred, there[:, case[2]["class_id"]]
    return y_true, y_pred, there.all(axis=-1)


def result_of_the_valid_part(case, y_true, y_pred, valid, weight=None):
    """By the inner metric alone; `valid` and weights have the shape of rows or of elements."""
    if case[0] in ("tasks", "series"):
        return result_of_each(case, y_true, y_pred, valid, weight)
    if case[2].get("multi_label"):
        # Each label has elements of its own: the mean of their AUCs.
        arguments = {key: value for key, value in case[2].items() if key != "multi_label"}
        parts = []
        for label in range(CLASSES):
            column = (..., label)
            part = weight[column] if weight is not None else None
            columns = y_true[column], y_pred[column], valid[column]
            parts.append(result_of_the_valid_part((*case[:2], arguments), *columns, part))
        return np.mean(parts)
    inner = create(case)
    if "ignore_class" in case[2] and weight is None:
        weight = np.ones(valid.shape)  # without weights Keras counts the ignored as 0
    if "label_weights" in case[2]:
        # Weights of labels are weights of elements.
        weight = np.asarray(case[2]["label_weights"]) * (
            np.ones(valid.shape) if weight is None else weight
        )
        inner = keras.metrics.AUC()
    labels = y_true[valid]
    if case[0] == "one class":
        labels = np.nan_to_num(labels)
    weight = None if weight is None else weight[valid].astype("float32")
    predictions = y_pred[valid]
    if case[0] == "averages":
        labels, predictions = labels[:, None], predictions[:, None]
    inner.update_state(labels.astype("float32"), predictions, sample_weight=weight)
    return np.asarray(inner.result())


def result_of_each(case, y_true, y_pred, valid, weight):
    """The metric of each task or series alone, put together as the metric does."""
    y_true, y_pred = (x.reshape(-1, CLASSES).astype("float32") for x in (y_true, y_pred))
    there = ~np.isnan(y_true)
    if case[0] == "series":
        values = []
        for row in np.flatnonzero(valid):
            inner = create(case)
            inner.update_state(y_true[row, there[row]][None], y_pred[row, there[row]][None])
            values.append(inner.result())
        return np.average(values, weights=None if weight is None else weight[valid])
    scores = []
    for task in range(CLASSES):
        arguments = {"average": None} if case[1] != "R2Score" else {"class_aggregation": None}
        inner = create((*case[:2], {**case[2], **arguments}))
        rows, column = there[:, task], slice(task, task + 1)
        part = None
        if weight is not None:
            part = (weight[:, task] if weight.ndim == 2 else weight)[rows].astype("float32")
        inner.update_state(y_true[rows, column], y_pred[rows, column], sample_weight=part)
        scores.append(np.asarray(inner.result())[0])
    is_vector = case[2].get("average", case[2].get("class_aggregation", case[1])) in (
        None,
        "F1Score",
        "FBetaScore",
    )
    return np.array(scores) if is_vector else np.mean(scores)


def shape_of_weights(case, valid):
    """An F-score weighs rows."""
    return valid.shape[:1] if case[1] in ("F1Score", "FBetaScore") else valid.shape


def poisoned(y_true, y_pred, valid, rng):
    """Anything may stand where there is no label."""
    y_pred = y_pred.copy()
    y_pred[~valid] = rng.choice([NAN, np.inf, -1e30], y_pred[~valid].shape)
    return y_pred


@pytest.mark.parametrize("weighted", [False, True])
def test_equals_the_metric_of_what_is_left(weighted, masked_case, rng):
    y_true, y_pred, valid = data(masked_case, rng)
    shape = shape_of_weights(masked_case, valid)
    weight = rng.integers(1, 5, shape).astype("float32") if weighted else None
    expected = result_of_the_valid_part(masked_case, y_true, y_pred, valid, weight)
    there = ~np.isnan(y_true) if masked_case[0] == "series" else valid
    y_pred = poisoned(y_true, y_pred, there, rng)
    if weighted:
        counts = valid if valid.shape == weight.shape else valid.any(axis=-1)
        weight = np.where(counts, weight, NAN)
    metric = metrics.Masked(create(masked_case))
    metric.update_state(y_true * NAN, y_pred)
    for part in (slice(0, 3), slice(3, 3), slice(3, 17), slice(17, ROWS)):
        metric.update_state(y_true[part], y_pred[part], weight[part] if weighted else None)
    np.testing.assert_allclose(metric.result(), expected, rtol=2e-5, atol=1e-6)
    assert int(metric.valid_count.numpy()) == valid.sum()


def test_steps_are_rows(masked_case, rng):
    """Samples of steps: every valid row has the same say, however long the samples are."""
    if masked_case[2].get("axis"):
        pytest.skip("its rows are not those of the last axis")
    y_true, y_pred, valid = data(masked_case, rng)
    expected = result_of_the_valid_part(masked_case, y_true, y_pred, valid)
    metric = metrics.Masked(create(masked_case))
    for part, steps in ((slice(0, 18), 3), (slice(18, ROWS), 6)):
        samples = (part.stop - part.start) // steps
        metric.update_state(
            *(x[part].reshape(samples, steps, *x.shape[1:]) for x in (y_true, y_pred))
        )
    np.testing.assert_allclose(metric.result(), expected, rtol=2e-5, atol=1e-6)


def test_rows_along_another_axis(rng):
    y_true, y_pred = 0.1 + rng.random((2, 8, 5, 3)).astype("float32")
    y_true[rng.random((8, 5, 3)) < 0.1] = NAN
    valid = ~np.isnan(y_true).any(axis=1)
    metric = metrics.Masked(keras.metrics.CosineSimilarity(axis=1))
    metric.update_state(y_true, np.where(valid[:, None], y_pred, NAN))
    inner = keras.metrics.CosineSimilarity(axis=-1)
    inner.update_state(*(np.moveaxis(x, 1, -1)[valid] for x in (y_true, y_pred)))
    np.testing.assert_allclose(metric.result(), inner.result(), rtol=1e-5)


def test_correlations_are_over_the_pairs_of_a_series(run, rng):
    """Along the steps, with labels far from 0; a series of fewer than two pairs does not count."""
    y_true = rng.normal(size=(6, 9, 2)) + np.array([0.0, 1e3])
    y_pred = y_true + 0.5 * rng.normal(size=y_true.shape)
    y_true[rng.random(y_true.shape) < 0.4] = NAN
    y_true[0, :, 0], y_true[1, 1:, 0] = NAN, NAN
    y_pred[np.isnan(y_true)] = np.inf

    def concordance(t, p):
        covariance = np.cov(t, p, bias=True)
        return 2 * covariance[0, 1] / (np.trace(covariance) + (t.mean() - p.mean()) ** 2)

    for name, function in (
        ("ConcordanceCorrelation", concordance),
        ("PearsonCorrelation", lambda t, p: np.corrcoef(t, p)[0, 1]),
    ):
        metric = metrics.Masked(getattr(keras.metrics, name)(axis=1, dtype="float64"))
        metric.update_state(y_true, y_pred)
        run(metric.update_state, tf.constant(y_true), tf.constant(y_pred))
        there = ~np.isnan(y_true)
        series = [(b, k) for b in range(6) for k in range(2) if there[b, :, k].sum() >= 2]
        expected = [
            function(y_true[b, there[b, :, k], k], y_pred[b, there[b, :, k], k]) for b, k in series
        ]
        assert len(series) < 12
        np.testing.assert_allclose(metric.result(), np.mean(expected), rtol=1e-6)


def test_nothing_valid_is_nan_and_changes_nothing(masked_case, rng):
    y_true, y_pred, _ = data(masked_case, rng)
    metric = metrics.Masked(create(masked_case))
    gaps = np.full_like(y_true, NAN), np.full_like(y_pred, NAN)
    metric.update_state(*gaps)
    assert np.all(np.isnan(metric.result()))
    metric.update_state(y_true, y_pred)
    assert not np.any(np.isnan(metric.result()))
    before = [variable.numpy() for variable in metric.variables]
    metric.update_state(*gaps)
    metric.update_state(y_true[:0], y_pred[:0])
    for variable, value in zip(metric.variables, before, strict=True):
        np.testing.assert_array_equal(variable.numpy(), value)
    metric.reset_state()
    assert np.all(np.isnan(metric.result()))
    for variable in metric.variables:
        assert not np.any(variable.numpy())


@pytest.mark.parametrize(
    "masked_case", {case[0]: case for case in [*CASES, FIRST_AUC]}.values(), ids=case_id
)
def test_modes(masked_case, run, rng):
    """One metric of each kind."""
    y_true, y_pred, valid = data(masked_case, rng)
    expected = result_of_the_valid_part(masked_case, y_true, y_pred, valid)
    metric = metrics.Masked(create(masked_case))
    metric.update_state(y_true * NAN, y_pred)  # makes the variables
    run(metric.update_state, tf.constant(y_true), tf.constant(y_pred))
    np.testing.assert_allclose(run(metric.result), expected, rtol=2e-5, atol=1e-6)


def test_saving(masked_case, rng):
    y_true, y_pred, _ = data(masked_case, rng)
    if "fn" in masked_case[2] or "label_weights" in masked_case[2]:
        pytest.skip("Keras does not load a lambda, nor the weights of an AUC's labels")
    for options in ({}, {"missing": -5.0, "name": "mine", "dtype": "float64"}):
        metric = metrics.Masked(create(masked_case), **options)
        again = keras.metrics.deserialize(keras.metrics.serialize(metric))
        assert again.get_config() == metric.get_config()
        for one in (metric, again):
            one.update_state(y_true, y_pred)
        np.testing.assert_array_equal(again.result(), metric.result())
        assert again.result().dtype == metric.result().dtype


def test_auc_is_scikit_learn_s(rng):
    """Predictions between Keras's thresholds, of which every difference counts."""
    from sklearn.metrics import roc_auc_score

    y_true = (rng.random((500, 2)) < 0.4).astype("float32")
    level = 0.3 * y_true + 0.7 * rng.random(y_true.shape)
    y_pred = (np.floor(level * 199) + 0.5) / 199
    y_true[rng.random(y_true.shape) < 0.4] = NAN
    valid = ~np.isnan(y_true)
    weight = rng.integers(1, 5, y_true.shape)
    for weights in (None, weight):
        metric = metrics.Masked(keras.metrics.AUC())
        for part in (slice(0, 100), slice(100, 500)):
            metric.update_state(
                y_true[part], y_pred[part], None if weights is None else weights[part]
            )
        expected = roc_auc_score(
            y_true[valid], y_pred[valid], sample_weight=None if weights is None else weights[valid]
        )
        assert float(metric.result()) == pytest.approx(expected, abs=1e-6)


class TestTasks:
    """Tasks with gaps of their own; what has no score takes no part in an average."""

    rng = np.random.default_rng(7)
    y_true = (rng.random((300, 5)) < 0.5).astype("float32")
    level = np.clip(0.3 * y_true + 0.7 * rng.random(y_true.shape), 0, 1)
    y_pred = (np.floor(level * 199) + 0.5) / 199
    y_true[rng.random(y_true.shape) < 0.3] = NAN
    y_true[:, 2] = NAN  # never seen
    there = ~np.isnan(y_true)

    def each(self, function, tasks):
        return [
            function(self.y_true[self.there[:, k], k], self.y_pred[self.there[:, k], k])
            for k in tasks
        ]

    @pytest.mark.parametrize("label_weights", [None, [1.0, 3.0, 9.0, 2.0, 5.0]])
    def test_a_macro_auc(self, label_weights, run):
        from sklearn.metrics import roc_auc_score

        y_true = self.y_true.copy()
        y_true[self.there[:, 4], 4] = 1  # one class alone
        metric = metrics.Masked(
            keras.metrics.AUC(multi_label=True, num_labels=5, label_weights=label_weights)
        )
        metric.update_state(y_true[:0], self.y_pred[:0].astype("float32"))
        run(metric.update_state, tf.constant(y_true), tf.constant(self.y_pred, tf.float32))
        parts = self.each(roc_auc_score, (0, 1, 3))
        weights = None if label_weights is None else [1.0, 3.0, 2.0]
        expected = np.average(parts, weights=weights)
        assert float(run(metric.result)) == pytest.approx(expected, abs=1e-5)

    def test_a_macro_area_under_precision_and_recall(self):
        metric = metrics.Masked(keras.metrics.AUC(multi_label=True, num_labels=5, curve="PR"))
        metric.update_state(self.y_true, self.y_pred)
        parts = []
        for k in (0, 1, 3, 4):
            inner = keras.metrics.AUC(curve="PR")
            rows = self.there[:, k]
            inner.update_state(self.y_true[rows, k], self.y_pred[rows, k])
            parts.append(float(inner.result()))
        assert float(metric.result()) == pytest.approx(np.mean(parts), rel=1e-6)

    def test_f_scores(self, run):
        from sklearn.metrics import f1_score

        parts = self.each(lambda t, p: f1_score(t, p > 0.5), (0, 1, 3, 4))
        for average, expected in (
            ("macro", np.mean(parts)),
            (None, [*parts[:2], NAN, *parts[2:]]),
        ):
            metric = metrics.Masked(keras.metrics.F1Score(average=average, threshold=0.5))
            metric.update_state(self.y_true[:0], self.y_pred[:0].astype("float32"))
            run(metric.update_state, tf.constant(self.y_true), tf.constant(self.y_pred))
            np.testing.assert_allclose(run(metric.result), expected, rtol=1e-5)
            metric.reset_state()
            assert np.all(np.isnan(metric.result()))
            if average is None:
                tasks = [*"abcde"]
                metric = metrics.Masked(metric.inner, "f1", names=tasks)
                assert np.isnan([*map(float, metric.result().values())]).all()
                again = type(metric).from_config(metric.get_config())
                again.update_state(self.y_true, self.y_pred.astype("float32"))
                named = again.result()
                assert list(named) == again.log_names() == [f"f1_{task}" for task in tasks]
                np.testing.assert_allclose([*named.values()], expected, rtol=1e-5)
                again.names = ("a", "b")
                with pytest.raises(ValueError, match="Expected a vector with 2"):
                    again.result()
        micro = metrics.Masked(keras.metrics.F1Score(average="micro", threshold=0.5))
        micro.update_state(self.y_true, self.y_pred)
        expected = f1_score(self.y_true[self.there], self.y_pred[self.there] > 0.5)
        assert float(micro.result()) == pytest.approx(expected, rel=1e-5)

    def test_tasks_that_are_seen_later(self):
        metric = metrics.Masked(keras.metrics.F1Score(average="macro", threshold=0.5))
        metric.update_state([[1.0, NAN]], [[0.9, 0.1]])
        assert float(metric.result()) == pytest.approx(1.0, abs=1e-6)
        metric.update_state([[NAN, 1.0]], [[0.9, 0.1]])
        assert float(metric.result()) == pytest.approx(0.5, abs=1e-6)


class TestNames:
    """Which metric a short name is depends on the shapes, as in Keras's `compile`."""

    rng = np.random.default_rng(8)
    classes = rng.integers(0, 3, 40).astype("float32")
    scores = rng.random((40, 3)).astype("float32")
    scores /= scores.sum(-1, keepdims=True)
    one_hot = np.eye(3, dtype="float32")[classes.astype(int)]
    FORMS = (
        (np.minimum(classes, 1)[:, None], scores[:, :1]),
        (np.minimum(classes, 1), scores[:, :1]),
        (classes, scores),
        (classes[:, None], scores),
        (one_hot, scores),
        (np.minimum(classes, 1).reshape(8, 5, 1), scores[:, :1].reshape(8, 5, 1)),
        (classes.reshape(8, 5), scores.reshape(8, 5, 3)),
    )

    @pytest.mark.parametrize("form", range(len(FORMS)))
    @pytest.mark.parametrize("name", ["accuracy", "acc"])
    def test_accuracies(self, name, form):
        y_true, y_pred = self.FORMS[form]
        model = keras.Sequential([keras.layers.Identity()])
        model.compile("sgd", lambda t, p: tf.reduce_mean(p, -1), metrics=[name])
        expected = model.evaluate(y_pred, y_true, verbose=0, return_dict=True)[name]
        gaps = np.concatenate([np.full_like(y_true, NAN), y_true])
        predictions = tf.constant(np.concatenate([y_pred, y_pred]))
        metric = metrics.Masked(name)
        tf.function(metric.update_state)(tf.constant(gaps), predictions)
        assert float(metric.result()) == pytest.approx(expected, rel=1e-6)
        assert (metric.name, metric._direction) == (name, "up")
        again = keras.metrics.deserialize(keras.metrics.serialize(metric))
        again.update_state(gaps, predictions)
        assert float(again.result()) == float(metric.result())

    @pytest.mark.parametrize("name", ["ce", "crossentropy"])
    def test_cross_entropies(self, name):
        for y_true, y_pred in self.FORMS:
            metric = metrics.Masked(name)
            metric.update_state(y_true, y_pred)
            loss = keras.losses.BinaryCrossentropy()
            if y_pred.shape[-1] > 1:
                kind = "" if y_true.shape == y_pred.shape else "Sparse"
                loss = getattr(keras.losses, f"{kind}CategoricalCrossentropy")()
            expected = loss(y_true, y_pred)
            assert float(metric.result()) == pytest.approx(float(expected), rel=1e-6)
            assert metric._direction == "down"


class TestGaps:
    def test_class_labels(self):
        y_pred = np.array([[0.9, 0.1], [0.9, 0.1], [0.7, 0.3]])
        for labels in ([0, -1, 1], [[0], [-1], [1]], [0.0, NAN, 1.0]):
            metric = metrics.Masked("SparseCategoricalAccuracy")
            metric.update_state(np.array(labels), y_pred)
            assert float(metric.result()) == 0.5
        metric = metrics.Masked("sparse_categorical_accuracy", missing=1)
        metric.update_state(np.array([0, -1, 1]), y_pred)
        assert float(metric.result()) == 1.0

    def test_a_keras_mask(self, rng):
        y_true, y_pred = rng.random((2, 4, 5, 3)).astype("float32")
        mask = rng.random((4, 5)) < 0.5
        for name in ("MeanSquaredError", "AUC"):
            labels = np.round(y_true) if name == "AUC" else y_true
            masked = tf.constant(y_pred)
            masked._keras_mask = tf.constant(mask)
            metric = metrics.Masked(name)
            metric.update_state(labels, masked)
            inner = getattr(keras.metrics, name)()
            inner.update_state(labels[mask], y_pred[mask])
            np.testing.assert_allclose(metric.result(), inner.result(), rtol=1e-6)

    def test_a_vector_has_one_entry_for_each_sample(self):
        metric = metrics.Masked("MeanSquaredError")
        metric.update_state(np.array([1.0, NAN, 3.0]), np.array([2.0, 5.0, 5.0]))
        assert float(metric.result()) == 2.5

    def test_weights_of_samples_reach_their_elements(self):
        metric = metrics.Masked("BinaryAccuracy")
        metric.update_state([[1.0, NAN], [0.0, 0.0]], [[0.9, 0.9], [0.9, 0.1]], [2.0, 1.0])
        assert float(metric.result()) == 0.75


def test_names_directions_and_variables():
    inner = keras.metrics.Precision(name="exactness")
    metric = metrics.Masked(inner)
    assert metric.name == "exactness"
    assert metric._direction == inner._direction
    assert len(metric.variables) == len(inner.variables) + 1
    assert metrics.Masked(lambda t, p: t).name == "lambda"


class TestErrors:
    def test_not_a_metric(self):
        for metric in (None, "no_such_metric", 3):
            with pytest.raises(ValueError, match="metric"):
                metrics.Masked(metric)

    @pytest.mark.parametrize(
        "metric",
        [
            metrics.MeanSquaredError(),
            metrics.Masked("AUC"),
            keras.metrics.Mean(),
            keras.metrics.Sum(),
            keras.metrics.MeanMetricWrapper(keras.losses.dice),
            keras.metrics.MeanMetricWrapper(keras.losses.circle),
            keras.metrics.MeanMetricWrapper(keras.losses.ctc),
            keras.metrics.R2Score(num_regressors=1),
        ],
        ids=lambda metric: type(metric).__name__,
    )
    def test_metrics_that_cannot_skip_rows(self, metric):
        with pytest.raises(ValueError, match=r"'metric'. Expected one .*Received: "):
            metrics.Masked(metric)

    @pytest.mark.parametrize(
        ("name", "labels"),
        [
            ("MeanSquaredError", (1, 3)),
            ("AUC", (3,)),
            ("SparseCategoricalAccuracy", (4, 3)),
            ("F1Score", (4,)),
        ],
    )
    def test_labels_are_not_broadcast(self, name, labels):
        with pytest.raises(ValueError, match=r"do not fit together.*y_true with shape.*y_pred"):
            metrics.Masked(name).update_state(np.ones(labels), np.ones((4, 3)))

    def test_weights_that_do_not_fit(self):
        with pytest.raises(ValueError, match=r"'sample_weight'.*\(4,\).*\(4, 3\)"):
            metrics.Masked("CategoricalAccuracy").update_state(
                np.ones((4, 3)), np.ones((4, 3)), np.ones((4, 3))
            )
