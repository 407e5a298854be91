"""What a predicted distribution says: its mean, variance, quantiles, cdf, and random labels.

The parameters are the channels in the last axis of a model's predictions, as
`masklstm.layers.Distribution` makes them and `masklstm.losses.NegativeLogLikelihood` takes them:
docs/probabilistic.md has the families and their channels. All functions are over any leading shape,
take arrays and tensors, and compute in float64. A parameter outside of its domain, such as a scale
that is not above 0, gives NaN.
"""

from masklstm.distributions.functions import cdf, mean, quantile, sample, variance

__all__ = ["cdf", "mean", "quantile", "sample", "variance"]
