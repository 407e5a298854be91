"""Means over seeds with their 95% intervals."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

# The 0.975 quantiles of Student's t with 1, 2, ... degrees of freedom: NIST/SEMATECH e-Handbook of
# Statistical Methods, section 1.3.6.7.2.
_T = (
    *(12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228),
    *(2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086),
)


@dataclass(frozen=True)
class Interval:
    """A mean and how far it may be off; NaN where there is a single value."""

    mean: float
    half_width: float

    @property
    def above_zero(self) -> bool:
        """Whether the whole interval is."""
        return self.mean - self.half_width > 0

    @property
    def below_zero(self) -> bool:
        """Whether the whole interval is."""
        return self.mean + self.half_width < 0


def interval(values: Sequence[float]) -> Interval:
    """The mean with its 95% interval by Student's t distribution, of up to 21 values."""
    if len(values) == 1:
        return Interval(values[0], math.nan)
    half_width = _T[len(values) - 2] * statistics.stdev(values) / math.sqrt(len(values))
    return Interval(statistics.mean(values), half_width)
