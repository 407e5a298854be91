"""What Keras's own metrics make of labels with gaps: NaN, or a finite figure that is wrong.

README.md, docs/metrics.md and docs/diagnosis.md say which is which, and `MissingLabels` warns of
both.
"""

import re
import warnings
from pathlib import Path

import keras
import numpy as np
import pytest
from support.markers import version_of

from masklstm import losses, metrics
from masklstm._core.keras_compat import compiled_metrics
from masklstm.callbacks import MissingLabels

README = Path(__file__).parents[2] / "README.md"
NAN = np.nan
STAY_NAN = [
    "MeanSquaredError",
    "MeanAbsoluteError",
    "RootMeanSquaredError",
    "MeanAbsolutePercentageError",
    "MeanSquaredLogarithmicError",
    "LogCoshError",
    "CosineSimilarity",
    "R2Score",
    "PearsonCorrelation",
    "ConcordanceCorrelation",
    "Poisson",
    "KLDivergence",
    "BinaryCrossentropy",
    "CategoricalCrossentropy",
    "Hinge",
    "SquaredHinge",
    "CategoricalHinge",
    "F1Score",
    "FBetaScore",
    "mse",
    "mae",
    "mape",
    "msle",
    "log_cosh_error",
]
COME_OUT_FINITE = [
    "accuracy",
    "BinaryAccuracy",
    "CategoricalAccuracy",
    "TopKCategoricalAccuracy",
    "AUC",
    "Precision",
    "Recall",
    "TruePositives",
    "FalseNegatives",
]
# NaN is a positive to the first two, and no class to the third.
ARE_RIGHT = [keras.metrics.TrueNegatives, keras.metrics.FalsePositives]
if version_of(keras.__version__) >= (3, 13):  # before, it fails on a NaN
    ARE_RIGHT.append(keras.metrics.BinaryIoU)
WITH_ARGUMENTS = [
    keras.metrics.OneHotIoU(4, [0]),
    keras.metrics.OneHotMeanIoU(4),
    keras.metrics.PrecisionAtRecall(0.5),
    keras.metrics.SensitivityAtSpecificity(0.5),
]
TASKS = 4


@pytest.fixture(scope="module")
def data():
    """Labels and near predictions; in half of the rows all labels are missing."""
    rng = np.random.default_rng(0)
    y_true = np.eye(TASKS, dtype="float32")[rng.integers(0, TASKS, 40)]
    x = np.clip(0.25 + 0.5 * y_true + rng.normal(0, 0.3, y_true.shape), 0.01, 0.99)
    y_true[::2] = NAN
    return x.astype("float32"), y_true


def evaluate(given, x, y, **compiled):
    """Figures over labels with gaps and over what is there, and what `MissingLabels` says."""
    model = keras.Sequential([keras.layers.Identity()])
    if given:
        compiled["metrics"] = given
    model.compile(loss=losses.MeanSquaredError(), run_eagerly=True, **compiled)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        logs = model.evaluate(x, y, verbose=0, return_dict=True, callbacks=[MissingLabels()])
    texts = [str(each.message) for each in caught if "MissingLabels" in str(each.message)]
    there = ~np.isnan(y).any(axis=-1)
    right = model.evaluate(x[there], y[there], verbose=0, return_dict=True)
    del logs["loss"], right["loss"]
    return logs, right, texts


@pytest.mark.parametrize("name", STAY_NAN)
def test_these_stay_nan(name, data):
    logs, _, texts = evaluate([name], *data)
    ((name, figure),) = logs.items()
    assert np.isnan(figure).any()
    (text,) = texts
    assert f"{name} came out NaN" in text


# Not by their own names, in which Keras counts.
@pytest.mark.parametrize(
    "metric",
    [*COME_OUT_FINITE, *WITH_ARGUMENTS],
    ids=lambda metric: metric if isinstance(metric, str) else type(metric).__name__,
)
def test_these_come_out_finite_and_wrong(metric, data):
    x, y = data
    if metric == "TopKCategoricalAccuracy":
        metric = keras.metrics.TopKCategoricalAccuracy(k=1)
    logs, right, texts = evaluate([metric], x, y)
    ((name, figure),) = logs.items()
    assert np.isfinite(figure)
    assert not np.allclose(figure, right[name], rtol=1e-3)
    (text,) = texts
    assert f"MissingLabels: {name} came out finite in the validation, but wrong" in text


@pytest.mark.parametrize("metric", ARE_RIGHT)
def test_these_are_right(metric, data):
    logs, right, texts = evaluate([metric()], *data)
    assert logs == right
    assert texts == []


def test_classes_that_are_minus_one():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, (40, 1)).astype("float32")
    x = np.eye(3, dtype="float32")[y[:, 0].astype(int)]
    y[::2] = -1
    model = keras.Sequential([keras.layers.Identity()])
    model.compile(
        loss=losses.Masked("SparseCategoricalCrossentropy"),
        metrics=["accuracy", keras.metrics.MeanIoU(3, ignore_class=-1, sparse_y_pred=False)],
    )
    with pytest.warns(UserWarning, match="MissingLabels") as caught:
        logs = model.evaluate(x, y, verbose=0, return_dict=True, callbacks=[MissingLabels()])
    assert logs["accuracy"] == 0.5
    (text,) = [str(each.message) for each in caught if "wrong" in str(each.message)]
    assert "MissingLabels: accuracy came out" in text


def test_classes_of_steps():
    """Labels of shape (batch, steps), probabilities of (batch, steps, classes)."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, (10, 4)).astype("float32")
    x = np.eye(3, dtype="float32")[y.astype(int)]
    y[::2] = -1
    model = keras.Sequential([keras.layers.Identity()])
    model.compile(
        loss=losses.Masked("SparseCategoricalCrossentropy", missing=-1),
        metrics=["accuracy", keras.metrics.MeanIoU(3, ignore_class=-1, sparse_y_pred=False)],
    )
    with pytest.warns(UserWarning, match="MissingLabels") as caught:
        logs = model.evaluate(x, y, verbose=0, return_dict=True, callbacks=[MissingLabels()])
    assert logs["accuracy"] == 0.5
    (text,) = [str(each.message) for each in caught if "wrong" in str(each.message)]
    assert "MissingLabels: accuracy came out" in text  # and nothing of the other one


def test_the_list_is_complete():
    """Of all that Keras has under a name of its own."""
    known = {
        *STAY_NAN,
        *COME_OUT_FINITE,
        *(each.__name__ for each in ARE_RIGHT),
        *(type(each).__name__ for each in WITH_ARGUMENTS),
    }
    known |= {"Metric", "Mean", "Sum", "MeanMetricWrapper", "Accuracy"}  # of values; bases
    kin = {"BinaryIoU", "IoU", "MeanIoU", "RecallAtPrecision", "SpecificityAtSensitivity"}
    classes = {
        name
        for name, each in vars(keras.metrics).items()
        if isinstance(each, type) and issubclass(each, keras.metrics.Metric)
    }
    assert {each for each in classes - known - kin if not each.startswith("Sparse")} == set()


def own_wrong(y_true, y_pred):
    return keras.ops.mean(keras.ops.nan_to_num(y_true), axis=-1)


def own_skipping(y_true, y_pred):
    there = ~keras.ops.isnan(y_true)
    return keras.ops.mean(keras.ops.where(there, 1.0, 1.0), axis=-1)


class OwnMean(keras.metrics.Metric):
    """The mean error; with `skips` of the labels that are there."""

    def __init__(self, skips, **arguments):
        super().__init__(**arguments)
        self.skips = skips
        self.total = self.add_variable((), "zeros", name="total")
        self.number = self.add_variable((), "zeros", name="number")

    def update_state(self, y_true, y_pred, sample_weight=None):
        y_true = keras.ops.convert_to_tensor(y_true)
        there = ~keras.ops.isnan(y_true)
        error = keras.ops.where(there, keras.ops.nan_to_num(y_true) - y_pred, 0.0)
        self.total.assign_add(keras.ops.sum(error))
        counted = there if self.skips else keras.ops.ones_like(there)
        self.number.assign_add(keras.ops.sum(keras.ops.cast(counted, "float32")))

    def result(self):
        return self.total / self.number


class Ours(metrics.MeanAbsoluteError):
    pass


def test_own_metrics(data):
    given = [own_wrong, own_skipping, OwnMean(False, name="wrong"), OwnMean(True, name="right")]
    logs, _, texts = evaluate([*given, Ours(name="ours")], *data)
    assert np.isfinite(list(logs.values())).all()
    (text,) = texts
    assert "MissingLabels: own_wrong, wrong came out finite" in text


def test_weighted_metrics_too(data):
    x, y = data
    _, _, texts = evaluate(None, x, y, weighted_metrics=["accuracy", "mae"])
    assert any("accuracy came out finite" in text for text in texts)
    assert any("mae came out NaN" in text for text in texts)
    assert len(texts) == 2


def test_a_gap_of_weight_0_does_not_count_in_a_weighted_metric(data):
    x, y = data
    model = keras.Sequential([keras.layers.Identity()])
    model.compile(loss=losses.MeanSquaredError(), weighted_metrics=["accuracy"])
    weights = (~np.isnan(y).any(axis=-1)).astype("float32")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        logs = model.evaluate(x, y, sample_weight=weights, verbose=0, callbacks=[MissingLabels()])
    right = evaluate(None, x, y, weighted_metrics=["accuracy"])[1]["accuracy"]
    np.testing.assert_allclose(logs[1], right, rtol=1e-6)


@pytest.mark.parametrize("nested", [dict, list])
def test_metrics_of_several_outputs(nested, data):
    """The one whose labels have no gaps is not blamed."""
    x, y = data
    inputs = keras.Input((TASKS,))
    outputs = {name: keras.layers.Dense(TASKS, name=name)(inputs) for name in "ab"}
    given = {"a": ["accuracy", metrics.MeanAbsoluteError()], "b": ["accuracy"]}
    labels = {"a": y, "b": np.nan_to_num(y)}
    if nested is list:
        outputs, given, labels = (list(each.values()) for each in (outputs, given, labels))
    model = keras.Model(inputs, outputs)
    model.compile("sgd", losses.MeanSquaredError(), metrics=given)
    with pytest.warns(UserWarning, match="MissingLabels") as caught:
        model.fit(x, labels, verbose=0, callbacks=[MissingLabels()])
    (text,) = [str(each.message) for each in caught if "MissingLabels" in str(each.message)]
    assert "MissingLabels: a_accuracy came out finite" in text


def test_trying_a_metric_out_leaves_it_alone(data):
    x, y = data
    model = keras.Sequential([keras.layers.Identity()])
    model.compile(loss=losses.MeanSquaredError(), metrics=["accuracy"], run_eagerly=True)
    with pytest.warns(UserWarning, match="accuracy"):
        model.evaluate(x, y, verbose=0, callbacks=[MissingLabels()])
    (compiled,) = compiled_metrics(model)
    assert float(compiled.metric.count) == len(y)


@pytest.mark.skipif(not README.exists(), reason="the sources are not here")
def test_the_documents_say_so():
    """Each of the finite ones is covered by a word of README's sentence."""
    sentence = re.search(r"Of Keras's own metrics.*?\.\s", README.read_text(), re.DOTALL).group()
    for word in ("accuracies", "AUC", "precision", "recall", "NaN", "finite"):
        assert word in sentence
