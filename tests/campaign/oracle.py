"""The losses of several predictions in NumPy and SciPy, and what the campaign expects of any loss.

Written from the definitions, without a look at the kernels or at `masklstm.reference`: a mistake
has to be made twice to stay unseen. The losses of one prediction are those of `gpu/formulas.py`.
"""

from typing import Any

import numpy as np
from gpu.formulas import binary_crossentropy_from_logits, pinball, spread
from scipy import special, stats

# Losses of several predictions: values alone, by SciPy's densities.


def gaussian_nll(t, mean, scale):
    return -stats.norm.logpdf(t, mean, scale)


def laplace_nll(t, location, scale):
    return -stats.laplace.logpdf(t, location, scale)


def student_t_nll(t, location, scale, degrees):
    return -stats.t.logpdf(t, degrees, location, scale)


def asymmetric_laplace_nll(t, location, scale, asymmetry):
    """Density a (1 - a) / s exp(-check_a((t - m) / s)): SciPy's, by other parameters."""
    kappa = np.sqrt(asymmetry / (1 - asymmetry))
    width = scale / np.sqrt(asymmetry * (1 - asymmetry))
    return -stats.laplace_asymmetric.logpdf(t, kappa, location, width)


def lognormal_nll(t, location, scale):
    return -stats.lognorm.logpdf(t, scale, scale=np.exp(location))


def gamma_nll(t, concentration, rate):
    return -stats.gamma.logpdf(t, concentration, scale=1 / rate)


def beta_nll(t, concentration1, concentration0):
    return -stats.beta.logpdf(t, concentration1, concentration0)


def negative_binomial_nll(t, mean, dispersion):
    r = 1 / dispersion
    choices = special.gammaln(t + r) - special.gammaln(r) - special.gammaln(t + 1)
    return -choices - r * np.log(r / (r + mean)) - special.xlogy(t, mean / (r + mean))


def poisson_nll(t, rate):
    return rate - special.xlogy(t, rate) + special.gammaln(t + 1)


def bernoulli_nll(t, logit):
    return binary_crossentropy_from_logits(t, logit)[0]


def tweedie_deviance(t, mean, power=1.5):
    a, b = 1 - power, 2 - power
    return 2 * (t**b / (a * b) - t * mean**a / a + mean**b / b)


def _mixture(of_component, t, channels, components):
    parts = np.split(channels, channels.shape[-1] // components, axis=-1)
    logits, *others = parts
    log_shares = special.log_softmax(logits, axis=-1)
    log_densities = -of_component(t[..., None], *others)
    return -special.logsumexp(log_shares + log_densities, axis=-1)


def gaussian_mixture_nll(t, *channels, components=2):
    return _mixture(gaussian_nll, t, np.stack(channels, -1), int(components))


def laplace_mixture_nll(t, *channels, components=2):
    return _mixture(laplace_nll, t, np.stack(channels, -1), int(components))


def asymmetric_laplace_mixture_nll(t, *channels, components=2):
    return _mixture(asymmetric_laplace_nll, t, np.stack(channels, -1), int(components))


def pinball_set(t, *channels, quantile=0.5):
    levels = np.atleast_1d(quantile)
    return np.mean([pinball(t, p, q)[0] for p, q in zip(channels, levels, strict=True)], axis=0)


def gaussian_crps(t, mean, scale):
    z = (t - mean) / scale
    tails = z * (2 * stats.norm.cdf(z) - 1)
    return scale * (tails + 2 * stats.norm.pdf(z) - 1 / np.sqrt(np.pi))


def valid_labels(y_true: Any, missing: Any, mask: Any) -> Any:
    """Labels of any type; `missing` is NaN, a number or "nonfinite"."""
    plain = y_true.astype(np.float64)
    gaps = np.isnan(plain)
    if missing == "nonfinite":
        gaps |= ~np.isfinite(plain)
    elif missing == missing:
        with np.errstate(all="ignore"):
            number = np.asarray(missing).astype(y_true.dtype)
        gaps |= y_true == number
    return ~gaps & (True if mask is None else spread(mask, y_true.shape))


def balanced(losses: Any, valid: Any, weights: Any, reduction: str, axis: int) -> Any:
    """The loss of which each group along an axis makes an equal part."""
    losses, weights = np.where(valid, losses, 0.0), np.where(valid, weights, 0.0)
    others = tuple(other for other in range(losses.ndim) if other != axis % losses.ndim)
    sums = (losses * weights).sum(axis=others)
    divisors = (weights if reduction == "mean_with_sample_weight" else valid).sum(axis=others)
    means = np.divide(sums, divisors, out=np.zeros_like(sums), where=divisors != 0)
    number = 1 if reduction == "sum" else np.count_nonzero(divisors)
    return means.sum() / number if number else 0.0
