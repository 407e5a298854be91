"""Mean, variance, cdf, quantiles and samples of all families, beside SciPy's and mpmath's."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import special, stats

from masklstm import distributions
from masklstm._core import library
from masklstm.distributions import incomplete_gamma
from masklstm.distributions.catalogue import FAMILIES, MIXED, find_family

NAN, INF = float("nan"), float("inf")
LEVELS = np.array([1e-12, 1e-6, 1e-3, 0.05, 0.3, 0.5, 0.50001, 0.9, 0.99, 1 - 1e-6, 1 - 1e-12])
NUMBER = 40


def asymmetric_laplace(location, scale, tau):
    """SciPy's, whose scale is another one."""
    kappa = np.sqrt(tau / (1 - tau))
    return stats.laplace_asymmetric(kappa, location, scale / np.sqrt(tau * (1 - tau)))


SCIPY = {
    "gaussian": stats.norm,
    "laplace": stats.laplace,
    "student_t": lambda location, scale, degrees: stats.t(degrees, location, scale),
    "asymmetric_laplace": asymmetric_laplace,
    "lognormal": lambda location, scale: stats.lognorm(scale, scale=np.exp(location)),
    "gamma": lambda concentration, rate: stats.gamma(concentration, scale=1 / rate),
    "beta": stats.beta,
    "negative_binomial": lambda mean, d: stats.nbinom(1 / d, 1 / (1 + d * mean)),
    "poisson": stats.poisson,
    "bernoulli": lambda logit: stats.bernoulli(special.expit(logit)),
}


def between(rng, low, high):
    """Numbers of all sizes between two."""
    return np.exp(rng.uniform(np.log(low), np.log(high), NUMBER))


def parameters(rng, family):
    location, scale = 100 * rng.normal(size=NUMBER), between(rng, 1e-2, 1e2)
    channels = {
        "gaussian": (location, scale),
        "laplace": (location, scale),
        "student_t": (location, scale, between(rng, 0.3, 1e4)),
        "asymmetric_laplace": (location, scale, rng.uniform(0.01, 0.99, NUMBER)),
        "lognormal": (location / 100, between(rng, 1e-2, 2)),
        "gamma": (between(rng, 0.1, 1e5), scale),
        "beta": (between(rng, 0.1, 1e3), between(rng, 0.1, 1e3)),
        "negative_binomial": (between(rng, 1e-2, 1e5), between(rng, 1e-4, 20)),
        "poisson": (between(rng, 1e-3, 1e5),),
        "bernoulli": (4 * rng.normal(size=NUMBER),),
    }
    return np.stack(channels[family], axis=-1)


def close(actual, expected, rtol, atol=0.0):
    np.testing.assert_allclose(np.asarray(actual), expected, rtol=rtol, atol=atol)


def test_every_family_is_here():
    assert {*SCIPY, "tweedie"} == set(FAMILIES)


@pytest.mark.parametrize("family", SCIPY)
def test_equals_scipy(family, rng):
    channels = parameters(rng, family)
    theirs = SCIPY[family](*(channel[:, None] for channel in channels.T))
    upper = LEVELS > 0.5
    with np.errstate(all="ignore"):
        expected = theirs.ppf(LEVELS) + np.zeros((NUMBER, 1))
        expected[:, upper] = theirs.isf(1 - LEVELS[upper])
        mean, variance = theirs.mean()[:, 0], theirs.var()[:, 0]
    mean[np.isinf(mean)] = NAN  # SciPy's word for a mean that is not defined
    found = distributions.quantile(family, channels, LEVELS)
    assert found.dtype == tf.float64
    # Far from 0, a root is as exact as the distance from the location.
    close(found, expected, 1e-9, 1e-300)
    close(distributions.quantile(family, channels, 0.3), expected[:, 4], 1e-9)
    wide = np.broadcast_to(channels[:, None], (*expected.shape, channels.shape[-1]))
    with np.errstate(all="ignore"):
        close(distributions.cdf(family, wide, expected), theirs.cdf(expected), 1e-9)
        close(distributions.cdf(family, wide, expected - 0.5), theirs.cdf(expected - 0.5), 1e-9)
    close(distributions.mean(family, channels), mean, 1e-10)
    close(distributions.variance(family, channels), variance, 1e-10)


@pytest.mark.parametrize("family", MIXED)
def test_mixtures(family, rng):
    components = 3
    blocks = parameters(rng, family)[: NUMBER // components * components]
    blocks = blocks.reshape(-1, components, blocks.shape[-1])
    logits = 3 * rng.normal(size=blocks.shape[:2])
    channels = np.concatenate([logits, *np.moveaxis(blocks, -1, 0)], axis=-1)
    weights = special.softmax(logits, axis=-1)[:, None, :]
    each = SCIPY[family](*np.moveaxis(blocks[:, None], -1, 0))
    found = distributions.quantile(family, channels, LEVELS, components).numpy()
    with np.errstate(all="ignore"):
        below = np.sum(weights * each.cdf(found[..., None]), -1)
        above = np.sum(weights * each.sf(found[..., None]), -1)
        means, variances = each.mean(), each.var()
    upper = LEVELS > 0.5
    # A quantile far from 0 may be off by its own rounding, which the tail shows enlarged.
    close(below[:, ~upper], below[:, ~upper] * 0 + LEVELS[~upper], 1e-9)
    close(above[:, upper], above[:, upper] * 0 + 1 - LEVELS[upper], 1e-9)
    mean = np.sum(weights * means, -1)
    variance = np.sum(weights * (variances + (means - mean[..., None]) ** 2), -1)
    close(distributions.mean(family, channels, components), mean[:, 0], 1e-12)
    close(distributions.variance(family, channels, components), variance[:, 0], 1e-12)
    close(distributions.cdf(family, channels, found[:, 4], components), below[:, 4], 1e-12)
    # One component of all the weight is that component.
    logits[:] = [-1e3, 0.0, -INF]
    channels[:, :components] = logits
    alone = distributions.quantile(family, blocks[:, 1], LEVELS)
    close(distributions.quantile(family, channels, LEVELS, components), alone, 1e-12, 1e-300)


@pytest.mark.parametrize("concentration", [1.01e5, 1e6, 7.7e7, 7.5e9])
def test_incomplete_gamma_functions_of_large_concentrations(concentration):
    """TensorFlow's have no digit right here, and SciPy's lose all of them in the lower tail."""
    mpmath = pytest.importorskip("mpmath")
    mpmath.mp.dps = 40
    a = mpmath.mpf(concentration)
    step = mpmath.sqrt(a) / 2

    def density(t):
        return mpmath.exp((a - 1) * mpmath.log(t) - t - mpmath.loggamma(a))

    for distance in (-7, -4.75, -1, 0, 1, 4.75, 7):
        x = concentration + distance * np.sqrt(concentration)
        side = 1 if distance > 0 else -1
        points = sorted(mpmath.mpf(x) + side * k * step for k in range(40))
        expected = float(mpmath.quad(density, points))
        function = incomplete_gamma.upper if distance > 0 else incomplete_gamma.lower
        close(function(tf.constant(concentration, tf.float64), tf.constant(x)), expected, 1e-10)


def test_ends_and_what_is_undefined():
    ends = {
        "gaussian": (-INF, INF),
        "laplace": (-INF, INF),
        "student_t": (-INF, INF),
        "asymmetric_laplace": (-INF, INF),
        "lognormal": (0, INF),
        "gamma": (0, INF),
        "beta": (0, 1),
        "negative_binomial": (0, INF),
        "poisson": (0, INF),
        "bernoulli": (0, 1),
    }
    for family, expected in ends.items():
        number = 2.5 if family == "student_t" else 0.5  # which has moments
        channels = np.full((2, FAMILIES[family].channels), number, "float32")
        channels[1, -1] = NAN
        found = distributions.quantile(family, channels, [0, 1])
        assert found.dtype == tf.float32
        np.testing.assert_array_equal(found, [expected, (NAN, NAN)])
        infinite = distributions.cdf(family, channels[:, None], [-INF, INF, NAN])
        np.testing.assert_array_equal(infinite, [[0, 1, NAN], [NAN] * 3])
        for function in (distributions.mean, distributions.variance):
            np.testing.assert_array_equal(np.isfinite(function(family, channels)), [True, False])
        assert np.isnan(distributions.sample(family, channels, 3, seed=0)[1]).all()
    for domain, wrong in (("(0, inf)", [0.0, -1.0, INF]), ("(0, 1)", [0.0, 1.0])):
        for family in SCIPY:
            for place, parameter in enumerate(FAMILIES[family].parameters):
                if parameter.domain == domain:
                    channels = np.full((len(wrong), FAMILIES[family].channels), 0.5)
                    channels[:, place] = wrong
                    assert np.isnan(distributions.quantile(family, channels, [0.1, 0.5])).all()
                    assert np.isnan(distributions.mean(family, channels)).all()
    t = np.array([[0.0, 1.0, 0.5], [0.0, 1.0, 1.0], [0.0, 1.0, 1.5], [0.0, 1.0, 2.0], [0, 1, 4]])
    np.testing.assert_array_equal(distributions.mean("student_t", t), [NAN, NAN, 0, 0, 0])
    np.testing.assert_array_equal(distributions.variance("student_t", t), [NAN, NAN, INF, INF, 2])
    assert float(distributions.mean("tweedie", [3.0])) == 3.0
    t = tf.constant([-3.0, 0.0, 0.5, 4.0], tf.float64)
    for degrees, is_nan in ((0.5, True), (1.0, True), (1.001, False)):
        shape = [tf.ones_like(t) * number for number in (0.0, 1.0, degrees)]
        np.testing.assert_array_equal(np.isnan(FAMILIES["student_t"].crps(t, *shape)), is_nan)


def test_samples_have_the_distribution(rng):
    cases = [(family, parameters(rng, family)[:3], 1) for family in SCIPY]
    cases += [("gamma", [[0.02, 2.0]], 1), ("beta", [[0.05, 0.1]], 1)]
    cases += [("gaussian", [[0.0, 1, -3, 2, 0.5, 1], [0.0, -INF, -3, 2, 0.5, 1]], 2)]
    number = 4000
    for family, channels, components in cases:
        channels = np.asarray(channels, "float64")
        drawn = distributions.sample(family, channels, number, 1, components).numpy()
        assert drawn.shape == (len(channels), number)
        drawn.sort(axis=-1)
        wide = np.broadcast_to(channels[:, None], (*drawn.shape, channels.shape[-1]))
        expected = distributions.cdf(family, wide, drawn, components)
        for row, cdf in zip(drawn, expected, strict=True):
            share = np.searchsorted(row, row, side="right") / number
            # Kolmogorov's distance is larger by chance in one of 10,000 cases.
            assert np.max(np.abs(share - cdf)) < 2.2 / np.sqrt(number), family


def test_seeds():
    channels = np.ones((2, 3, 2), "float16")
    keras.utils.set_random_seed(3)
    drawn = [distributions.sample("gamma", channels, 5, seed) for seed in (1, 1, 2, None, None)]
    keras.utils.set_random_seed(3)
    drawn.append(distributions.sample("gamma", channels, 5))
    assert all(x.shape == (2, 3, 5) and x.dtype == tf.float16 for x in drawn)
    same = [[bool(tf.reduce_all(a == b)) for a in drawn] for b in drawn]
    expected = np.eye(6, dtype=bool)
    expected[0, 1] = expected[1, 0] = expected[3, 5] = expected[5, 3] = True
    np.testing.assert_array_equal(same, expected)


def several(channels, mixture):
    """One graph of every search."""
    q = [0.05, 0.5, 0.99]
    return [
        distributions.quantile("student_t", channels, q),
        distributions.quantile("gamma", channels[..., 1:], q),
        distributions.quantile("negative_binomial", channels[..., 1:], q),
        distributions.quantile("laplace", mixture, q, 2),
        distributions.cdf("beta", channels[..., 1:], tf.fill(tf.shape(channels)[:-1], 0.5)),
    ]


@pytest.mark.parametrize("is_compiled", [False, True])
def test_in_graphs(is_compiled, rng):
    if is_compiled and not library.build["xla"]:
        pytest.skip("built without XLA")
    channels = rng.random((4, 2, 3)).astype("float32") + 0.5
    mixture = rng.random((4, 2, 6)).astype("float32") + 0.5
    specs = [tf.TensorSpec([None, 2, 3]), tf.TensorSpec([None, 2, 6])]
    function = tf.function(several, specs, autograph=False, jit_compile=is_compiled)
    found = function(channels, mixture)
    for one, expected in zip(found, several(channels, mixture), strict=True):
        assert one.shape == expected.shape
        close(one, expected, 1e-6)


def test_errors():
    for call, expected in (
        (
            lambda: distributions.mean("normal", [0.0, 1.0]),
            "'family'. Expected one of .*'gaussian'",
        ),
        (lambda: distributions.mean("gaussian", [0.0, 1.0, 2.0]), "2 channels.*mean, scale.*(3,)"),
        (lambda: distributions.mean("gaussian", 0.0), "2 channels"),
        (lambda: distributions.mean("gamma", [1.0] * 6, 2), "'components' is for mixtures"),
        (lambda: distributions.mean("gaussian", [1.0] * 2, 0), "'components'"),
        (lambda: distributions.mean("gaussian", [1.0] * 5, 2), "6 channels"),
        (lambda: distributions.quantile("gaussian", [0.0, 1.0], 1.5), "'q'"),
        (lambda: distributions.quantile("gaussian", [0.0, 1.0], [[0.5]]), "'q'"),
        (lambda: distributions.sample("gaussian", [0.0, 1.0], 0), "'n'"),
        (lambda: distributions.variance("tweedie", [1.0]), "tweedie"),
        (lambda: distributions.sample("tweedie", [1.0], 3), "tweedie"),
    ):
        with pytest.raises(ValueError, match=expected):
            call()
    assert find_family("laplace", 4).channels == 12


@pytest.mark.parametrize("family", ["gaussian", "laplace", "student_t", "asymmetric_laplace"])
def test_variances_at_location_zero(family, rng):
    given = parameters(rng, family)
    given[:, 0] = 0
    expected = SCIPY[family](*given.T).var()
    found = distributions.variance(family, given).numpy()
    has_one = np.isfinite(expected)
    np.testing.assert_allclose(found[has_one], expected[has_one], rtol=1e-6)


def test_counts_below_zero_have_no_probability():
    """Not even where that of 0 is below the smallest number."""
    for family, channels in (("poisson", [1e5]), ("negative_binomial", [1e5, 1e-4])):
        assert distributions.cdf(family, [channels], [[-1.0, 0.0, INF]]).numpy().tolist() == [
            [0, 0, 1]
        ]


@pytest.mark.parametrize("family", ["poisson", "negative_binomial", "bernoulli"])
def test_the_quantile_of_a_probability_that_a_count_has(family):
    """Is that count: the smallest whose probability is q or more."""
    channels = {"poisson": [3.0], "negative_binomial": [4.0, 0.5], "bernoulli": [0.3]}[family]
    for count in range(2 if family == "bernoulli" else 4):
        q = distributions.cdf(family, np.array([channels]), np.array([[float(count)]])).numpy()
        if q[0, 0] <= 0.5:
            found = distributions.quantile(family, np.array([channels]), [q[0, 0]])
            assert found.numpy().tolist() == [[count]]


@pytest.mark.parametrize("family", SCIPY)
def test_survival_has_all_digits_where_it_is_small(family, rng):
    channels = parameters(rng, family)
    expected = SCIPY[family](*channels.T)
    t = expected.ppf(rng.uniform(0.01, 0.999999, NUMBER))
    found = FAMILIES[family].survival(t, *map(tf.constant, channels.T)).numpy()
    np.testing.assert_allclose(found, expected.sf(t), rtol=1e-6, atol=1e-300)
