"""The metrics that are computed here: NumPy's numbers with gaps, Keras's without.

`Loss` and `Masked`, which wrap others, have files of their own.
"""

import inspect
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import labels_and_predictions
from support.metric_models import OF_CHANNELS

from masklstm import metrics, ops
from masklstm.metrics.base import GapAwareMetric
from masklstm.metrics.means import ElementwiseMetric

NAN = float("nan")
EPSILON = 1e-7

# Every class, and other arguments where it has any.
OTHER_ARGUMENTS = {
    "BinaryAccuracy": [{"threshold": 0.3}],
    "BinaryCrossentropy": [{"from_logits": True}, {"label_smoothing": 0.2}],
    "KlingGuptaEfficiency": [{"modified": True}],
    "NashSutcliffeEfficiency": [{"class_aggregation": None}],
    "Pinball": [{"quantile": 0.8}],
    "R2Score": [
        {"class_aggregation": None},
        {"class_aggregation": "variance_weighted_average"},
        {"num_regressors": 2},
    ],
}
# Without these they cannot be made.
REQUIRED_ARGUMENTS = {"MeanAbsoluteScaledError": {"scale": 2.5}}
WRAPPERS = {"Loss", "Masked"}
VALID_SHARES = {"ValidFraction", "ValidShare"}
CASES = [
    (name, arguments)
    for name in metrics.__all__
    if name not in WRAPPERS and name not in OF_CHANNELS
    for arguments in (REQUIRED_ARGUMENTS.get(name, {}), *OTHER_ARGUMENTS.get(name, []))
]
# Keras's are means of the correlations within each row, ours go through all batches.
CORRELATIONS = {"ConcordanceCorrelation", "PearsonCorrelation"}
KERAS_CASES = [
    case for case in CASES if hasattr(keras.metrics, case[0]) and case[0] not in CORRELATIONS
]
SHAPES = [(6,), (6, 3), (4, 5, 3)]


def case_id(case):
    return "-".join([case[0], *(f"{key}={value}" for key, value in case[1].items())])


@pytest.fixture(params=CASES, ids=case_id)
def case(request):
    return request.param


@pytest.fixture(params=KERAS_CASES, ids=case_id)
def keras_case(request):
    return request.param


def create(case, **options):
    name, arguments = case
    return getattr(metrics, name)(**arguments, **options)


def data(rng, case, shape, missing_share=0.0, dtype="float64"):
    metric = create(case)
    loss, parameters = "squared_error", {}
    if isinstance(metric, ElementwiseMetric):
        loss, parameters = metric.loss, metric.parameters
    y_true, y_pred = labels_and_predictions(rng, shape, dtype, loss, parameters, missing_share)
    if case[0] == "BinaryAccuracy":
        y_true, y_pred = np.where(np.isnan(y_true), NAN, y_true > 0), rng.random(shape)
    return y_true.astype(dtype), y_pred.astype(dtype)


def crossentropy(t, p, arguments):
    smoothing = arguments.get("label_smoothing", 0)
    t = t * (1 - smoothing) + smoothing / 2
    if arguments.get("from_logits"):
        p = 1 / (1 + np.exp(-p))
    p = np.clip(p, EPSILON, 1 - EPSILON)
    return -t * np.log(p) - (1 - t) * np.log1p(-p)


ELEMENTS = {
    "Bias": lambda t, p, _: p - t,
    "BinaryAccuracy": lambda t, p, a: t == (p > a.get("threshold", 0.5)),
    "BinaryCrossentropy": crossentropy,
    "LogCoshError": lambda t, p, _: np.log(np.cosh(p - t)),
    "MeanAbsoluteError": lambda t, p, _: np.abs(p - t),
    "MeanAbsoluteScaledError": lambda t, p, a: np.abs(p - t) / a["scale"],
    "MeanAbsolutePercentageError": lambda t, p, _: 100 * np.abs(p / t - 1),
    "MeanSquaredError": lambda t, p, _: (p - t) ** 2,
    "MeanSquaredLogarithmicError": lambda t, p, _: (np.log1p(p) - np.log1p(t)) ** 2,
    "Pinball": lambda t, p, a: np.where(t > p, (q := a.get("quantile", 0.5)), q - 1) * (t - p),
    "Poisson": lambda t, p, _: p - t * np.log(p + EPSILON),
    "RootMeanSquaredError": lambda t, p, _: (p - t) ** 2,
    "SymmetricMeanAbsolutePercentageError": lambda t, p, _: 200 * np.abs(p - t) / (abs(t) + abs(p)),
}


def scores(t, p, w, arguments):
    """R2, output by output."""
    t, p, w = (np.reshape(x, (-1, t.shape[-1] if t.ndim > 1 else 1)) for x in (t, p, w))
    explained, deviations, count = [], [], 0
    for output in range(t.shape[1]):
        valid = ~np.isnan(t[:, output])
        labels, weights = t[valid, output], w[valid, output]
        mean = np.average(labels, weights=weights)
        deviations.append(np.sum(weights * (labels - mean) ** 2))
        errors = np.sum(weights * (labels - p[valid, output]) ** 2)
        explained.append(1 - errors / deviations[-1])
        count += valid.sum()
    aggregation = arguments.get("class_aggregation", "uniform_average")
    if aggregation is None:
        return np.array(explained)
    weights = deviations if aggregation == "variance_weighted_average" else None
    score, regressors = np.average(explained, weights=weights), arguments.get("num_regressors", 0)
    return 1 - (1 - score) * (count - 1) / (count - regressors - 1)


def kling_gupta(t, p, w, arguments):
    mean_t, mean_p = np.average(t, weights=w), np.average(p, weights=w)
    sd_t, sd_p = (np.sqrt(np.cov(x, aweights=w, ddof=0)) for x in (t, p))
    spread = sd_p / mean_p / (sd_t / mean_t) if arguments.get("modified") else sd_p / sd_t
    r = pearson(t, p, w, arguments)
    return 1 - np.sqrt((r - 1) ** 2 + (spread - 1) ** 2 + (mean_p / mean_t - 1) ** 2)


def pearson(t, p, w, _):
    covariance = np.cov(t, p, aweights=w, ddof=0)
    return covariance[0, 1] / np.sqrt(covariance[0, 0] * covariance[1, 1])


def concordance(t, p, w, _):
    covariance = np.cov(t, p, aweights=w, ddof=0)
    distance = np.average(t, weights=w) - np.average(p, weights=w)
    return 2 * covariance[0, 1] / (covariance[0, 0] + covariance[1, 1] + distance**2)


# Of one series without gaps; the metric is the mean of them.
SERIES = {
    "ConcordanceCorrelation": concordance,
    "KlingGuptaEfficiency": kling_gupta,
    "PearsonCorrelation": pearson,
}
RATIOS = {
    "PercentBias": lambda t, p, w: 100 * np.sum(w * (p - t)) / np.sum(w * t),
    "WeightedAbsolutePercentageError": lambda t, p, w: (
        np.sum(w * np.abs(p - t)) / np.sum(w * np.abs(t))
    ),
}


def by_series(function, t, p, w, arguments):
    t, p, w = (np.reshape(x, (-1, t.shape[-1] if t.ndim > 1 else 1)) for x in (t, p, w))
    valid = ~np.isnan(t)
    columns = [[x[valid[:, k], k] for x in (t, p, w)] for k in range(t.shape[1])]
    return np.mean([function(*column, arguments) for column in columns])


def by_numpy(case, t, p, w):
    """The definition, for weights of the labels' shape."""
    name, arguments = case
    if name in ("R2Score", "NashSutcliffeEfficiency"):
        return scores(t, p, w, arguments)
    if name in SERIES:
        return by_series(SERIES[name], t, p, w, arguments)
    valid = ~np.isnan(t)
    if name in RATIOS:
        return RATIOS[name](t[valid], p[valid], w[valid])
    if name in VALID_SHARES:
        return valid.mean()
    elements = ELEMENTS[name](t[valid], p[valid], arguments)
    mean = np.sum(w[valid] * elements) / np.sum(w[valid])
    return np.sqrt(mean) if name == "RootMeanSquaredError" else mean


def numbers(result):
    """Those of a dict of figures as an array."""
    return np.array([float(x) for x in result.values()]) if isinstance(result, dict) else result


def left_aligned(weight, shape):
    if weight is None:
        return np.ones(shape)
    return np.broadcast_to(weight.reshape(weight.shape + (1,) * (len(shape) - weight.ndim)), shape)


def batches(rng, number):
    """Slices that cut a random number of random batches, some of them empty."""
    cuts = np.sort(rng.integers(0, number + 1, rng.integers(1, 6)))
    return [slice(*pair) for pair in zip([0, *cuts], [*cuts, number], strict=True)]


@pytest.mark.parametrize("weight_rank", [None, 1, "full"])
@pytest.mark.parametrize("shape", [(40,), (40, 3), (40, 5, 3)], ids=str)
def test_equals_numpy_for_random_splits_into_batches(shape, weight_rank, case, rng):
    y_true, y_pred = data(rng, case, shape, missing_share=0.4)
    y_true[3:9] = NAN
    weight = None
    if weight_rank is not None:
        weight = rng.random(shape[: None if weight_rank == "full" else 1])
    expected = by_numpy(case, y_true, y_pred, left_aligned(weight, shape))
    y_pred[np.isnan(y_true)] = rng.choice([NAN, np.inf, -np.inf], np.isnan(y_true).sum())
    for _ in range(3):
        metric = create(case)
        for part in batches(rng, len(y_true)):
            metric.update_state(
                y_true[part], y_pred[part], None if weight is None else weight[part]
            )
        result = metric.result()
        assert all(x.dtype == tf.float64 for x in tf.nest.flatten(result))
        np.testing.assert_allclose(numbers(result), expected, rtol=1e-12)


def keras_weights(rng, shape):
    """Those that mean the same to Keras: scalars, samples, and steps where rows have more axes."""
    yield None
    if len(shape) > 1:
        # Keras takes a vector of labels for one row, and has no weight for its elements.
        yield rng.random()
        yield rng.random(shape[:1])
    if len(shape) > 2:
        yield rng.random(shape[:2])
        yield rng.random((*shape[:2], 1))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_keras_numbers_without_gaps(shape, keras_case, rng):
    name, arguments = keras_case
    if name == "R2Score" and len(shape) != 2:
        pytest.skip("Keras's takes rank 2 alone")
    y_true, y_pred = data(rng, keras_case, shape, dtype="float32")
    for weight in keras_weights(rng, shape):
        theirs = getattr(keras.metrics, name)(**arguments)
        ours = create(keras_case)
        for metric in (theirs, ours):
            # Batches of one size: of unequal ones Keras's mean of a vector depends on the split.
            for part in (slice(0, len(y_true) // 2), slice(len(y_true) // 2, None)):
                metric.update_state(
                    y_true[part], y_pred[part], weight[part] if np.ndim(weight) else weight
                )
        np.testing.assert_allclose(numbers(ours.result()), theirs.result(), rtol=3e-5, atol=1e-6)


@pytest.mark.parametrize("name", [case[0] for case in KERAS_CASES if not case[1]])
def test_names_and_arguments_are_keras_s(name):
    ours, theirs = getattr(metrics, name), getattr(keras.metrics, name)

    def arguments(cls):
        parameters = inspect.signature(cls.__init__).parameters
        return [(p.name, p.default) for p in parameters.values() if p.kind != p.KEYWORD_ONLY]

    assert arguments(ours) == arguments(theirs)
    assert ours().name == theirs().name


def test_every_metric_takes_a_sentinel_by_keyword():
    for name in metrics.__all__:
        if name != "Loss":  # whose loss has it
            parameter = inspect.signature(getattr(metrics, name).__init__).parameters["missing"]
            assert parameter.kind == parameter.KEYWORD_ONLY


class TestGaps:
    def test_sentinels_and_infinite_labels(self, case, rng):
        y_true, y_pred = data(rng, case, (30, 2), missing_share=0.3)
        expected = by_numpy(case, y_true, y_pred, np.ones(y_true.shape))
        for missing, label in ((-999.5, -999.5), ("nonfinite", np.inf)):
            filled = np.where(np.isnan(y_true) & (rng.random(y_true.shape) < 0.5), label, y_true)
            metric = create(case, missing=missing)
            metric.update_state(filled, y_pred)
            np.testing.assert_allclose(numbers(metric.result()), expected, rtol=1e-12)

    def test_a_sentinel_of_integers(self):
        metric = metrics.MeanAbsoluteError(missing=-1)
        metric.update_state(np.array([1, -1, 3]), np.array([2.0, 5.0, 5.0]))
        assert float(metric.result()) == 1.5

    def test_a_keras_mask(self, case, rng):
        y_true, y_pred = data(rng, case, (8, 5, 3), missing_share=0.3)
        mask = rng.random((8, 5)) < 0.6
        masked = tf.constant(y_pred)
        masked._keras_mask = tf.constant(mask)
        metric = create(case)
        metric.update_state(y_true, masked)
        y_true[~mask] = NAN
        expected = by_numpy(case, y_true, y_pred, np.ones(y_true.shape))
        np.testing.assert_allclose(numbers(metric.result()), expected, rtol=1e-12)

    def test_a_weight_of_a_gap_is_of_no_interest(self, case, rng):
        y_true, y_pred = data(rng, case, (8, 3), missing_share=0.3)
        weight = rng.random(y_true.shape)
        expected = by_numpy(case, y_true, y_pred, weight)
        metric = create(case)
        metric.update_state(y_true, y_pred, np.where(np.isnan(y_true), NAN, weight))
        np.testing.assert_allclose(numbers(metric.result()), expected, rtol=1e-12)

    def test_nothing_valid_is_nan_and_changes_nothing(self, case, rng):
        metric = create(case)
        y_true, y_pred = data(rng, case, (6, 3))
        assert np.all(np.isnan(numbers(metric.result())))
        empty = y_true[:0], y_pred[:0]
        gaps = np.full_like(y_true, NAN), y_pred
        metric.update_state(*empty)
        if case[0] in VALID_SHARES:
            assert np.isnan(metric.result())
            metric.update_state(*gaps)
            assert float(metric.result()) == 0.0
            return
        metric.update_state(*gaps)
        assert np.all(np.isnan(numbers(metric.result())))
        metric.update_state(y_true, y_pred)
        before = [variable.numpy() for variable in metric.variables]
        metric.update_state(*empty)
        metric.update_state(*gaps)
        for variable, value in zip(metric.variables, before, strict=True):
            np.testing.assert_array_equal(variable.numpy(), value)
        metric.reset_state()
        assert np.all(np.isnan(numbers(metric.result())))

    def test_divergence_is_never_hidden(self, case, rng):
        if case[0] in VALID_SHARES:
            pytest.skip("predictions are of no interest")
        y_true, y_pred = data(rng, case, (6, 1), missing_share=0.3)
        y_pred[np.flatnonzero(~np.isnan(y_true))[1]] = NAN
        metric = create(case)
        metric.update_state(y_true, y_pred)
        assert np.all(np.isnan(numbers(metric.result())))

    def test_labels_are_not_broadcast(self, case):
        if case[0] in VALID_SHARES:
            pytest.skip("predictions are of no interest, nor is their shape")
        with pytest.raises(ValueError, match=r"same shape"):
            create(case).update_state(np.ones((4, 3)), np.ones((1, 3)))
        with pytest.raises(ValueError, match=r"'sample_weight'|same shape"):
            create(case).update_state(np.ones((4, 3)), np.ones((4, 2)), np.ones((4, 3)))


class TestState:
    def test_types(self, case):
        """Whatever the dtype and the policy are."""
        keras.config.set_dtype_policy("mixed_float16")
        try:
            for dtype in (None, "float32", "float16"):
                metric = create(case, dtype=dtype)
                metric.update_state(np.ones((2, 1), "float16"), np.ones((2, 1), "float16"))
                assert {variable.dtype for variable in metric.variables} <= {"float64", "int64"}
                assert any(variable.dtype == "int64" for variable in metric.variables)
                for figure in tf.nest.flatten(metric.result()):
                    assert figure.dtype == (dtype or "float64")
        finally:
            keras.config.set_dtype_policy("float32")

    def test_it_still_moves_after_2_to_the_24_elements(self):
        """Keras's does not: its count and its sum are float32."""
        number = 2**24
        y_true, y_pred = np.zeros((number, 1), "float32"), np.ones((number, 1), "float32")
        ours, theirs = metrics.MeanSquaredError(), keras.metrics.MeanSquaredError()
        results = []
        for metric in (ours, theirs):
            metric.update_state(y_true, y_pred)
            before = float(metric.result())
            metric.update_state(np.zeros((1, 1)), np.full((1, 1), 0.5))
            results.append((before, float(metric.result())))
        (before, after), keras_results = results
        assert before == 1.0
        assert after == (number + 0.25) / (number + 1)
        assert int(ours.valid_count.numpy()) == number + 1
        assert keras_results == (1.0, 1.0)

    def test_counts_of_every_metric_go_on(self, case):
        metric = create(case)
        batch = np.array([[0.25], [0.75]])
        metric.update_state(batch, batch)
        counts = [variable for variable in metric.variables if variable.dtype == "int64"]
        for count in counts:
            count.assign(count + 2**40)
        metric.update_state(batch, batch)
        for count in counts:
            assert int(np.sum(count.numpy())) == 2**40 + 4

    def test_saving(self, case, rng):
        y_true, y_pred = data(rng, case, (6, 2), missing_share=0.3)
        for options in ({}, {"missing": -5.0, "name": "mine", "dtype": "float32"}):
            metric = create(case, **options)
            again = keras.metrics.deserialize(keras.metrics.serialize(metric))
            assert type(again) is type(metric)
            assert again.get_config() == metric.get_config()
            for one in (metric, again):
                one.update_state(y_true, y_pred)
            np.testing.assert_array_equal(numbers(again.result()), numbers(metric.result()))


def test_registered_names_are_not_those_of_the_losses():
    for name in metrics.__all__:
        cls = getattr(metrics, name)
        assert keras.saving.get_registered_name(cls) == f"masklstm.metrics>{name}"
        assert issubclass(cls, GapAwareMetric)


def test_modes(case, run, rng):
    y_true, y_pred = data(rng, case, (20, 3), missing_share=0.4)
    expected = by_numpy(case, y_true, y_pred, np.ones(y_true.shape))
    metric = create(case)
    metric.update_state(y_true[:1] * NAN, y_pred[:1])  # makes the variables
    for part in (slice(0, 10), slice(10, 20)):
        run(lambda t, p: metric.update_state(t, p), y_true[part], y_pred[part])
    if case[0] in VALID_SHARES:
        expected *= 60 / 63
    np.testing.assert_allclose(numbers(run(metric.result)), expected, rtol=1e-12)


def test_half_predictions_are_widened_first(case, rng):
    y_true, y_pred = data(rng, case, (30, 2), missing_share=0.3)
    y_pred = y_pred.astype("float16")
    metric = create(case)
    metric.update_state(y_true, y_pred)
    arguments = dict(case[1])
    if "threshold" in arguments:
        arguments["threshold"] = float(np.float16(arguments["threshold"]))
    expected = by_numpy((case[0], arguments), y_true, y_pred.astype("float64"), np.ones((30, 2)))
    np.testing.assert_allclose(numbers(metric.result()), expected, rtol=1e-12)


class TestLiterals:
    """By hand."""

    @pytest.mark.parametrize(
        ("name", "expected"),
        [
            ("MeanSquaredError", (1 + 4) / 2),
            ("MeanAbsoluteError", (1 + 2) / 2),
            ("RootMeanSquaredError", np.sqrt(2.5)),
            ("MeanAbsolutePercentageError", (100 + 50) / 2),
            ("SymmetricMeanAbsolutePercentageError", (200 / 3 + 200 * 2 / 10) / 2),
            ("Pinball", (1 + 2) / 4),
            ("R2Score", 1 - 5 / 4.5),
            ("NashSutcliffeEfficiency", 1 - 5 / 4.5),
            ("Bias", 3 / 2),
            ("PercentBias", 100 * 3 / 5),
            ("WeightedAbsolutePercentageError", 3 / 5),
            ("PearsonCorrelation", 1),
            ("ConcordanceCorrelation", 2 * 6 / (4.5 + 8 + 2 * 1.5**2)),
            ("KlingGuptaEfficiency", 1 - np.hypot(4 / 3 - 1, 4 / 2.5 - 1)),
            ("ValidFraction", 2 / 3),
            ("ValidShare", 2 / 3),
        ],
    )
    def test_two_labels_and_a_gap(self, name, expected):
        metric = getattr(metrics, name)()
        metric.update_state([[1.0], [NAN], [4.0]], [[2.0], [9.0], [6.0]])
        assert float(metric.result()) == pytest.approx(expected, rel=1e-15)

    def test_symmetric_percentage_error_of_zeros_and_opposites(self):
        metric = metrics.SymmetricMeanAbsolutePercentageError()
        metric.update_state([[0.0], [1.0], [0.0]], [[0.0], [-1.0], [3.0]])
        assert float(metric.result()) == pytest.approx(400 / 3, rel=1e-15)

    def test_the_threshold_has_the_predictions_type(self):
        for module in (metrics, keras.metrics):
            metric = module.BinaryAccuracy(threshold=0.1)
            metric.update_state(np.array([[0.0]]), np.array([[0.1]], "float32"))
            assert float(metric.result()) == 1.0

    def test_weights_that_add_up_to_0(self):
        """Keras's 0, unless that hides a divergence."""
        metric = metrics.MeanSquaredError()
        metric.update_state([[1.0]], [[3.0]], [0.0])
        assert float(metric.result()) == 0.0
        metric.update_state([[1.0]], [[NAN]], [0.0])
        assert np.isnan(metric.result())


class TestCoefficientOfDetermination:
    def test_labels_far_from_0(self, rng):
        """Mean 1e5, spread 1: a sum of squares would have 6 digits left."""
        y_true = 1e5 + rng.normal(size=(3000, 2))
        y_true[rng.random(y_true.shape) < 0.3] = NAN
        y_pred = y_true + 0.5 * rng.normal(size=y_true.shape)
        expected = scores(y_true, y_pred, np.ones(y_true.shape), {"class_aggregation": None})
        for size in (7, 100, 3000):
            metric = metrics.R2Score(class_aggregation=None)
            for start in range(0, 3000, size):
                metric.update_state(y_true[start : start + size], y_pred[start : start + size])
            np.testing.assert_allclose(numbers(metric.result()), expected, rtol=1e-12)

    @pytest.mark.parametrize("aggregation", ["uniform_average", "variance_weighted_average", None])
    def test_an_output_without_labels_takes_no_part(self, aggregation, rng):
        y_true, y_pred = rng.normal(size=(2, 20, 3))
        y_true[:, 1] = NAN
        metric = metrics.R2Score(aggregation)
        metric.update_state(y_true, y_pred)
        expected = scores(
            y_true[:, ::2], y_pred[:, ::2], np.ones((20, 2)), {"class_aggregation": aggregation}
        )
        if aggregation is None:
            expected = np.insert(expected, 1, NAN)
        np.testing.assert_allclose(numbers(metric.result()), expected, rtol=1e-12)

    @pytest.mark.parametrize("constant", [3.0, 0.1, 1e4 / 3])
    @pytest.mark.parametrize("aggregation", ["uniform_average", "variance_weighted_average", None])
    def test_labels_that_do_not_vary(self, constant, aggregation):
        """0 where they are missed, NaN where they are met: Keras's, for labels without rounding."""
        for error in (0.0, 0.5):
            y_true = np.full((12, 1), constant)
            metric = metrics.R2Score(aggregation)
            for part in (slice(0, 5), slice(5, 12)):
                metric.update_state(y_true[part], y_true[part] + error)
            is_defined = error and aggregation != "variance_weighted_average"
            result = np.squeeze(numbers(metric.result()))
            np.testing.assert_array_equal(result, 0.0 if is_defined else NAN)
            if constant == 3.0:
                theirs = keras.metrics.R2Score(aggregation)
                theirs.update_state(y_true, y_true + error)
                np.testing.assert_array_equal(numbers(metric.result()), theirs.result())

    @pytest.mark.parametrize("name", ["R2Score", "NashSutcliffeEfficiency"])
    @pytest.mark.parametrize("gaps", [False, True])
    @pytest.mark.parametrize("weighted", [False, True])
    @pytest.mark.parametrize("missed", [0.0, 0.5])
    @pytest.mark.parametrize("constant", [0.0, 0.1, -1e4 / 3])
    def test_by_variance_a_constant_has_no_say(self, name, gaps, weighted, missed, constant, rng):
        """scikit-learn's, which takes no gaps: it gets the complete rows.

        Rounding makes it take other constants than 0 for labels that vary a little.
        """
        r2_score = pytest.importorskip("sklearn.metrics").r2_score
        y_true, y_pred = rng.normal(size=(2, 30, 4))
        y_true[:, 1] = constant
        y_pred[:, 1] = constant + missed
        weight = rng.random(30) if weighted else np.ones(30)
        kept = rng.random(30) < 0.6 if gaps else np.full(30, True)
        y_true[~kept] = NAN
        metric = getattr(metrics, name)("variance_weighted_average")
        for part in (slice(0, 7), slice(7, 30)):
            metric.update_state(y_true[part], y_pred[part], weight[part] if weighted else None)
        for outputs in ([0, 2, 3], [0, 1, 2, 3])[: 2 if constant == 0 else 1]:
            expected = r2_score(
                y_true[kept][:, outputs],
                y_pred[kept][:, outputs],
                sample_weight=weight[kept],
                multioutput="variance_weighted",
            )
            np.testing.assert_allclose(numbers(metric.result()), expected, rtol=1e-12)
        if missed and not gaps and not weighted and constant == 0:  # Keras rounds too
            theirs = keras.metrics.R2Score("variance_weighted_average", dtype="float64")
            theirs.update_state(y_true, y_pred)
            np.testing.assert_allclose(metric.result(), theirs.result(), rtol=1e-6)

    def test_by_variance_with_gaps_of_its_own_in_each_output(self, rng):
        y_true, y_pred = rng.normal(size=(2, 40, 4))
        y_true[rng.random(y_true.shape) < 0.3] = NAN
        y_true[:, 0] = NAN
        y_true[:, 2] = np.where(np.isnan(y_true[:, 2]), NAN, 7.0)
        y_pred[:, 2] = 7.0
        weight = rng.random(y_true.shape)
        metric = metrics.R2Score("variance_weighted_average")
        metric.update_state(y_true, y_pred, weight)
        weight = np.where(np.isnan(y_true), 0.0, weight)
        mean = np.nansum(weight * y_true, 0) / np.maximum(weight.sum(0), 1e-300)
        errors, deviations = np.nansum(
            weight * [(y_true - y_pred) ** 2, (y_true - mean) ** 2], (1, 2)
        )
        np.testing.assert_allclose(metric.result(), 1 - errors / deviations, rtol=1e-12)

    @pytest.mark.parametrize("prediction", [NAN, np.inf])
    def test_a_constant_does_not_hide_that_predictions_diverged(self, prediction, rng):
        y_true, y_pred = rng.normal(size=(2, 10, 2))
        y_true[:, 0] = 3.0
        y_pred[4, 0] = prediction
        metric = metrics.R2Score("variance_weighted_average")
        metric.update_state(y_true, y_pred)
        assert np.isnan(metric.result())

    def test_an_infinite_error_is_not_taken_for_labels_that_do_not_vary(self):
        metric = metrics.R2Score()
        metric.update_state([[1.0], [1.0]], [[np.inf], [1.0]])
        assert float(metric.result()) == -np.inf

    def test_too_few_labels_for_the_regressors(self):
        """The score itself, as Keras's, which warns."""
        y_true, y_pred = np.array([[1.0], [4.0], [3.0], [NAN]]), np.array([[2.0], [4], [4], [0]])
        plain = metrics.R2Score()
        plain.update_state(y_true, y_pred)
        for number in (2, 3):
            metric = metrics.R2Score(num_regressors=number)
            metric.update_state(y_true, y_pred)
            assert float(metric.result()) == float(plain.result())

    def test_an_unknown_number_of_outputs(self):
        spec = tf.TensorSpec([None, None])
        update = tf.function(metrics.R2Score().update_state, input_signature=[spec, spec])
        with pytest.raises(ValueError, match=r"the last axis.* to be known"):
            update(tf.zeros([4, 3]), tf.zeros([4, 3]))


class TestErrors:
    def test_missing(self, case):
        with pytest.raises(ValueError, match=r"'missing'"):
            create(case, missing="soon")

    def test_arguments(self):
        for cls, arguments in (
            (metrics.Pinball, {"quantile": 1.0}),
            (metrics.BinaryCrossentropy, {"label_smoothing": 2.0}),
            (metrics.R2Score, {"class_aggregation": "mean"}),
            (metrics.NashSutcliffeEfficiency, {"class_aggregation": "mean"}),
            (metrics.R2Score, {"num_regressors": -1}),
            (metrics.KlingGuptaEfficiency, {"class_aggregation": "variance_weighted_average"}),
            (metrics.MeanAbsoluteScaledError, {"scale": 0.0}),
            (metrics.MeanAbsoluteScaledError, {"scale": [1.0, NAN]}),
            (metrics.MeanAbsoluteScaledError, {"scale": "one"}),
        ):
            (name,) = arguments
            with pytest.raises(ValueError, match=f"'{name}'. Expected"):
                cls(**arguments)


def test_a_sum_of_element_losses_is_that_of_the_functional_api(rng):
    y_true, y_pred = labels_and_predictions(rng, (9, 4), "float64")
    metric = metrics.MeanSquaredError()
    metric.update_state(y_true, y_pred)
    sums = ops.masked_sums(y_true, y_pred)
    assert float(metric.loss_sum.numpy()) == float(sums.loss_sum)


PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"


@pytest.mark.skipif(not PAGE.exists(), reason="the tests run away from the source tree")
def test_the_page_names_every_metric():
    for name in metrics.__all__:
        assert f"| `{name}" in PAGE.read_text()


def test_the_valid_share_of_class_labels():
    metric = metrics.ValidShare(missing=-1)
    y_pred = keras.layers.Masking()(np.ones((2, 3, 4), "float32") * [[[1], [1], [0]]])
    metric.update_state(np.array([[0, -1, 2], [1, 3, -1]]), y_pred)
    assert float(metric.result()) == 3 / 6  # the last step is masked


@pytest.mark.parametrize("threshold", ["a", None, NAN])
def test_a_threshold_that_is_no_number(threshold):
    with pytest.raises(ValueError, match=r"'threshold'. Expected a number in \(-inf, inf\)"):
        metrics.BinaryAccuracy(threshold=threshold)
