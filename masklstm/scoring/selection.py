"""What is scored of a group: the labels chosen by quantile, transformed, and their predictions."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from masklstm.scoring.groups import Grouped
from masklstm.scoring.measures import Measure
from masklstm.scoring.table import Row
from masklstm.scoring.transforms import Transform

Floats = NDArray[np.float64]


class Part(NamedTuple):
    """Labels and predictions to be compared."""

    name: Any
    y_true: Floats
    y_pred: Floats
    left_out: int
    """Labels that are there, but not once they are transformed."""
    lost_predictions: int
    """Predictions that are finite, but not once they are transformed."""

    @classmethod
    def of(
        cls, group: Grouped, above: float | None, below: float | None, transform: Transform
    ) -> "Part":
        """A group's."""
        t, p = group.y_true, group.y_pred
        if not t.size:
            return cls(group.name, t, p, 0, 0)
        is_chosen = np.ones(t.shape, bool)
        if above is not None:
            is_chosen &= t > np.quantile(t, above)
        if below is not None:
            is_chosen &= t < np.quantile(t, below)
        new_t, new_p = transform(t, p)
        # Without a transformation an infinite label is data.
        kept = is_chosen & (np.isfinite(new_t) | (new_t == t))
        lost = kept & np.isfinite(p) & ~np.isfinite(new_p)
        left_out, lost_predictions = np.count_nonzero(is_chosen & ~kept), np.count_nonzero(lost)
        return cls(group.name, new_t[kept], new_p[kept], int(left_out), int(lost_predictions))

    @classmethod
    def together(cls, name: Any, parts: "list[Part]") -> "Part":
        """What several groups have, as one."""
        return cls(
            name,
            np.concatenate([part.y_true for part in parts]),
            np.concatenate([part.y_pred for part in parts]),
            sum(part.left_out for part in parts),
            sum(part.lost_predictions for part in parts),
        )

    def row(self, measures: Mapping[str, Measure]) -> Row:
        """Its scores; NaN without a label."""
        values = {
            name: float(measure(self.y_true, self.y_pred)) if self.y_true.size else math.nan
            for name, measure in measures.items()
        }
        return Row(self.name, self.y_true.size, self.left_out, values)
