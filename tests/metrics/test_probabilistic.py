"""Metrics whose predictions have several channels for each label."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import integrate, special, stats

from masklstm import metrics
from masklstm._core import library

NAN = float("nan")
SHAPE = (14, 3, 2)
QUANTILES = [0.1, 0.5, 0.8]


def integral_of_crps(distribution, t):
    """The definition."""
    low, high = distribution.ppf([1e-9, 1 - 1e-9])
    below, _ = integrate.quad(lambda x: distribution.cdf(x) ** 2, min(low, t), t, limit=200)
    above, _ = integrate.quad(lambda x: distribution.sf(x) ** 2, t, max(high, t), limit=200)
    return below + above


def crps_of(make):
    def values(t, channels):
        pairs = zip(t.ravel(), channels.reshape(-1, channels.shape[-1]), strict=True)
        return np.reshape([integral_of_crps(make(*c), label) for label, c in pairs], t.shape)

    return values


def crps_of_ensemble(t, x):
    pairs = np.abs(x[..., :, None] - x[..., None, :]).mean((-2, -1))
    return np.abs(x - t[..., None]).mean(-1) - pairs / 2


def covered(make, level):
    def values(t, channels):
        distribution = make(*np.moveaxis(channels, -1, 0))
        low, high = distribution.ppf((1 - level) / 2), distribution.ppf((1 + level) / 2)
        return ((low <= t) & (t <= high)).astype(float)

    return values


def covered_by_mixture(t, channels):
    logits, means, scales = np.split(channels, 3, axis=-1)
    cdf = np.sum(special.softmax(logits, -1) * stats.norm(means, scales).cdf(t[..., None]), -1)
    return ((cdf >= 0.2) & (cdf <= 0.8)).astype(float)


def pinball(t, channels):
    d = t[..., None] - channels
    return np.mean(np.maximum(np.multiply(QUANTILES, d), np.subtract(QUANTILES, 1) * d), -1)


def negative_binomial(mean, d):
    return stats.nbinom(1 / d, 1 / (1 + d * mean))


# The metric, how many channels, labels of a uniform and a normal number, the definition.
CASES = {
    "coverage of gaussian": (
        lambda **o: metrics.Coverage(0.8, "gaussian", **o),
        2,
        covered(stats.norm, 0.8),
    ),
    "coverage of student_t": (
        lambda **o: metrics.Coverage(0.5, family="student_t", **o),
        3,
        covered(lambda m, s, n: stats.t(n, m, s), 0.5),
    ),
    "coverage of gamma": (
        lambda **o: metrics.Coverage(0.7, family="gamma", **o),
        2,
        covered(lambda a, b: stats.gamma(a, scale=1 / b), 0.7),
    ),
    "coverage of counts": (
        lambda **o: metrics.Coverage(0.6, family="negative_binomial", **o),
        2,
        covered(negative_binomial, 0.6),
    ),
    "coverage of a mixture": (
        lambda **o: metrics.Coverage(0.6, "gaussian", components=3, **o),
        9,
        covered_by_mixture,
    ),
    "coverage of quantiles": (
        metrics.Coverage,
        3,
        lambda t, c: ((c[..., 0] <= t) & (t <= c[..., -1])).astype(float),
    ),
    "CRPS of gaussian": (lambda **o: metrics.CRPS("gaussian", **o), 2, crps_of(stats.norm)),
    "CRPS of laplace": (lambda **o: metrics.CRPS("laplace", **o), 2, crps_of(stats.laplace)),
    "CRPS of student_t": (
        lambda **o: metrics.CRPS("student_t", **o),
        3,
        crps_of(lambda m, s, n: stats.t(n, m, s)),
    ),
    "CRPS of an ensemble": (lambda **o: metrics.CRPS("ensemble", **o), 7, crps_of_ensemble),
    "pinball": (lambda **o: metrics.Pinball(QUANTILES, **o), 3, pinball),
}


def data(rng, case, dtype="float64"):
    """Labels without gaps, and channels, where every family is defined."""
    _, number, _ = CASES[case]
    y_true = 2 * rng.normal(size=SHAPE)
    channels = 0.5 + 2 * rng.random((*SHAPE, number))
    if "CRPS of student_t" in case:
        channels[..., 2] += 1.5  # which has a mean
    if case in ("coverage of gamma", "coverage of counts"):
        y_true = np.abs(y_true) if "gamma" in case else np.floor(3 * np.abs(y_true))
    if case == "CRPS of an ensemble":
        channels[..., 1] = channels[..., 3]  # equal members
        channels[..., 2] = y_true  # and one that is right
    if case == "coverage of quantiles":
        channels = np.sort(channels - 1.5, axis=-1)
    return y_true.astype(dtype), channels.astype(dtype)


@pytest.fixture(params=CASES)
def case(request):
    return request.param


def test_equals_the_definition_whatever_the_batches_and_gaps(case, rng):
    make, _, definition = CASES[case]
    y_true, channels = data(rng, case)
    values = definition(y_true, channels)
    assert np.ptp(values) > 0
    is_gap = rng.random(SHAPE) < 0.4
    is_gap[3:6] = True
    y_true[is_gap] = NAN
    channels[is_gap] = rng.choice([NAN, np.inf, -1.0], channels[is_gap].shape)
    for weight in (None, rng.random(SHAPE[:1]), rng.random(SHAPE[:2]), rng.random(SHAPE)):
        full = np.ones(SHAPE)
        if weight is not None:
            full *= weight.reshape(weight.shape + (1,) * (3 - weight.ndim))
        expected = np.sum((full * values)[~is_gap]) / np.sum(full[~is_gap])
        metric = make()
        assert np.isnan(metric.result())
        for part in (slice(0, 4), slice(4, 4), slice(3, 6), slice(4, 14)):
            metric.update_state(
                y_true[part], channels[part], None if weight is None else weight[part]
            )
        np.testing.assert_allclose(metric.result(), expected, rtol=1e-8)
    # A sentinel, a Keras mask, and labels without their last axis.
    kept = np.broadcast_to(rng.random(SHAPE[:2])[..., None] < 0.6, SHAPE) & ~is_gap
    masked = tf.constant(channels)
    masked._keras_mask = tf.constant(kept[..., 0] | kept[..., 1])
    is_kept = (kept[..., :1] | kept[..., 1:]) & ~is_gap
    metric = make(missing=-99.5)
    metric.update_state(np.where(is_gap, -99.5, y_true), masked)
    np.testing.assert_allclose(metric.result(), values[is_kept].mean(), rtol=1e-8)
    metric = make()
    metric.update_state(y_true[..., 0], channels[..., :1, :])
    np.testing.assert_allclose(metric.result(), values[..., 0][~is_gap[..., 0]].mean(), rtol=1e-8)
    metric.update_state(y_true[..., :1], channels[..., 0, :])
    np.testing.assert_allclose(metric.result(), values[..., 0][~is_gap[..., 0]].mean(), rtol=1e-8)
    # Divergence is never hidden.
    channels[tuple(np.argwhere(~is_gap)[1])] = NAN
    metric.update_state(y_true, channels)
    assert np.isnan(metric.result())


@pytest.mark.parametrize("by", ["feature", "timestep"])
def test_each_group_is_what_a_metric_of_its_own_says(case, by, rng):
    make, _, _ = CASES[case]
    y_true, channels = data(rng, case)
    y_true[rng.random(SHAPE) < 0.3] = NAN
    each = make(class_aggregation=None, by=by)
    each.update_state(y_true, channels)
    axis = {"timestep": 1, "feature": 2}[by]
    assert len(each.result()) == SHAPE[axis]
    for place, figure in enumerate(each.result().values()):
        alone = make()
        alone.update_state(*(x.take([place], axis) for x in (y_true, channels)))
        assert float(figure) == pytest.approx(float(alone.result()), rel=1e-10)
    with pytest.raises(ValueError, match=f"Expected labels with {SHAPE[axis]} of them"):
        each.update_state(*(x.take([0], axis) for x in (y_true, channels)))


def test_half_types_saving_and_shapes_that_do_not_fit(case, rng):
    make, number, definition = CASES[case]
    y_true, channels = data(rng, case)
    channels = channels.astype("float16")
    expected = definition(y_true, channels.astype("float64")).mean()
    for options in ({}, {"name": "mine", "dtype": "float32", "missing": -9.5}):
        metric = make(**options)
        again = keras.metrics.deserialize(keras.metrics.serialize(metric))
        assert again.get_config() == metric.get_config()
        assert eval(f"metrics.{metric!r}").get_config() == metric.get_config()
        again.update_state(y_true, channels)
        np.testing.assert_allclose(again.result(), expected, rtol=1e-6)
    for wrong in (np.ones((14, 3, number)), np.ones((14, 1, 2, number)), np.float32(1)):
        with pytest.raises(ValueError, match=r"channels|predictions for each label"):
            make().update_state(y_true, wrong)
    if case not in ("coverage of quantiles", "CRPS of an ensemble"):
        with pytest.raises(ValueError, match=f"of {number} channels|takes {number} predictions"):
            make().update_state(y_true, np.ones((*SHAPE, number + 1)))


@pytest.mark.parametrize("is_compiled", [False, True])
def test_in_graphs(is_compiled, rng):
    """One program of them all."""
    if is_compiled and not library.build["xla"]:
        pytest.skip("built without XLA")
    made = {case: CASES[case][0]() for case in CASES}
    arrays = {case: data(rng, case, "float32") for case in CASES}
    for y_true, _ in arrays.values():
        y_true[rng.random(SHAPE) < 0.3] = NAN

    def totals(arrays):
        return {case: made[case].totals(*arrays[case]) for case in made}

    found = tf.function(totals, autograph=False, jit_compile=is_compiled)(arrays)
    for case, (y_true, channels) in arrays.items():
        made[case].update_state(y_true, channels)
        np.testing.assert_allclose(
            made[case].of_totals(found[case]), made[case].result(), rtol=1e-6, err_msg=case
        )


def test_labels_of_unknown_shape_are_not_broadcast():
    metric = metrics.CRPS("gaussian")
    specs = [tf.TensorSpec([None, None]), tf.TensorSpec([None, None, 2])]
    update = tf.function(metric.update_state, input_signature=specs)
    update(tf.zeros([4, 3]), tf.ones([4, 3, 2]))
    with pytest.raises(tf.errors.InvalidArgumentError):
        update(tf.zeros([4, 3]), tf.ones([4, 1, 2]))
    with pytest.raises(tf.errors.InvalidArgumentError):
        update(tf.zeros([4, 1]), tf.ones([4, 3, 2]))


def test_errors():
    for make, argument in (
        (lambda: metrics.Coverage(1.0), "level"),
        (lambda: metrics.Coverage("a"), "level"),
        (lambda: metrics.Coverage(family="normal"), "family"),
        (lambda: metrics.Coverage(family="gamma", components=2), "components"),
        (lambda: metrics.CRPS("gamma"), "family"),
        (lambda: metrics.Pinball([]), "quantile"),
        (lambda: metrics.Pinball([0.5, 1.0]), "quantile"),
        (lambda: metrics.CRPS(missing="soon"), "missing"),
    ):
        with pytest.raises(ValueError, match=f"'{argument}'"):
            make()
    with pytest.raises(ValueError, match="tweedie"):
        metrics.Coverage(family="tweedie")


def test_a_score_that_is_infinite_is_nan():
    """Student's t distribution with one degree of freedom or fewer has no mean."""
    for degrees, is_finite in ((0.5, False), (1.0, False), (1.5, True)):
        metric = metrics.CRPS("student_t")
        metric.update_state([[0.5]], [[[0.0, 1.0, degrees]]])
        assert np.isfinite(float(metric.result())) == is_finite
        assert np.isnan(float(metric.result())) != is_finite
