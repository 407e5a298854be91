"""Counts missing labels and gaps: runs of missing labels."""

from dataclasses import dataclass

import numpy as np

from masklstm._gaps import find_runs
from masklstm.demo.table import Floats


@dataclass(frozen=True)
class Gap:
    """A run of missing labels: the rows from ``start`` to before ``stop``."""

    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start


@dataclass(frozen=True)
class GapSummary:
    """How much of a series is missing, and in what pieces."""

    labels: int
    missing: int
    gaps: int
    longest: int

    @property
    def share(self) -> float:
        """Missing labels per label."""
        return self.missing / self.labels


def find_gaps(labels: Floats) -> list[Gap]:
    """Every gap, in order."""
    return [Gap(int(start), int(stop)) for _, start, stop in find_runs(np.isnan(labels)[None])]


def summarise(labels: Floats) -> GapSummary:
    """Counts the gaps."""
    gaps = find_gaps(labels)
    lengths = [len(gap) for gap in gaps]
    return GapSummary(len(labels), sum(lengths), len(gaps), max(lengths, default=0))
