"""`masklstm.kernels` on NumPy arrays: values, gradients, sums and counts of element losses."""

from typing import Any

import numpy as np
from gpu import formulas
from support.native import kernels

from campaign import shrinking
from campaign.parts import Disagreement, _elements
from campaign.parts._elements import smaller as smaller

CASES = 700_000
REDUCTIONS = ["mean", "mean_with_sample_weight", "sum", "none", "sum_of_elements"]


def draw(rng: Any) -> dict[str, Any]:
    case = _elements.draw(rng)
    return {**case, "reduction": str(rng.choice(REDUCTIONS)), "threads": int(rng.integers(1, 4))}


def check(case: dict[str, Any]) -> None:
    losses, slopes, valid, weights = _elements.exact(case)
    dtype, reduction = _elements.computing(case), case["reduction"]
    expected, factors = formulas.reduce(losses, valid, weights, reduction)
    size, _ = formulas.reduce(_elements.sizes(case, losses), valid, weights, reduction)
    value, weight_sum, count = kernels.masked_loss(**case)
    _elements.compare("the loss", value, expected, size, dtype)
    if count != valid.sum():
        raise Disagreement(f"the count: {count} instead of {valid.sum()}")
    if reduction in ("mean_with_sample_weight", "sum_of_elements"):  # else nobody needs it
        total = np.where(valid, weights, 0).sum()
        _elements.compare("the sum of the weights", np.float64(weight_sum), total, total, dtype)
    gradient = kernels.masked_loss_gradient(**case)
    slopes = np.where(valid, slopes, 0.0)
    _elements.compare("the gradient", gradient, factors * slopes, np.abs(factors), dtype)
    bits = gradient[~valid].astype(np.float64)
    if np.any(bits) or np.any(np.signbit(bits)):
        raise Disagreement("the gradient of an invalid element is not +0.0")


def program(case: dict[str, Any]) -> str:
    return f"""import ml_dtypes
import numpy as np

from masklstm import kernels

case = dict(
    {shrinking.arguments(case)}
)
print(kernels.masked_loss(**case))
print(kernels.masked_loss_gradient(**case))
"""
