"""Gaps: runs of consecutive missing labels."""

import numpy as np
from numpy.typing import NDArray


def find_runs(missing: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Every run of True along the last axis of `(series, steps)`, in order.

    Returns:
        Rows of `(series, start, stop)`; a run ends before `stop`.
    """
    series, steps = missing.shape
    padded = np.zeros((series, steps + 2), np.bool_)
    padded[:, 1:-1] = missing
    # Starts and stops alternate: a run begins and ends where `missing` changes.
    row, edge = np.nonzero(padded[:, 1:] != padded[:, :-1])
    return np.stack([row[::2], edge[::2], edge[1::2]], axis=1).astype(np.int64)
