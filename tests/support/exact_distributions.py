"""Losses with channels by their definitions, in 40 digits (mpmath): values and slopes.

No form of these is that of the headers: the large terms are all there, and their digits suffice.
"""

from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np
from mpmath import mp, mpf

DIGITS = 40


def gaussian_nll(t, mean, scale):
    return mpmath.log(scale * mpmath.sqrt(2 * mp.pi)) + ((t - mean) / scale) ** 2 / 2


def laplace_nll(t, location, scale):
    return mpmath.log(2 * scale) + abs(t - location) / scale


def student_t_nll(t, location, scale, n):
    of_gammas = mpmath.loggamma(n / 2) - mpmath.loggamma((n + 1) / 2)
    tail = (n + 1) / 2 * mpmath.log1p(((t - location) / scale) ** 2 / n)
    return mpmath.log(scale) + mpmath.log(n * mp.pi) / 2 + of_gammas + tail


def asymmetric_laplace_nll(t, location, scale, a):
    z = (t - location) / scale
    return mpmath.log(scale) - mpmath.log(a * (1 - a)) + max(a * z, (a - 1) * z)


def lognormal_nll(t, location, scale):
    return mpmath.log(t) + gaussian_nll(mpmath.log(t), location, scale)


def gamma_nll(t, a, b):
    return mpmath.loggamma(a) - a * mpmath.log(b) - (a - 1) * mpmath.log(t) + b * t


def beta_nll(t, a, b):
    of_gammas = mpmath.loggamma(a) + mpmath.loggamma(b) - mpmath.loggamma(a + b)
    return of_gammas - (a - 1) * mpmath.log(t) - (b - 1) * mpmath.log1p(-t)


def negative_binomial_nll(t, mean, dispersion):
    r = 1 / dispersion
    log_choices = mpmath.loggamma(t + r) - mpmath.loggamma(r) - mpmath.loggamma(t + 1)
    of_count = t * mpmath.log(mean / (r + mean)) if t else mpf(0)
    return -log_choices - r * mpmath.log(r / (r + mean)) - of_count


def poisson_nll(t, rate):
    return rate - (t * mpmath.log(rate) if t else 0) + mpmath.loggamma(t + 1)


def bernoulli_nll(t, logit):
    return mpmath.log1p(mpmath.exp(logit)) - t * logit


def tweedie_deviance(t, mean, power):
    of_label = t ** (2 - power) / ((1 - power) * (2 - power))
    of_both = t * mean ** (1 - power) / (1 - power)
    return 2 * (of_label - of_both + mean ** (2 - power) / (2 - power))


def mixture(of_component, t, channels, components):
    logits, *of_family = (channels[i : i + components] for i in range(0, len(channels), components))
    total = sum(map(mpmath.exp, logits))
    densities = (mpmath.exp(-of_component(t, *each)) for each in zip(*of_family, strict=True))
    return -mpmath.log(
        sum(mpmath.exp(x) / total * density for x, density in zip(logits, densities, strict=True))
    )


def gaussian_mixture_nll(t, *channels, components):
    return mixture(gaussian_nll, t, channels, components)


def laplace_mixture_nll(t, *channels, components):
    return mixture(laplace_nll, t, channels, components)


def asymmetric_laplace_mixture_nll(t, *channels, components):
    return mixture(asymmetric_laplace_nll, t, channels, components)


def pinball_set(t, *channels, quantile):
    losses = [max(q * (t - p), (q - 1) * (t - p)) for p, q in zip(channels, quantile, strict=True)]
    return sum(losses) / len(losses)


def gaussian_crps(t, mean, scale):
    z = (t - mean) / scale
    density = mpmath.npdf(z)
    return scale * (z * mpmath.erf(z / mpmath.sqrt(2)) + 2 * density - 1 / mpmath.sqrt(mp.pi))


EXACT: dict[str, Callable[..., Any]] = {
    function.__name__: function
    for function in (
        gaussian_nll,
        laplace_nll,
        student_t_nll,
        asymmetric_laplace_nll,
        lognormal_nll,
        gamma_nll,
        beta_nll,
        negative_binomial_nll,
        poisson_nll,
        bernoulli_nll,
        tweedie_deviance,
        gaussian_mixture_nll,
        laplace_mixture_nll,
        asymmetric_laplace_mixture_nll,
        pinball_set,
        gaussian_crps,
    )
}


def exact(loss, t, channels, parameters):
    """The value, and the slope by each channel, of numbers as they are stored; as floats."""
    with mpmath.workdps(DIGITS):
        function = EXACT[loss]
        given = {
            name: [mpf(x) for x in value]
            if isinstance(value, list)
            else value
            if isinstance(value, int)
            else mpf(value)
            for name, value in parameters.items()
        }
        t, channels = mpf(float(t)), [mpf(float(x)) for x in channels]

        def slope(c):
            def along(x):
                return function(t, *channels[:c], x, *channels[c + 1 :], **given)

            with mpmath.workdps(2 * DIGITS):
                step = mpf(10) ** -DIGITS * (abs(channels[c]) or 1)
                return (along(channels[c] + step) - along(channels[c] - step)) / (2 * step)

        return function(t, *channels, **given), [slope(c) for c in range(len(channels))]


def numbers(kernels, loss, parameters, count, rng):
    """Labels and channels over the whole domain: scales of all sizes, labels in the tails."""

    def sizes(low, high):
        return np.exp(rng.uniform(np.log(low), np.log(high), count))

    near = rng.random(count) < 0.5
    z = np.where(near, rng.normal(size=count), rng.uniform(-60, 60, count))
    scale, location = sizes(1e-3, 1e3), 10 * rng.normal(size=count)
    if loss == "lognormal_nll":
        scale = sizes(1e-2, 3)
        return np.exp(np.clip(location / 10 + scale * z, -80, 80)), [location / 10, scale]
    if loss == "gamma_nll":
        a, b = sizes(1e-3, 1e6), sizes(1e-4, 1e4)
        return a / b * sizes(1e-2, 1e2), [a, b]
    if loss == "beta_nll":
        a, b = sizes(1e-2, 1e5), sizes(1e-2, 1e5)
        return np.clip(rng.beta(a, b), 1e-6, 1 - 1e-6), [a, b]
    if loss in ("negative_binomial_nll", "poisson_nll"):
        mean = sizes(1e-3, 1e6)
        t = np.floor(mean * sizes(0.1, 10)) * (rng.random(count) > 0.1)
        return t, [mean, sizes(1e-8, 1e2)] if loss == "negative_binomial_nll" else [mean]
    if loss == "bernoulli_nll":
        return rng.integers(0, 2, count).astype(float), [20 * rng.normal(size=count)]
    if loss == "tweedie_deviance":
        mean = sizes(1e-3, 1e3)
        t = mean * np.where(near, sizes(0.999, 1.001), sizes(1e-3, 1e3))
        return t * (rng.random(count) > 0.1), [mean]
    if loss == "pinball_set":
        return location, [location + scale * rng.normal(size=count) for _ in parameters["quantile"]]
    t = location + scale * z
    asymmetry = rng.uniform(0.001, 0.999, count)
    if loss.endswith("mixture_nll"):
        number = parameters["components"]
        logits = [3 * rng.normal(size=count) for _ in range(number)]
        locations = [location + scale * rng.normal(size=count) for _ in range(number)]
        scales = [scale * sizes(0.1, 10) for _ in range(number)]
        others = [rng.permutation(asymmetry) for _ in range(number)] * loss.startswith("asym")
        return t, [*logits, *locations, *scales, *others]
    others = {"student_t_nll": [sizes(1e-2, 1e10)], "asymmetric_laplace_nll": [asymmetry]}
    return t, [location, scale, *others.get(loss, [])]
