"""Losses that take several predictions for a label: what tests of any device draw for them."""

from typing import Any

import numpy as np

from .formulas import sigmoid, within


def parameters_of(description):
    """Values for the loss's parameters that are not the defaults."""
    given: dict[str, Any] = {}
    for parameter in description["parameters"]:
        if parameter["is_list"]:
            given[parameter["name"]] = [0.1, 0.5, 0.9]
        elif parameter["domain"].startswith("the whole numbers"):
            given[parameter["name"]] = 3
        else:
            lower, upper = (float(end) for end in parameter["domain"][1:-1].split(","))
            given[parameter["name"]] = 0.8 * lower + 0.2 * upper
    return given


def with_channels(kernels):
    """For each of these losses its name and values of its parameters."""
    descriptions = kernels.descriptions().items()
    return {name: parameters_of(loss) for name, loss in descriptions if loss["channels"]}


def numbers(kernels, loss, parameters, shape, rng):
    """Labels and predictions where the loss is defined."""
    description = kernels.descriptions()[loss]
    repeated = parameters.get("quantile", parameters.get("components", 2))
    repeated = len(repeated) if isinstance(repeated, list) else int(repeated)

    def inside(x):
        return 0.05 + 0.9 * sigmoid(x)

    channels = [
        within(channel, rng.standard_normal(shape), inside)
        for channel in description["channels"]
        for _ in range(repeated if channel["repeats"] else 1)
    ]
    predictions = np.stack(channels, axis=-1)
    assert predictions.shape[-1] == kernels.num_channels(loss, **parameters)
    return within(description["labels"], rng.standard_normal(shape), inside), predictions
