"""What the tests of every device draw: the losses, their parameters, labels and predictions."""

import numpy as np
from gpu import channels, formulas
from gpu.formulas import within

from support.native import kernels


def parameters_of(loss):
    """The default ones, and others where the loss has any; but for epsilon, whose other values
    would need wider tolerances.
    """
    others = [
        {name: value for name, value in some.items() if name != "epsilon"}
        for some in formulas.LOSSES[loss].others
    ]
    return [{}, *filter(None, others)]


# Those of one prediction for each label; ops/test_channels.py walks the others.
ELEMENTWISE = [loss for loss, about in kernels.descriptions().items() if not about["channels"]]
LOSSES = [(loss, parameters) for loss in ELEMENTWISE for parameters in parameters_of(loss)]
REDUCTIONS = ["mean", "mean_with_sample_weight", "sum", "none"]
KERNEL_REDUCTIONS = [*REDUCTIONS, "sum_of_elements"]
TOLERANCE = {"float32": 1e-5, "float64": 1e-12}


def labels_and_predictions(
    rng, shape, dtype, loss="squared_error", parameters=None, missing_share=0.4
):
    """Random ones where the loss is defined: numbers, positive numbers, or probabilities."""
    if (parameters or {}).get("from_logits"):
        loss += "_from_logits"
    description = kernels.descriptions()[loss]
    if description["channels"]:
        y_true, y_pred = channels.numbers(kernels, loss, parameters or {}, shape, rng)
        y_true = np.where(rng.random(shape) < missing_share, np.nan, y_true)
        return y_true.astype(dtype), y_pred.astype(dtype)
    y_true, y_pred = rng.normal(size=shape), 2 * rng.normal(size=shape)

    def between_0_and_1(y):  # half of them whole
        return np.where(rng.random(shape) < 0.5, np.round(rng.random(shape)), rng.random(shape))

    y_true = within(description["labels"], y_true, between_0_and_1)
    y_pred = within(description["predictions"], y_pred, lambda y: 0.05 + 0.9 * rng.random(shape))
    y_true = np.where(rng.random(shape) < missing_share, np.nan, y_true)
    return y_true.astype(dtype), y_pred.astype(dtype)


def example(dtype, shape, loss="poisson", parameters=None):
    """Labels, predictions, weights and a mask; by default positive numbers, for which every loss is
    defined.
    """
    rng = np.random.default_rng(5)
    y_true, y_pred = labels_and_predictions(rng, shape, dtype, loss, parameters)
    weight = rng.random(shape[:-1]).astype(dtype)
    return y_true, y_pred, weight, rng.random(shape) < 0.9
