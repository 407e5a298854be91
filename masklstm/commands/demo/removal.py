"""Takes labels away, at random or in blocks."""

import numpy as np

from masklstm.commands.table import Floats


def remove(
    labels: Floats, rows: slice, share: float, block: int, generator: np.random.Generator
) -> Floats:
    """Removes a share of the observed labels of some rows.

    The rows are cut into blocks, from a random place on, and blocks are emptied in random order
    until the share is reached; of the last one only the first rows are. Blocks of one row are
    labels at random. The same generator empties the same blocks first, whatever the share: what a
    smaller share removes, a larger one removes too.

    Args:
        labels: ``(all rows,)``, NaN where there is none; not changed.
        rows: the part to remove from.
        share: of its observed labels, from 0 to 1.
        block: rows in a block.
        generator: gives the place of the first block and the order of the blocks.

    Returns:
        A copy with NaN in place of the removed labels.
    """
    observed = np.flatnonzero(~np.isnan(labels[rows]))
    block_of_row = (np.arange(len(labels[rows])) + generator.integers(block)) // block
    turn_of_row = generator.permutation(block_of_row[-1] + 1)[block_of_row]
    in_turn = observed[np.argsort(turn_of_row[observed], kind="stable")]
    left = labels.copy()
    left[rows.start + in_turn[: round(share * len(observed))]] = np.nan
    return left
