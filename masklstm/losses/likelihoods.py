"""Losses of predicted distributions: a last axis of y_pred has what y_true has no axis for."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import keras

from masklstm._core.missing import NAN
from masklstm._core.refusals import unknown_name
from masklstm.distributions.catalogue import find_family
from masklstm.losses.base import ElementwiseLoss

# The losses of each family: of one distribution, and of a mixture of several.
_OF_ONE = {
    "gaussian": "gaussian_nll",
    "laplace": "laplace_nll",
    "student_t": "student_t_nll",
    "asymmetric_laplace": "asymmetric_laplace_nll",
    "lognormal": "lognormal_nll",
    "gamma": "gamma_nll",
    "beta": "beta_nll",
    "negative_binomial": "negative_binomial_nll",
    "poisson": "poisson_nll",
    "bernoulli": "bernoulli_nll",
}
_OF_SEVERAL = {
    "gaussian": "gaussian_mixture_nll",
    "laplace": "laplace_mixture_nll",
    "asymmetric_laplace": "asymmetric_laplace_mixture_nll",
}


class Support(NamedTuple):
    """The interval of labels that have a density."""

    of: str
    lower: float
    upper: float
    text: str

    def holds(self, label: float) -> bool:
        """Whether the label is in it."""
        above = self.lower <= label if self.text[0] == "[" else self.lower < label
        return above and (label <= self.upper if self.text[-1] == "]" else label < self.upper)


def _support(family: str) -> Support | None:
    """None where every number has a density."""
    text = find_family(family).support
    lower, upper = (float(end) for end in text[1:-1].split(","))
    return Support(family, lower, upper, text) if math.isfinite(lower) else None


@keras.saving.register_keras_serializable(package="masklstm")
class NegativeLogLikelihood(ElementwiseLoss):
    """Mean of the negative log-likelihoods of the valid labels under predicted distributions.

    Formula: `loss = mean(-log p(y_true | parameters))`, the parameters side by side along the last
    axis of `y_pred`; for a mixture of K components,
    `-log(sum_j softmax(logits)_j p(y_true | parameters_j))`.

    | family | channels of `y_pred` |
    | --- | --- |
    | `"gaussian"` | mean, scale |
    | `"laplace"` | location, scale |
    | `"student_t"` | location, scale, degrees of freedom |
    | `"asymmetric_laplace"` | location (the quantile at a), scale, asymmetry a in (0, 1) |
    | `"lognormal"` | location and scale of log(y_true) |
    | `"gamma"` | concentration, rate; the mean is their ratio |
    | `"beta"` | concentration1, concentration0; the mean is c1 / (c1 + c0) |
    | `"negative_binomial"` | mean m, dispersion a; the variance is m + a m^2 |
    | `"poisson"` | rate |
    | `"bernoulli"` | logit |

    A mixture (of gaussian, laplace or asymmetric_laplace) has first K logits, then the first
    channel of each component, then the second one of each, and so on.
    `masklstm.layers.Distribution` makes such predictions from the states of a network.

    It is computed in float64 without adding an epsilon to a density or clipping, so that a label
    60 deviations away has its loss and its slope. A scale that is not above 0, and a label outside
    of the family's support, gives NaN.

    Args:
        family: See above.
        components: How many components a mixture has; 1 is no mixture.
        reduction, name, dtype, missing, balance, normalizer, feature_weights, step_weights: As for
            `masklstm.losses.MeanSquaredError`.

    Call arguments:
        y_true: Labels, shape `(batch, ..., features)`; NaN means missing.
        y_pred: Parameters, shape `(batch, ..., features, channels)`. The features' axis may be
            missing in either where there is only one.
        sample_weight: Weights, aligned with the labels from the left.

    Raises:
        ValueError: For an unknown family, a family that has no mixtures, or an invalid option.

    Example:

    >>> import masklstm
    >>> loss = masklstm.losses.NegativeLogLikelihood("gaussian")
    >>> labels = [[1.0], [float("nan")]]
    >>> round(float(loss(labels, [[[0.0, 1.0]], [[5.0, 1.0]]])), 5)  # log(2 pi) / 2 + 1 / 2
    1.41894

    Source: C. Bishop, "Mixture Density Networks", 1994; D. Klotz et al., "Uncertainty estimation
    with deep learning for rainfall-runoff modeling", 2022 (asymmetric Laplace mixtures).
    """

    loss = "gaussian_nll"

    def __init__(
        self,
        family: str = "gaussian",
        components: int = 1,
        reduction: str | None = "sum_over_batch_size",
        name: str = "negative_log_likelihood",
        dtype: Any = None,
        *,
        missing: Any = NAN,
        balance: str | None = None,
        normalizer: float | None = None,
        feature_weights: Sequence[float] | None = None,
        step_weights: Sequence[float] | None = None,
    ) -> None:
        if family == "tweedie":
            raise ValueError(
                "The likelihood of the family 'tweedie' has no closed form. Its deviance has the "
                "same minimum: losses.TweedieDeviance(power=1.5). Received: family='tweedie'"
            )
        known = _OF_ONE if components == 1 else _OF_SEVERAL
        if family not in _OF_ONE:
            raise unknown_name("family", family, list(_OF_ONE))
        if family not in known:
            raise ValueError(
                f"Expected components=1 for the family {family!r}; mixtures are made of "
                f"{list(_OF_SEVERAL)}. Received: components={components!r}"
            )
        self.loss = known[family]
        self.family = family
        self.components = components
        self.support = _support(family)
        parameters = {} if components == 1 else {"components": components}
        super().__init__(
            reduction,
            name,
            dtype,
            missing,
            balance,
            normalizer,
            feature_weights,
            step_weights,
            **parameters,
        )

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "family": self.family, "components": self.components}


@keras.saving.register_keras_serializable(package="masklstm")
class TweedieDeviance(ElementwiseLoss):
    """Mean of the Tweedie deviances over the valid elements, for sums that are often 0, as rain.

    Formula, with q = `power` between 1 and 2, t = `y_true` >= 0 and m = `y_pred` > 0:
    `loss = mean(2 (t^(2 - q) / ((1 - q) (2 - q)) - t m^(1 - q) / (1 - q) + m^(2 - q) / (2 - q)))`.
    It is 0 at an exact fit, and its minimum is that of the negative log-likelihood of the compound
    Poisson-gamma distribution with mean m.

    Args:
        power: Of the mean, which the variance is proportional to; between 1 (Poisson) and 2 (gamma)
            exclusive.
        reduction, name, dtype, missing, balance, normalizer, feature_weights, step_weights: As for
            `masklstm.losses.MeanSquaredError`.

    Call arguments:
        y_true: Labels of any shape; NaN means missing.
        y_pred: Means of the same shape, or with a last axis of length 1 besides.

    Raises:
        ValueError: For a `power` outside of (1, 2), or an invalid option.

    Example:

    >>> import masklstm
    >>> loss = masklstm.losses.TweedieDeviance(power=1.5)
    >>> float(loss([[0.0], [float("nan")]], [[4.0], [5.0]]))
    8.0

    Source: B. Jørgensen, "The Theory of Dispersion Models", 1997; scikit-learn's
    `mean_tweedie_deviance` has the same numbers.
    """

    loss = "tweedie_deviance"

    def __init__(
        self,
        power: float = 1.5,
        reduction: str | None = "sum_over_batch_size",
        name: str = "tweedie_deviance",
        dtype: Any = None,
        *,
        missing: Any = NAN,
        balance: str | None = None,
        normalizer: float | None = None,
        feature_weights: Sequence[float] | None = None,
        step_weights: Sequence[float] | None = None,
    ) -> None:
        self.support = _support("tweedie")
        super().__init__(
            reduction,
            name,
            dtype,
            missing,
            balance,
            normalizer,
            feature_weights,
            step_weights,
            power=power,
        )
