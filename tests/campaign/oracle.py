"""Every loss in NumPy and SciPy, float64, and how losses are reduced.

Written from the definitions, without a look at the kernels or at `masklstm.reference`: a mistake
has to be made twice to stay unseen. Slopes are derived by hand where the formula is one for
numbers, and by differences nowhere.
"""

from typing import Any

import numpy as np
from scipy import special, stats

# Element losses: value and slope by p, of labels t and predictions p.


def squared_error(t, p):
    return (t - p) ** 2, 2 * (p - t)


def absolute_error(t, p):
    return np.abs(t - p), np.sign(p - t)


def huber(t, p, delta=1.0):
    e = p - t
    far = np.abs(e) > delta
    value = np.where(far, delta * np.abs(e) - delta**2 / 2, e**2 / 2)
    return value, np.where(far, delta * np.sign(e), e)


def log_cosh(t, p):
    e = np.abs(p - t)
    near = np.log1p(2 * np.sinh(np.minimum(e, 1) / 2) ** 2)  # where the other form cancels
    return np.where(e < 1, near, e + np.log1p(np.exp(-2 * e)) - np.log(2.0)), np.tanh(p - t)


def absolute_percentage_error(t, p, epsilon=1e-7):
    size = np.maximum(np.abs(t), epsilon)
    return 100 * np.abs(t - p) / size, 100 * np.sign(p - t) / size


def squared_logarithmic_error(t, p, epsilon=1e-7):
    a, b = np.maximum(p, epsilon), np.maximum(t, epsilon)
    difference = np.log1p((a - b) / (1 + b))
    return difference**2, np.where(p > epsilon, 2 * difference / (1 + p), 0.0)


def poisson(t, p, epsilon=1e-7):
    return p - t * np.log(p + epsilon), 1 - t / (p + epsilon)


def pinball(t, p, quantile=0.5):
    e = t - p
    value = np.where(e > 0, quantile * e, (quantile - 1) * e)
    slope = np.where(e > 0, -quantile, np.where(e < 0, 1 - quantile, 0.0))
    return value, slope


def _smoothed(t, label_smoothing):
    return t * (1 - label_smoothing) + label_smoothing / 2


def _clipped(p, epsilon, dtype):
    """Probabilities c, 1 - c, and the slope of c by p, as the numbers of the computing type are:
    there 1 - epsilon is rounded. Where it is 1, epsilon itself is what is left.
    """
    number = np.dtype(dtype).type
    upper = float(number(1) - number(epsilon))
    c = np.clip(p, float(number(epsilon)), upper)
    rest = np.where(c == 1, epsilon, 1 - c)
    return c, rest, ((p >= float(number(epsilon))) & (p <= upper)).astype(float)


def _entropy(t, c, rest):
    """To its last digit where one of the two is near 1."""
    with np.errstate(divide="ignore"):
        log_c = np.where(c > 0.5, np.log1p(-rest), np.log(c))
        log_rest = np.where(c > 0.5, np.log(rest), np.log1p(-c))
    return -t * log_c - (1 - t) * log_rest


def binary_crossentropy(t, p, label_smoothing=0.0, epsilon=1e-7, dtype="float64"):
    t = _smoothed(t, label_smoothing)
    c, rest, slope = _clipped(p, epsilon, dtype)
    return _entropy(t, c, rest), slope * ((1 - t) / rest - t / c)


def binary_crossentropy_from_logits(t, p, label_smoothing=0.0):
    t = _smoothed(t, label_smoothing)
    value = np.where(p > 0, (1 - t) * p, -t * p) + np.log1p(np.exp(-np.abs(p)))
    return value, (1 - t) * special.expit(p) - t * special.expit(-p)


def _focal(t, c, rest, slope, gamma, alpha, balanced):
    """The focal loss of probabilities c, and its slope by what c has a slope by."""
    miss = t * rest + (1 - t) * c
    factor = t * alpha + (1 - t) * (1 - alpha) if balanced else 1.0
    entropy = _entropy(t, c, rest)
    with np.errstate(all="ignore"):
        of_miss = gamma * miss ** (gamma - 1) * (1 - 2 * t) * entropy if gamma else 0.0
        total = of_miss + miss**gamma * ((1 - t) / rest - t / c)
    return factor * miss**gamma * entropy, factor * total * slope


def binary_focal_crossentropy(
    t,
    p,
    gamma=2.0,
    alpha=0.25,
    apply_class_balancing=False,
    label_smoothing=0.0,
    epsilon=1e-7,
    dtype="float64",
):
    t = _smoothed(t, label_smoothing)
    c, rest, slope = _clipped(p, epsilon, dtype)
    return _focal(t, c, rest, slope, gamma, alpha, bool(apply_class_balancing))


def binary_focal_crossentropy_from_logits(
    t, p, gamma=2.0, alpha=0.25, apply_class_balancing=False, label_smoothing=0.0
):
    t = _smoothed(t, label_smoothing)
    c, rest = special.expit(p), special.expit(-p)
    return _focal(t, c, rest, c * rest, gamma, alpha, bool(apply_class_balancing))


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


def spread(x: Any, shape: tuple[int, ...]) -> Any:
    """Weights or a mask of fewer axes, which belong to the first axes of the labels."""
    x = np.asarray(x)
    return np.broadcast_to(x.reshape(x.shape + (1,) * (len(shape) - x.ndim)), shape)


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


def reduce(losses: Any, valid: Any, weights: Any, reduction: str) -> Any:
    """The reduced loss, and the factor of each element's slope in its gradient."""
    losses = np.where(valid, losses, 0.0)
    weights = np.where(valid, weights, 0.0)
    number = valid.sum()
    if reduction == "sum_of_elements":
        return (weights * losses).sum(), weights
    if reduction in ("mean", "mean_with_sample_weight"):
        divisor = number if reduction == "mean" else weights.sum()
        if divisor == 0:
            return 0.0, np.zeros_like(weights)
        return (weights * losses).sum() / divisor, weights / divisor
    per_row = np.maximum(valid.sum(axis=-1, keepdims=True), 1)
    rows = (weights * losses / per_row).sum(axis=-1)
    return rows if reduction == "none" else rows.sum(), weights / per_row


def balanced(losses: Any, valid: Any, weights: Any, reduction: str, axis: int) -> Any:
    """The loss of which each group along an axis makes an equal part."""
    losses, weights = np.where(valid, losses, 0.0), np.where(valid, weights, 0.0)
    others = tuple(other for other in range(losses.ndim) if other != axis % losses.ndim)
    sums = (losses * weights).sum(axis=others)
    divisors = (weights if reduction == "mean_with_sample_weight" else valid).sum(axis=others)
    means = np.divide(sums, divisors, out=np.zeros_like(sums), where=divisors != 0)
    number = 1 if reduction == "sum" else np.count_nonzero(divisors)
    return means.sum() / number if number else 0.0
