"""What a table is: columns by name, of as many rows; a data frame, arrays, or files of arrays."""

import sys
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from masklstm._core.refusals import one_of

# What is read at once of columns that need not fit into memory.
CHUNK = 1 << 20


class Coded:
    """A column of names: the number of each row's name, and the names."""

    def __init__(self, codes: NDArray[Any], categories: Sequence[Hashable]) -> None:
        self.codes = codes
        self.categories = list(categories)

    def __len__(self) -> int:
        return len(self.codes)

    def __getitem__(self, rows: Any) -> "Coded":
        return Coded(self.codes[rows], self.categories)


def is_frame(table: Any) -> bool:
    """Whether it is a pandas DataFrame; pandas is optional, and not imported for others."""
    pandas = sys.modules.get("pandas")
    return pandas is not None and isinstance(table, pandas.DataFrame)


def names_of(table: Any) -> list[Hashable]:
    """The names of the columns, and of a frame's index levels that have one."""
    if is_frame(table):
        return [*table.columns, *(name for name in table.index.names if name is not None)]
    if isinstance(table, Mapping):
        return list(table)
    fields = getattr(getattr(table, "dtype", None), "names", None)
    if fields:
        return list(fields)
    if getattr(table, "ndim", 0) == 2:
        return list(range(table.shape[1]))
    raise ValueError(
        "Expected 'table' to be a pandas DataFrame, a mapping of columns, or an array of shape "
        f"(rows, columns). Received: {type(table).__name__}"
    )


def column_of(table: Any, name: Hashable, argument: str) -> Any:
    """A column; `argument` is what an error says of an unknown name."""
    known = names_of(table)
    if name not in known:
        raise ValueError(
            f"Unknown column in argument '{argument}'. Expected one of "
            f"{one_of(list(map(str, known)))}. Received: {argument}={name!r}"
        )
    if is_frame(table):
        if name not in table.columns:
            return table.index.get_level_values(name).to_series(index=table.index)
        if list(table.columns).count(name) > 1:
            raise ValueError(f"Expected different names of columns. Received twice: {name!r}")
        return table[name]
    if isinstance(table, Mapping) or table.dtype.names:
        return table[name]
    return table[:, name]


def rows_of(table: Any) -> int:
    """How many rows there are; all columns have to be as long."""
    if is_frame(table) or not isinstance(table, Mapping):
        return len(table)
    lengths = {name: len(column) for name, column in table.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"Expected columns of one length. Received: lengths {lengths}")
    return next(iter(lengths.values()), 0)


def chosen_names(table: Any, names: Any, argument: str) -> list[Hashable]:
    """One name or several as a list without doubles, each of which there is."""
    known = names_of(table)
    is_one = isinstance(names, (str, int, np.integer)) or names in known
    chosen = [names] if is_one else list(names)
    for name in chosen:
        column_of(table, name, argument)
    if not chosen or len(set(chosen)) < len(chosen):
        raise ValueError(
            f"Expected '{argument}' to name a column or more, each once. "
            f"Received: {argument}={names!r}"
        )
    return chosen


def given_or_named(table: Any, column: Any, argument: str) -> Any:
    """A column that is named, or given itself: an array with an entry for each row."""
    if isinstance(column, (str, int, np.integer, tuple)):
        return column_of(table, column, argument)
    if len(column) != rows_of(table):
        raise ValueError(
            f"Expected '{argument}' to be the name of a column, or to have an entry for each of "
            f"the {rows_of(table):,} rows. Received: {len(column):,} entries"
        )
    return column


def numbered_groups(column: Any) -> tuple[list[Any], NDArray[np.int32]]:
    """The groups in the order in which they first occur, and the number of each row's group."""
    if isinstance(column, Coded):
        codes, names = np.asarray(column.codes), column.categories
    elif type(column).__module__.startswith("pandas"):
        import pandas

        codes, found = pandas.factorize(column)
        names = list(found)
    else:
        values, first, inverse = np.unique(
            np.asarray(column), return_index=True, return_inverse=True
        )
        is_nan = values != values
        place = np.argsort(np.argsort(np.where(is_nan, len(inverse), first)))
        codes = np.where(is_nan, -1, place)[inverse.reshape(-1)]
        names = values[~is_nan][np.argsort(first[~is_nan])].tolist()
    if len(codes) and codes.min() < 0:
        raise ValueError(
            "Expected 'group' to name the group of every row. Received: no group in "
            f"{np.count_nonzero(codes < 0):,} rows, the first of them row {np.argmin(codes)}"
        )
    return names, codes.astype(np.int32, copy=False)


def numbers_of(column: Any, name: Hashable, rows: slice = slice(None)) -> NDArray[np.floating]:
    """Some rows of a column as floating point numbers; NaN for what is missing.

    Raises:
        ValueError: For what is neither a number nor missing, and for infinite values.
    """
    part = column.iloc[rows] if hasattr(column, "iloc") else column[rows]
    try:
        if hasattr(part, "to_numpy"):
            values = np.asarray(part.to_numpy(dtype=np.float64, na_value=np.nan))
        elif isinstance(part, np.ma.MaskedArray):
            values = np.ma.filled(part.astype(np.float64), np.nan)
        elif isinstance(part, np.ndarray) and part.dtype.kind == "f" and part.dtype.itemsize <= 8:
            values = part
        else:
            values = np.asarray(part)
            if values.dtype.kind not in "biufO":
                raise TypeError(f"type {values.dtype}")
            values = values.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"Expected column {name!r} to hold numbers, and NaN, None or pandas.NA for what is "
            f"missing. Received: {error}"
        ) from error
    is_infinite = np.isinf(values)
    if is_infinite.any():
        raise ValueError(
            f"Expected column {name!r} to hold finite numbers or NaN, as by "
            "table.replace([np.inf, -np.inf], np.nan). Received: an infinite value in row "
            f"{(rows.start or 0) + int(np.argmax(is_infinite)):,}"
        )
    return values
