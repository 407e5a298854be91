"""The bias of a flow duration curve: of the highest or the lowest flows, whenever they occur."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from masklstm._core.refusals import number_or_nan, out_of_domain, unknown_name

_PARTS = ("high", "low")


class FlowDurationBias:
    """Bias in percent of the high or low part of the flow duration curve, for `masklstm.scores`.

    Labels and predictions are sorted, each by itself, so it does not matter when flows occur. n of
    them are compared, a `share` of all, rounded, and at least one.

    Formula, over the n highest: `100 * sum(p - t) / sum(t)`, above 0 where predictions are too
    high. Over the n lowest, with `l(x) = sum(log(x) - log(min(x)))`: `-100 * (l(p) - l(t)) / l(t)`,
    above 0 where the predicted curve falls less steeply towards its end. NaN where there is nothing
    to divide by, and for a logarithm of what is not above 0 or of predictions that are not finite.

    It needs all values of a series at once and in order, which no sums over batches can stand for:
    hence there is no metric of this name.

    Args:
        share: The share of the values that is compared, in (0, 1].
        part: `"high"` or `"low"`.
        floor: For `"low"`: what is below is raised to this number, above 0, before the logarithm is
            taken, as for rivers that fall dry. By default nothing is raised.

    Raises:
        ValueError: For a `share` outside of (0, 1], an unknown `part`, a `floor` that is not above
            0 or is given for `"high"`.

    Example:

    >>> import numpy as np
    >>> from masklstm.scoring import FlowDurationBias
    >>> FlowDurationBias(share=0.5)(np.array([1.0, 4.0, 2.0, 6.0]), np.array([9.0, 1.0, 2.0, 3.0]))
    20.0

    Source: K. K. Yilmaz, H. V. Gupta, T. Wagener, "A process-based diagnostic approach to model
    evaluation: Application to the NWS distributed hydrologic model", 2008, with shares of 0.02 for
    high flows and of 0.3 for low ones.
    """

    def __init__(self, share: float = 0.02, part: str = "high", floor: float | None = None) -> None:
        if not 0 < number_or_nan(share) <= 1:
            raise out_of_domain("share", "(0, 1]", share)
        if part not in _PARTS:
            raise unknown_name("part", part, _PARTS)
        if floor is not None and (part == "high" or not 0 < number_or_nan(floor) < math.inf):
            raise out_of_domain("floor", "(0, inf), for part='low'", floor)
        self.share, self.part, self.floor = float(share), part, floor
        self.__name__ = f"flow_duration_bias_{part}"

    def __call__(self, y_true: NDArray[Any], y_pred: NDArray[Any]) -> float:
        """The bias of predictions for labels, vectors of the same length without gaps."""
        if not y_true.size or not np.isfinite(y_pred).all():
            return math.nan
        number = max(1, round(self.share * y_true.size))
        t, p = np.sort(y_true), np.sort(y_pred)
        if self.part == "high":
            t, p = t[-number:], p[-number:]
            return _percent(np.sum(p - t), np.sum(t))
        slopes = _slope(t[:number], self.floor), _slope(p[:number], self.floor)
        return _percent(slopes[0] - slopes[1], slopes[0])

    def __repr__(self) -> str:
        floor = "" if self.floor is None else f", floor={self.floor!r}"
        return f"FlowDurationBias(share={self.share!r}, part={self.part!r}{floor})"


def _slope(ascending: NDArray[Any], floor: float | None) -> float:
    if floor is not None:
        ascending = np.maximum(ascending, floor)
    if ascending[0] <= 0:
        return math.nan
    return float(np.sum(np.log(ascending) - np.log(ascending[0])))


def _percent(value: float, divisor: float) -> float:
    return float(100 * value / divisor) if divisor else math.nan
