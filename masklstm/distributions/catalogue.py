"""The one list of families, and how one is asked for."""

import functools

import tensorflow as tf

from masklstm._core.refusals import out_of_domain, unknown_name
from masklstm.distributions.continuous import (
    AsymmetricLaplace,
    Beta,
    Gamma,
    Gaussian,
    Laplace,
    LogNormal,
    StudentT,
)
from masklstm.distributions.counts import Bernoulli, NegativeBinomial, Poisson
from masklstm.distributions.family import Family, positive
from masklstm.distributions.mixture import Mixture


class Tweedie(Family):
    """A mean and no more: the deviance says nothing of the spread, which everything else needs."""

    name = "tweedie"
    parameters = (positive("mean"),)
    support = "[0, inf)"

    def mean(self, *parameters: tf.Tensor) -> tf.Tensor:
        return parameters[0]


FAMILIES: dict[str, Family] = {
    family.name: family
    for family in (
        Gaussian(),
        Laplace(),
        StudentT(),
        AsymmetricLaplace(),
        LogNormal(),
        Gamma(),
        Beta(),
        NegativeBinomial(),
        Poisson(),
        Bernoulli(),
        Tweedie(),
    )
}
MIXED = ("gaussian", "laplace", "asymmetric_laplace")


@functools.cache
def _mixture(name: str, components: int) -> Mixture:
    return Mixture(FAMILIES[name], components)


def find_family(family: str, components: int = 1) -> Family:
    """The family of this name, or a mixture of it."""
    if not isinstance(family, str) or family not in FAMILIES:
        raise unknown_name("family", family, tuple(FAMILIES))
    if type(components) is not int or components < 1:
        raise out_of_domain("components", "1, 2, 3, ...", components)
    if components == 1:
        return FAMILIES[family]
    if family not in MIXED:
        raise ValueError(
            f"Argument 'components' is for mixtures of one of {MIXED}. "
            f"Received: components={components} with family={family!r}"
        )
    return _mixture(family, components)


def find_distribution(family: str, components: int = 1) -> Family:
    """As `find_family`, but only with a distribution of its own."""
    found = find_family(family, components)
    if isinstance(found, Tweedie):
        raise ValueError(
            "Expected a family with a distribution. Received: family='tweedie', whose deviance "
            "knows the mean alone: no variance, no quantiles and no samples"
        )
    return found
