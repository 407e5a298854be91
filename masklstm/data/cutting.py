"""`windows`: batches of inputs and labels, cut out of a table when they are needed."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from masklstm.data.dataset import Labels, Windows
from masklstm.data.grid import doubled_rows, lay_out
from masklstm.data.source import Source, hint_at_sentinels
from masklstm.data.splitting import Part
from masklstm.data.tables import chosen_names, given_or_named, is_frame, numbered_groups, rows_of
from masklstm.data.times import Steps, find_steps, time_values


def windows(
    table: Any,
    inputs: Any,
    targets: Any,
    length: int,
    horizon: int | Sequence[int] = 1,
    *,
    time: Any = None,
    group: Any = None,
    step: Any = None,
    duplicates: str = "refuse",
    max_gap: int | None = None,
    part: Part | None = None,
    return_sequences: bool = False,
    skip_unlabelled: bool = True,
    max_missing: float | None = None,
    stride: int = 1,
    shard: tuple[int, int] = (0, 1),
    batch_size: int = 32,
    shuffle: bool = False,
    seed: int | None = None,
    dtype: str = "float32",
    **kwargs: Any,
) -> "Windows":
    """Windows of a table, as `model.fit` takes them: inputs `(batch, length, inputs)` and labels.

    Formula: the window that ends at step e has as inputs those of the steps e - length + 1 to e,
    and as labels the targets of step e + horizon; with `return_sequences` those of each of its
    steps, horizon later.

    A window lies within one group, and its rows are one step apart: rows are put in order, and
    where a step has no row its inputs and targets are NaN. Windows are cut out when their batch is
    needed; what stays in memory is the table's numbers in `dtype`, and for each row 12 bytes.

    Args:
        table: A pandas DataFrame; a mapping of columns, which may be `numpy.memmap` and are then
            read as they are needed (`masklstm.data.on_disk` makes such from a file that does not
            fit into memory); or an array of shape `(rows, columns)`, whose columns are numbered.
        inputs, targets: Names of columns, one or several. NaN, None and pandas' NA are missing.
        length: How many steps a window has.
        horizon: How many steps after the window's end the labels are; 0 for the end itself.
            Several, such as `range(1, 25)`, give labels for each of them.
        time: Name of the column with the times (dates or numbers), or an array of them. Without it
            a frame's DatetimeIndex; without that the rows of a group follow each other.
        group: Name of the column that tells series apart, such as a station's, or an array.
        step: The time from one step to the next, such as `"1h"`, a number, `"month"` or `"year"`.
            By default the most frequent difference between neighbours. Times between the steps
            are refused.
        duplicates: What becomes of rows with one group and time: `"refuse"`, take the `"first"` or
            the `"last"`, or the `"mean"` of what they have observed.
        max_gap: Where more steps than this have no row, the series is parted: no window crosses
            it. By default windows cross all gaps, with NaN.
        part: Of `masklstm.data.split`: only windows all of whose labels lie in it. Their inputs may
            lie before it.
        return_sequences: Labels for every step of a window, as for a layer of that option.
        skip_unlabelled: Leave out windows that have no label.
        max_missing: Leave out windows of whose inputs a greater share is missing.
        stride: Only every so many-th window of a series, counted from its last one.
        shard: Index and count, for several workers: each gets every count-th window, so that none
            is lost and none is there twice.
        batch_size: Windows in a batch; the last one may have fewer.
        shuffle: Draw the order of the windows anew for each epoch.
        seed: Of that order.
        dtype: Of inputs and labels.
        **kwargs: Of `keras.utils.PyDataset`: `workers`, `use_multiprocessing`, `max_queue_size`.

    Returns:
        `Windows`, a `keras.utils.PyDataset` of pairs. Labels have the shape `(batch, targets)`;
        with several horizons `(batch, horizons, targets)`; with `return_sequences` `(batch,
        length, targets)`. Printed, it tells how many windows there are, and which were left out.

    Raises:
        ValueError: For unknown columns, text in place of numbers, infinite values, irregular or
            doubled times, and where no window is left.

    Example:

    >>> import masklstm, numpy as np
    >>> table = {
    ...     "day": np.array([1, 2, 4, 5, 6]),
    ...     "rain": np.array([0.0, 3.0, 1.0, 0.0, 2.0]),
    ...     "flow": np.array([5.0, 6.0, 9.0, np.nan, 7.0]),
    ... }
    >>> found = masklstm.data.windows(table, ["rain"], "flow", length=2, time="day")
    >>> x, y = found[0]
    >>> x[..., 0].tolist(), y[:, 0].tolist()
    ([[3.0, nan], [1.0, 0.0]], [9.0, 7.0])
    >>> print(found)
    2 windows of 2 steps (a step is 1), label 1 step after each
    5 rows, 1 series; 1 step has no row: missing
    left out: 2 windows without a label
    """
    numbers = {"length": length, "stride": stride, "batch_size": batch_size}
    for name, value in numbers.items():
        _check_whole(name, value, 1)
    horizons = _standardize_horizons(horizon, return_sequences)
    if max_gap is not None:
        _check_whole("max_gap", max_gap, 0)
    input_names = chosen_names(table, inputs, "inputs")
    target_names = chosen_names(table, targets, "targets")
    rows = rows_of(table)
    names, groups = [None], np.zeros(rows, np.int32)
    if group is not None:
        names, groups = numbered_groups(given_or_named(table, group, "group"))
    steps = _steps_of(table, time, groups, names, step)
    grid = lay_out(groups, steps, names, duplicates, max_gap)
    source = Source(table, [*input_names, *target_names], np.dtype(dtype))
    if steps is not None and grid.doubled and duplicates == "mean":
        source.average(doubled_rows(groups, steps))
    hint_at_sentinels(source)
    return Windows(
        source,
        grid,
        steps,
        names,
        group if isinstance(group, str) else "group",
        len(input_names),
        Labels(int(length), horizons, np.ndim(horizon) == 0, return_sequences),
        part=part,
        skip_unlabelled=skip_unlabelled,
        max_missing=max_missing,
        stride=int(stride),
        shard=_standardize_shard(shard),
        batch_size=int(batch_size),
        shuffle=shuffle,
        seed=seed,
        **kwargs,
    )


def _steps_of(
    table: Any, time: Any, groups: NDArray[np.int32], names: list[Any], step: Any
) -> Steps | None:
    if time is None and is_frame(table):
        import pandas

        if isinstance(table.index, (pandas.DatetimeIndex, pandas.PeriodIndex)):
            time = table.index.to_series()
    if time is None:
        if step is not None:
            raise ValueError(
                f"Expected 'time' with 'step': the column with the times. Received: step={step!r}"
            )
        return None
    return find_steps(time_values(given_or_named(table, time, "time")), groups, names, step)


def _standardize_horizons(horizon: Any, return_sequences: bool) -> NDArray[np.int64]:
    horizons = np.atleast_1d(np.asarray(horizon))
    whole = horizons.dtype.kind in "iu" and horizons.ndim == 1 and len(horizons) > 0
    if not whole or horizons.min() < 0 or np.any(np.diff(horizons) <= 0):
        raise ValueError(
            "Invalid value for argument 'horizon'. Expected a whole number of steps, 0 or more, or "
            f"several in rising order. Received: horizon={horizon!r}"
        )
    if return_sequences and np.ndim(horizon):
        raise ValueError(
            "Expected one 'horizon' with return_sequences=True, the same for every step. "
            f"Received: horizon={horizon!r}"
        )
    return horizons.astype(np.int64)


def _check_whole(name: str, value: Any, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
        raise ValueError(
            f"Invalid value for argument '{name}'. Expected a whole number from {least} on. "
            f"Received: {name}={value!r}"
        )


def _standardize_shard(shard: Any) -> tuple[int, int]:
    try:
        index, count = map(int, shard)
    except (TypeError, ValueError):
        index, count = -1, 0
    if not 0 <= index < count:
        raise ValueError(
            "Invalid value for argument 'shard'. Expected (index, count) with 0 <= index < count. "
            f"Received: shard={shard!r}"
        )
    return index, count
