"""What users do with the parameters that a model predicts."""

from typing import Any

import numpy as np
import tensorflow as tf

from masklstm._core.arguments import to_tensor
from masklstm._core.refusals import out_of_domain
from masklstm._core.types import LABEL_DTYPES, PREDICTION_DTYPES, cast
from masklstm.distributions.catalogue import find_distribution, find_family
from masklstm.distributions.family import Family


def mean(family: str, parameters: Any, components: int = 1) -> tf.Tensor:
    """The mean of each distribution.

    Formula: that of the family, such as `concentration / rate` for `"gamma"`; of a mixture
    `sum(w_j mean_j)`. NaN where it is undefined (`"student_t"` with at most 1 degree of freedom).

    Args:
        family: `"gaussian"`, `"laplace"`, `"student_t"`, `"asymmetric_laplace"`, `"lognormal"`,
            `"gamma"`, `"beta"`, `"negative_binomial"`, `"poisson"`, `"bernoulli"` or `"tweedie"`.
        parameters: Shape `(..., k)`, floating point: the channels that docs/probabilistic.md lists
            for the family.
        components: The number of components of a mixture of gaussian, laplace or
            asymmetric_laplace.

    Returns:
        A tensor of shape `(...)`, computed in float64, in the parameters' dtype.

    Raises:
        ValueError: For an unknown family, another number of channels, or components of a family
            that has no mixtures.

    Example:

    >>> import masklstm
    >>> float(masklstm.distributions.mean("gamma", [3.0, 2.0]))
    1.5

    Source: N. L. Johnson, S. Kotz, N. Balakrishnan, "Continuous Univariate Distributions", 1994; of
    the asymmetric Laplace distribution: K. Yu, J. Zhang, "A Three-Parameter Asymmetric Laplace
    Distribution and Its Extension", 2005.
    """
    found = find_family(family, components)
    channels, dtype = read_channels(found, parameters)
    return cast(found.mean(*found.split(channels)), dtype)


def variance(family: str, parameters: Any, components: int = 1) -> tf.Tensor:
    """The variance of each distribution.

    Formula: that of the family, such as `mean + dispersion * mean^2` for `"negative_binomial"`; of
    a mixture `sum(w_j (variance_j + (mean_j - mean)^2))`. That of `"student_t"` is infinite for at
    most 2 degrees of freedom and NaN for at most 1.

    Args:
        family, parameters, components: As for `masklstm.distributions.mean`, without `"tweedie"`,
            whose deviance says nothing of the spread.

    Returns:
        A tensor of shape `(...)`, computed in float64, in the parameters' dtype.

    Raises:
        ValueError: As `masklstm.distributions.mean`.

    Example:

    >>> import masklstm
    >>> float(masklstm.distributions.variance("negative_binomial", [4.0, 0.5]))
    12.0

    Source: as for `masklstm.distributions.mean`.
    """
    found = find_distribution(family, components)
    channels, dtype = read_channels(found, parameters)
    return cast(found.variance(*found.split(channels)), dtype)


def cdf(family: str, parameters: Any, t: Any, components: int = 1) -> tf.Tensor:
    """The probability of a label of at most t: of observations, the probability integral transform.

    Formula: `cdf(t) = P(label <= t)`; of a mixture `sum(w_j cdf_j(t))`.

    Args:
        family, parameters, components: As for `masklstm.distributions.variance`.
        t: Numbers of shape `(...)`, or one that is broadcast with it. NaN gives NaN.

    Returns:
        A tensor of shape `(...)`, computed in float64, in the parameters' dtype.

    Raises:
        ValueError: As `masklstm.distributions.mean`.

    Example:

    >>> import masklstm
    >>> float(masklstm.distributions.cdf("laplace", [1.0, 2.0], 1.0))
    0.5

    Source: as for `masklstm.distributions.mean`.
    """
    found = find_distribution(family, components)
    channels, dtype = read_channels(found, parameters)
    t = tf.cast(to_tensor("t", t, LABEL_DTYPES, tf.float64), tf.float64)
    value = found.cdf(t, *found.split(channels))
    at_the_end = tf.math.is_inf(t) & ~tf.math.is_nan(tf.reduce_sum(channels, -1))
    return cast(tf.where(at_the_end, tf.cast(t > 0, tf.float64), value), dtype)


def quantile(family: str, parameters: Any, q: Any, components: int = 1) -> tf.Tensor:
    """The q-quantiles of each distribution.

    Formula: the least t with `cdf(t) >= q`; a whole number for counts. What has no closed form
    (`"student_t"`, `"gamma"`, `"beta"`, counts and mixtures) is found to rounding by a safeguarded
    search, in the tail where 1 - q is small as well.

    Args:
        family, parameters, components: As for `masklstm.distributions.variance`.
        q: A number between 0 and 1, or a vector of them. 0 and 1 give the ends of the support.

    Returns:
        A tensor of shape `(...)`, or `(..., Q)` for a vector of Q levels; computed in float64, in
        the parameters' dtype.

    Raises:
        ValueError: As `masklstm.distributions.mean`, and for a `q` outside of [0, 1].

    Example:

    >>> import masklstm
    >>> masklstm.distributions.quantile("poisson", [3.5], [0.05, 0.5, 0.95]).numpy().tolist()
    [1.0, 3.0, 7.0]

    Source: T. R. Chandrupatla, "A new hybrid quadratic/bisection algorithm for finding the zero of
    a nonlinear function without using derivatives", 1997.
    """
    found = find_distribution(family, components)
    channels, dtype = read_channels(found, parameters)
    levels = np.asarray(q, "float64")
    if levels.ndim > 1 or not np.all((levels >= 0) & (levels <= 1)):
        raise out_of_domain("q", "[0, 1], or a vector of them", q)
    if levels.ndim == 1:
        channels = channels[..., None, :]
    shape = tf.broadcast_dynamic_shape(tf.shape(channels)[:-1], tf.shape(levels))
    levels = tf.broadcast_to(tf.constant(levels), shape)
    return cast(found.quantile(levels, *found.split(channels)), dtype)


def sample(
    family: str, parameters: Any, n: int, seed: int | None = None, components: int = 1
) -> tf.Tensor:
    """Random labels of each distribution: an ensemble.

    Args:
        family, parameters, components: As for `masklstm.distributions.variance`.
        n: How many labels of each.
        seed: A whole number that gives the same labels again; by default others in every call, as
            `keras.utils.set_random_seed` determines them.

    Returns:
        A tensor of shape `(..., n)`, drawn in float64, in the parameters' dtype: the members lie in
        the last axis, as `masklstm.metrics.CRPS("ensemble")` takes them.

    Raises:
        ValueError: As `masklstm.distributions.mean`, and for a number that is not above 0.

    Example:

    >>> import masklstm
    >>> labels = masklstm.distributions.sample("student_t", [[0.0, 1.0, 5.0]] * 3, 100, seed=1)
    >>> labels.shape.as_list()
    [3, 100]

    Source: as for `masklstm.distributions.mean`.
    """
    found = find_distribution(family, components)
    channels, dtype = read_channels(found, parameters)
    if n != n or int(n) != n or n < 1:
        raise out_of_domain("n", "1, 2, 3, ...", n)
    if seed is None:
        first = tf.random.uniform([2], maxval=tf.int32.max, dtype=tf.int32)
    else:
        first = tf.constant([seed & 0x7FFFFFFF, seed >> 31 & 0x7FFFFFFF], tf.int32)
    seeds = tf.unstack(tf.random.split(first, 3))
    return cast(found.sample(int(n), seeds, *found.split(channels)), dtype)


def read_channels(family: Family, parameters: Any) -> tuple[tf.Tensor, tf.DType]:
    """The channels in float64, and the type of results."""
    parameters = to_tensor("parameters", parameters, LABEL_DTYPES, tf.float32)
    dtype = parameters.dtype if parameters.dtype in PREDICTION_DTYPES else tf.float64
    last = parameters.shape[-1] if parameters.shape.rank else None
    if parameters.shape.rank == 0 or last not in (None, family.channels):
        names = ", ".join(parameter.name for parameter in family.parameters)
        raise ValueError(
            f"Expected the parameters of '{family.name}' to have {family.channels} channels in "
            f"their last axis ({names}). Received: parameters with shape {parameters.shape}"
        )
    return cast(parameters, tf.float64), dtype
