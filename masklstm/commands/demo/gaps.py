"""Counts missing labels and gaps: runs of missing labels."""

from dataclasses import dataclass

import numpy as np

from masklstm.commands.table import Floats
from masklstm.inspection.runs import find_runs


@dataclass(frozen=True)
class Run:
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


def find_gaps(labels: Floats) -> list[Run]:
    """Every gap, in order."""
    return [Run(int(start), int(stop)) for _, start, stop in find_runs(np.isnan(labels)[None])]


def summarise(labels: Floats) -> GapSummary:
    """Counts the gaps."""
    gaps = find_gaps(labels)
    lengths = [len(gap) for gap in gaps]
    return GapSummary(len(labels), sum(lengths), len(gaps), max(lengths, default=0))
