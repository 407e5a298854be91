"""Figures of single features and timesteps: of every metric, in every mode, and in Keras's logs."""

import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
from support.metric_models import OF_CHANNELS

import masklstm
from masklstm import callbacks, losses, metrics

NAN = float("nan")
# Those of whole losses and of Keras's metrics have their own groups.
NAMES = [name for name in metrics.__all__ if name not in ("Loss", "Masked")]
SERIES = {
    "ConcordanceCorrelation",
    "KlingGuptaEfficiency",
    "NashSutcliffeEfficiency",
    "PearsonCorrelation",
    "R2Score",
}


def create(cls, **arguments):
    if cls == "MeanAbsoluteScaledError":
        arguments["scale"] = 2.5
    return getattr(metrics, cls)(**arguments)


def data(rng, shape=(24, 4, 3), dtype="float64"):
    """Labels between 0 and 1 with gaps, a group without any, predictions, and weights of steps."""
    y_true, y_pred = rng.uniform(0.1, 0.9, (2, *shape))
    y_true[rng.random(shape) < 0.3] = NAN
    weight = rng.uniform(0.5, 2.0, shape[:2])
    return y_true.astype(dtype), y_pred.astype(dtype), weight


def predictions(name, y_pred):
    """Of one number for each label, or of two channels."""
    if name not in OF_CHANNELS:
        return y_pred
    return (
        np.stack([y_pred, y_pred + 0.3], -1)
        if isinstance(y_pred, np.ndarray)
        else tf.stack([y_pred, y_pred + 0.3], -1)
    )


def of_columns(name, columns, y_true, y_pred, weight):
    """What a metric of its own says of each group of labels."""
    figures = []
    for column in columns:
        metric = create(name, class_aggregation="pooled")
        weights = None if weight is None else np.broadcast_to(weight[..., None], y_true.shape)
        parts = [None if x is None else x[column] for x in (y_true, y_pred, weights)]
        metric.update_state(*parts)
        figures.append(float(metric.result()))
    return np.array(figures)


GROUPS = {
    "feature": [np.s_[:, :, k : k + 1] for k in range(3)],
    "timestep": [np.s_[:, k : k + 1] for k in range(4)],
}


@pytest.mark.parametrize("name", NAMES)
def test_each_group_is_what_a_metric_of_its_own_says(name, rng):
    y_true, y_pred, weight = data(rng)
    y_pred = predictions(name, y_pred)
    y_true[:, :, 1] = y_true[:, 2] = NAN
    for by, columns in GROUPS.items():
        for weights in (None, weight):
            expected = of_columns(name, columns, y_true, y_pred, weights)
            each = create(name, class_aggregation=None, by=by, name="m")
            mean = create(name, class_aggregation="uniform_average", by=by)
            for part in (slice(0, 7), slice(7, 7), slice(7, 24)):
                for metric in (each, mean):
                    batch = [None if x is None else x[part] for x in (y_true, y_pred, weights)]
                    metric.update_state(*batch)
            result = each.result()
            assert list(result) == [f"m_{k}" for k in range(len(columns))]
            figures = [float(figure) for figure in result.values()]
            np.testing.assert_allclose(figures, expected, rtol=1e-11, atol=1e-14)
            np.testing.assert_allclose(mean.result(), np.nanmean(expected), rtol=1e-11)
            assert np.isnan(expected).any() == (name not in ("ValidFraction", "ValidShare"))


@pytest.mark.parametrize("jit", [False, True], ids=["graph", "xla"])
def test_all_of_them_in_a_function(jit, rng):
    """Half types, masks, and one trace for all batches."""
    y_true, y_pred, _ = data(rng, dtype="float16")
    mask = rng.random((24, 4)) < 0.7
    made = [create(name, class_aggregation=None, by=by) for name in NAMES for by in GROUPS]
    eager = [type(metric).from_config(metric.get_config()) for metric in made]

    def update(metrics, y_true, y_pred, mask):
        for metric in metrics:
            masked = tf.identity(predictions(type(metric).__name__, y_pred))
            masked._keras_mask = mask
            metric.update_state(y_true, masked)

    shapes = [tf.TensorSpec([None, 4, 3], tf.float16)] * 2 + [tf.TensorSpec([None, 4], tf.bool)]
    if jit:
        shapes = [tf.TensorSpec([12, *spec.shape[1:]], spec.dtype) for spec in shapes]
    compiled = tf.function(
        lambda *batch: update(made, *batch), input_signature=shapes, jit_compile=jit
    )
    update(made, y_true[:1] * NAN, y_pred[:1], mask[:1])  # makes the variables
    for part in (slice(0, 12), slice(12, 24)):
        batch = [tf.constant(x[part]) for x in (y_true, y_pred, mask)]
        compiled(*batch)
        update(eager, *batch)
    for metric, other in zip(made, eager, strict=True):
        if metric.name not in ("valid_share", "valid_fraction"):  # which count the first one too
            result, expected = metric.result(), other.result()
            assert result.keys() == expected.keys()
            for key in result:
                np.testing.assert_allclose(result[key], expected[key], rtol=1e-9, err_msg=key)


class TestLogs:
    def made(self):
        return [
            metrics.RootMeanSquaredError("rmse", class_aggregation=None, names=["flow", "level"]),
            metrics.Bias(class_aggregation=None, by="timestep"),
            metrics.KlingGuptaEfficiency(class_aggregation=None, name="kge", dtype="float32"),
            metrics.MeanAbsoluteError("mae", class_aggregation="uniform_average"),
        ]

    NAMES = ("rmse_flow", "rmse_level", "bias_0", "bias_1", "bias_2", "kge_0", "kge_1", "mae")

    def test_each_has_a_line(self, rng, tmp_path):
        """In fit, evaluate, files and callbacks, also where one of them is NaN."""
        x = rng.normal(size=(16, 3, 2)).astype("float32")
        y = np.abs(x)
        y[:, :, 1] = NAN
        model = keras.Sequential([keras.Input((3, 2)), keras.layers.Dense(2)])
        model.compile("sgd", losses.MeanSquaredError(), metrics=self.made())
        seen = {}
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            history = model.fit(
                x,
                y,
                validation_data=(x, y),
                epochs=2,
                verbose=0,
                batch_size=8,
                callbacks=[
                    callbacks.MissingLabels(),
                    keras.callbacks.CSVLogger(tmp_path / "log.csv"),
                    keras.callbacks.EarlyStopping("val_rmse_flow", mode="min"),
                    keras.callbacks.LambdaCallback(
                        on_epoch_end=lambda epoch, logs: seen.update(logs)
                    ),
                    keras.callbacks.ModelCheckpoint(tmp_path / "{epoch}-{val_rmse_flow:.3f}.keras"),
                ],
            ).history
        assert not [text for text in map(str, caught) if "MissingLabels" in text]
        for name in self.NAMES:
            assert isinstance(seen[name], float)
            assert isinstance(seen[f"val_{name}"], float)
        names = {*self.NAMES, "loss", "valid_share"}
        assert history.keys() == names | {f"val_{name}" for name in names}
        header = (tmp_path / "log.csv").read_text().splitlines()[0].split(",")
        assert {*self.NAMES} <= {*header}
        logs = model.evaluate(x, y, verbose=0, return_dict=True)
        y_pred = model.predict(x, verbose=0)
        errors = (y_pred - y)[..., 0]
        np.testing.assert_allclose(logs["rmse_flow"], np.sqrt(np.mean(errors**2)), rtol=1e-5)
        for step in range(3):
            np.testing.assert_allclose(logs[f"bias_{step}"], errors[:, step].mean(), rtol=1e-4)
        assert np.isnan([logs["rmse_level"], logs["kge_1"]]).all()
        np.testing.assert_allclose(logs["mae"], np.mean(np.abs(errors)), rtol=1e-5)
        model.save(tmp_path / "model.keras")
        again = keras.saving.load_model(tmp_path / "model.keras")
        for name, value in again.evaluate(x, y, verbose=0, return_dict=True).items():
            np.testing.assert_allclose(value, logs[name], rtol=1e-6)

    def test_before_the_first_batch(self):
        results = [metric.result() for metric in self.made()]
        assert results[0].keys() == {"rmse_flow", "rmse_level"}
        assert np.isnan(list(map(float, results[0].values()))).all()
        assert results[1] == {}
        assert np.isnan(results[3])


class TestAveragesOfSeries:
    """What has no figure takes no part, and hides nothing."""

    def series(self, rng):
        """Four: an ordinary one, a dry river, constant predictions, labels of mean 0."""
        y_true, y_pred = rng.uniform(1.0, 2.0, (2, 30, 4))
        y_true[:, 1] = 0.0
        y_pred[:, 2] = 1.5
        y_true[:, 3] = np.tile([-1.0, 1.0], 15)
        return y_true, y_pred

    def test_which_have_a_figure(self, rng):
        y_true, y_pred = self.series(rng)
        defined = {
            "KlingGuptaEfficiency": [True, False, True, False],
            "PearsonCorrelation": [True, False, False, True],
            "ConcordanceCorrelation": [True] * 4,
            "PercentBias": [True, False, True, False],
            "WeightedAbsolutePercentageError": [True, False, True, True],
        }
        for name, expected in defined.items():
            each = create(name, class_aggregation=None)
            mean = create(name, class_aggregation="uniform_average")
            for metric in (each, mean):
                metric.update_state(y_true, y_pred)
            figures = np.array([float(figure) for figure in each.result().values()])
            np.testing.assert_array_equal(~np.isnan(figures), expected, err_msg=name)
            np.testing.assert_allclose(mean.result(), figures[expected].mean(), rtol=1e-12)
            for bad in (NAN, np.inf):  # in any series
                for series in range(4):
                    diverged = y_pred.copy()
                    diverged[3, series] = bad
                    mean.reset_state()
                    mean.update_state(y_true, diverged)
                    assert not np.isfinite(mean.result()), (name, bad, series)

    def test_predictions_that_do_not_vary(self, rng):
        """1 - sqrt(2) for the labels' mean (Knoben 2019), 0 concordance."""
        y_true = rng.uniform(1.0, 2.0, (30, 1))
        y_pred = np.full_like(y_true, y_true.mean())
        for name, expected in (
            ("KlingGuptaEfficiency", 1 - np.sqrt(2)),
            ("ConcordanceCorrelation", 0.0),
        ):
            metric = create(name)
            metric.update_state(y_true, y_pred)
            np.testing.assert_allclose(metric.result(), expected, atol=1e-12)

    def test_predictions_of_mean_0(self, rng):
        """Their coefficient of variation is 0 if they are all 0, and infinite otherwise."""
        y_true = rng.uniform(1.0, 2.0, (30, 1))
        for y_pred, expected in (
            (np.zeros_like(y_true), 1 - np.sqrt(3)),
            (np.tile([-1.0, 1.0], 15)[:, None], -np.inf),
        ):
            metric = metrics.KlingGuptaEfficiency(modified=True)
            metric.update_state(y_true, y_pred)
            found = masklstm.scores(y_true, y_pred, "kge_modified")["all"]
            np.testing.assert_allclose(metric.result(), expected)
            np.testing.assert_allclose(found["kge_modified"], expected)

    def test_far_from_0(self, rng):
        """Labels at 1e5 with a spread of 1 keep 1e-9, whatever the batches."""
        y_true = 1e5 + rng.normal(size=(3000, 1))
        y_true[rng.random(y_true.shape) < 0.3] = NAN
        y_pred = y_true + 0.5 * rng.normal(size=y_true.shape)
        t, p = (x[~np.isnan(y_true)] - 1e5 for x in (y_true, y_pred))  # exact
        r = np.corrcoef(t, p)[0, 1]
        b = (p.mean() + 1e5) / (t.mean() + 1e5)
        distance = (p.mean() - t.mean()) ** 2
        expected = {
            "PearsonCorrelation": r,
            "ConcordanceCorrelation": 2
            * np.mean((t - t.mean()) * (p - p.mean()))
            / (t.var() + p.var() + distance),
            "KlingGuptaEfficiency": 1
            - np.sqrt((r - 1) ** 2 + (p.std() / t.std() - 1) ** 2 + (b - 1) ** 2),
        }
        for name, value in expected.items():
            for size in (7, 3000):
                metric = create(name)
                for start in range(0, 3000, size):
                    metric.update_state(y_true[start : start + size], y_pred[start : start + size])
                np.testing.assert_allclose(metric.result(), value, rtol=1e-9)


def test_a_scale_for_each_feature(rng):
    y_true, y_pred, _ = data(rng)
    scale = [0.5, 2.0, 10.0]
    metric = metrics.MeanAbsoluteScaledError(scale)
    metric.update_state(y_true, y_pred)
    expected = np.nanmean(np.abs(y_pred - y_true) / scale)
    np.testing.assert_allclose(metric.result(), expected, rtol=1e-12)
    with pytest.raises(ValueError, match=r"Expected labels with 3 features"):
        metric.update_state(y_true[..., :2], y_pred[..., :2])


def test_what_does_not_fit_is_refused(rng):
    y_true, y_pred, _ = data(rng)
    for arguments, text in (
        ({"by": "timestep"}, "'by' has no effect.*Expected class_aggregation=None"),
        ({"names": ["a"]}, "'names' has no effect"),
        ({"class_aggregation": "mean"}, "'class_aggregation'. Expected one of"),
        ({"class_aggregation": None, "by": "sample"}, "'by'. Expected one of"),
        ({"class_aggregation": None, "names": ["a", "a"]}, "'names'. Expected a list"),
        ({"class_aggregation": None, "names": "ab"}, "'names'. Expected a list"),
    ):
        with pytest.raises(ValueError, match=text):
            metrics.MeanSquaredError(**arguments)
    for name in ("MeanSquaredError", "BinaryAccuracy", "Bias", "R2Score", "ValidShare"):
        metric = create(name, class_aggregation=None, names=["a", "b"])
        with pytest.raises(ValueError, match=r"Expected labels with 2 of them.*Received: 3"):
            metric.update_state(y_true, y_pred)
        metric = create(name, class_aggregation=None, by="timestep")
        with pytest.raises(ValueError, match="axis for by='timestep'"):
            metric.update_state(y_true[:, 0, 0], y_pred[:, 0, 0])
        metric.update_state(y_true, y_pred)
        with pytest.raises(ValueError, match=r"Expected labels with 4 of them.*before"):
            metric.update_state(y_true[:, :2], y_pred[:, :2])


@pytest.mark.parametrize("scale", [[], [[1.0, 2.0]], 0.0, -1.0, [1.0, 0.0], NAN, "wide", None])
def test_a_scale_that_is_none(scale):
    with pytest.raises(ValueError, match="'scale'"):
        metrics.MeanAbsoluteScaledError(scale)
