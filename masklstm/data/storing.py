"""`on_disk`: a Parquet file that need not fit into memory, as columns on the disk."""

import json
import os
import secrets
import shutil
from collections.abc import Hashable, Iterator, Mapping, Sequence
from decimal import Decimal
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from masklstm._core.terminal import say, shown
from masklstm.data.reading import import_pandas, standardize_missing
from masklstm.data.splitting import Part, time_column
from masklstm.data.tables import CHUNK, Coded, numbers_of
from masklstm.data.times import time_values

_ABOUT = "columns.json"


class OnDisk(Mapping[Hashable, Any]):
    """Columns in a folder, by name: `numpy.memmap`, and for groups `Coded` names."""

    def __init__(self, folder: str | PathLike[str]) -> None:
        self.folder = Path(folder)
        about = json.loads((self.folder / _ABOUT).read_text("utf-8"))
        self.rows: int = about["rows"]
        self._columns: dict[Hashable, Any] = {}
        for place, column in enumerate(about["columns"]):
            values: Any = np.zeros(0, column["dtype"])
            if self.rows:
                file = self.folder / f"{place}.bin"
                values = np.memmap(file, column["dtype"], "r", shape=(self.rows,))
            if "names" in column:
                values = Coded(values, column["names"])
            self._columns[column["name"]] = values

    def __getitem__(self, name: Hashable) -> Any:
        return self._columns[name]

    def __iter__(self) -> Iterator[Hashable]:
        return iter(self._columns)

    def __len__(self) -> int:
        return len(self._columns)

    def __repr__(self) -> str:
        return f"OnDisk({str(self.folder)!r}): {self.rows:,} rows of {', '.join(map(str, self))}"

    def batches(
        self, columns: Sequence[Hashable], part: Part | None = None
    ) -> Iterator[NDArray[np.floating[Any]]]:
        """The rows of some columns, part by part, as `Normalization.adapt` takes them.

        Args:
            columns: Names.
            part: Of `split`: only its rows.
        """
        for start in range(0, self.rows, CHUNK):
            rows = slice(start, min(start + CHUNK, self.rows))
            values = np.stack([np.asarray(self[name][rows]) for name in columns], axis=1)
            if part is not None:
                chosen = np.ones(len(values), bool)
                if part.start is not None or part.stop is not None:
                    chosen &= part.has_times(np.asarray(time_column(self, part.time)[rows]))
                if part.groups is not None:
                    coded = self[part.group]
                    chosen &= part.has_groups(coded.categories)[coded.codes[rows]]
                values = values[chosen]
            if len(values):
                yield values


def on_disk(
    path: str | PathLike[str] | Sequence[str | PathLike[str]],
    folder: str | PathLike[str],
    *,
    time: str | None = None,
    group: str | None = None,
    missing: Any = (),
    columns: Sequence[str] | None = None,
    dtype: str = "float32",
    verbose: bool = True,
) -> OnDisk:
    """Reads Parquet part by part and writes each column into a folder, which `windows` then reads
    as it needs it.

    Args:
        path: A Parquet file, several, or a folder of them, in the order of their names.
        folder: To write into; it must not exist yet. `OnDisk(folder)` opens it again.
        time: The column with the times.
        group: The column that tells series apart.
        missing: Numbers that mean "missing" in addition to NaN and null.
        columns: The columns of numbers to keep; by default all that are numeric.
        dtype: Of these.
        verbose: Print what was written.

    Returns:
        `OnDisk`, a mapping of columns.

    Raises:
        ImportError: Where pandas or pyarrow is not installed.
        FileExistsError: If there is such a folder.
        ValueError: For unknown columns, and what is neither a number nor missing.

    Example:

    >>> import masklstm, numpy as np, pandas, pathlib, tempfile
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> table = pandas.DataFrame({"site": ["A"] * 5, "flow": [1.0, -999.0, 3.0, 4.0, 5.0]})
    >>> table.to_parquet(folder / "flow.parquet")
    >>> columns = masklstm.data.on_disk(
    ...     folder / "flow.parquet", folder / "flow", group="site", missing=-999
    ... )
    flow: 5 rows of site, flow
    >>> found = masklstm.data.windows(columns, "flow", "flow", length=2, group="site")
    >>> found.labels()[:, 0].tolist()
    [3.0, 4.0, 5.0]
    """
    import_pandas()
    try:
        import pyarrow.parquet
    except ImportError as error:
        raise ImportError(
            "Reading Parquet needs pyarrow. Expected it to be installed, as by: pip install pyarrow"
        ) from error
    folder = Path(folder)
    if folder.exists():
        raise FileExistsError(f"Expected 'folder' not to exist. Received: {folder}")
    files = _files(path)
    sentinels, texts = standardize_missing(missing)
    if texts:
        raise ValueError(f"Expected numbers as 'missing' for Parquet. Received: {missing!r}")
    names = _chosen(pyarrow.parquet.ParquetFile(files[0]).schema_arrow, time, group, columns)
    beside = folder.with_name(f".{secrets.token_hex(8)}")
    beside.mkdir(parents=True)
    try:
        written = _Written(beside, names, time, group, np.dtype(dtype), sentinels)
        for file in files:
            for batch in pyarrow.parquet.ParquetFile(file).iter_batches(CHUNK, columns=names):
                written.add(batch.to_pandas())
        written.finish()
        os.replace(beside, folder)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    found = OnDisk(folder)
    if verbose:
        say(f"{shown(folder.name)}: {found.rows:,} rows of {', '.join(map(shown, found))}")
    return found


class _Written:
    """Files that grow batch by batch."""

    def __init__(
        self,
        folder: Path,
        names: list[str],
        time: str | None,
        group: str | None,
        dtype: np.dtype[Any],
        sentinels: list[float],
    ) -> None:
        self.folder, self.names, self.time, self.group = folder, names, time, group
        self.dtype, self.sentinels = dtype, sentinels
        self.rows = 0
        self.codes: dict[Any, int] = {}
        self.kinds: dict[str, str] = {}

    def add(self, frame: Any) -> None:
        import pandas

        for place, name in enumerate(self.names):
            column = frame[name]
            if name == self.group:
                local, found = pandas.factorize(column)
                if len(local) and local.min() < 0:
                    raise ValueError(f"Expected a group in every row. Received: none in {name!r}")
                names = (_group_name(each, name) for each in found)
                own = [self.codes.setdefault(each, len(self.codes)) for each in names]
                values: Any = np.array(own, np.int32)[local]
            elif name == self.time:
                values = time_values(column)
                if values.dtype.kind == "M":
                    values = values.astype("M8[ns]")
            else:
                values = numbers_of(column, name).astype(self.dtype)
                for number in self.sentinels:
                    values = np.where(values == self.dtype.type(number), np.nan, values)
                values = values.astype(self.dtype)
            self.kinds.setdefault(name, values.dtype.str)
            with open(self.folder / f"{place}.bin", "ab") as file:
                file.write(np.ascontiguousarray(values).view(np.uint8).data)
        self.rows += len(frame)

    def finish(self) -> None:
        columns = []
        for name in self.names:
            column: dict[str, Any] = {"name": name, "dtype": self.kinds.get(name, self.dtype.str)}
            if name == self.group:
                column["names"] = list(self.codes)
            columns.append(column)
        text = json.dumps({"rows": self.rows, "columns": columns}, indent=1)
        (self.folder / _ABOUT).write_text(text, "utf-8")


def _group_name(value: Any, column: str) -> str | int | float:
    """As JSON has it."""
    value = value.item() if hasattr(value, "item") else value
    if isinstance(value, Decimal) and value == value.to_integral_value():
        value = int(value)
    if not isinstance(value, (str, int, float)):
        raise ValueError(
            f"Expected the groups in {column!r} to be texts or numbers. Received: {value!r}"
        )
    return value


def _files(path: Any) -> list[Path]:
    if not isinstance(path, (str, PathLike)):
        return [Path(each) for each in path]
    found = Path(path)
    files = sorted(found.glob("*.parquet")) if found.is_dir() else [found]
    if not files:
        raise FileNotFoundError(f"Expected files of the name *.parquet in {found}. Received: none")
    return files


def _chosen(schema: Any, time: Any, group: Any, columns: Sequence[str] | None) -> list[str]:
    import pyarrow.types as types

    known = list(schema.names)
    if columns is None:
        of_numbers = (types.is_integer, types.is_floating, types.is_decimal)
        columns = [
            field.name
            for field in schema
            if field.name not in (time, group) and any(each(field.type) for each in of_numbers)
        ]
    names = [name for name in (group, time, *columns) if name is not None]
    for name in names:
        if name not in known:
            raise ValueError(f"Unknown column. Expected one of {known}. Received: {name!r}")
    return list(dict.fromkeys(names))
