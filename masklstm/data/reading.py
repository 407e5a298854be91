"""`read_table`: a file as a pandas DataFrame, with all that was guessed said."""

import bz2
import gzip
import io
import lzma
import warnings
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from masklstm._core.optional import needed
from masklstm._core.sentinels import sentinel_text, suspected_sentinels
from masklstm._core.terminal import listed, say, shown
from masklstm.data.checks import check_times
from masklstm.data.dates import guess_time, read_times
from masklstm.data.dialect import (
    Dialect,
    TableError,
    as_number,
    as_utf8,
    find_short_line,
    guess_dialect,
    missing_cells,
)

_COMPRESSIONS = (
    (b"\x1f\x8b", gzip.decompress),  # RFC 1952
    (b"BZh", bz2.decompress),
    (b"\xfd7zXZ\x00", lzma.decompress),
)
_PARQUET, _ZIP = b"PAR1", b"PK\x03\x04"


@dataclass
class Reading:
    """A table, and what is to be said of it.

    Attributes:
        frame: The table.
        time, group: The names of these columns, given or guessed; None if there are none.
        notes: What was found and guessed.
        cautions: What may be wrong, and the option that mends it.
        text_columns: Columns that hold no numbers, with a cell that shows why.
        first_line: The number of the line that holds the first row.
        likely_group: A column that seems to tell series apart, where none was given.
    """

    frame: Any
    time: Any = None
    group: Any = None
    notes: list[str] = field(default_factory=list)
    cautions: list[str] = field(default_factory=list)
    text_columns: dict[str, str] = field(default_factory=dict)
    first_line: int = 1
    likely_group: Any = None


def read_table(
    path: str | PathLike[str],
    *,
    time: str | Sequence[str] | None = None,
    group: str | None = None,
    missing: Any = (),
    columns: Sequence[str] | None = None,
    sep: str | None = None,
    decimal: str | None = None,
    encoding: str | None = None,
    comment: str | None = None,
    dayfirst: bool | None = None,
    verbose: bool = True,
) -> Any:
    r"""A CSV or Parquet file as a pandas DataFrame: NaN for what is missing, times as times.

    pandas reads; what it would guess in silence is guessed here and said: the separator, a decimal
    comma, lines of comments before the header, a row of units below it, which column holds the
    times and in what order day and month stand. What does not fit is refused, with its line.

    Args:
        path: A file, compressed by gzip, bzip2 or xz or not; a header with names, a row in each
            line.
        time: The column with the times; several such as `["year", "month", "day", "hour"]` make
            a new one, `"time"`. By default the first whose text looks like dates.
        group: The column that tells series apart. It stays text, even where it looks like numbers.
        missing: What means "missing" in addition to empty cells, NA, NaN, null, none, `-`, `?` and
            `.`: a number or text, or a list of them. Numbers are compared as numbers, in all
            columns but those of times and groups.
        columns: The columns to keep, besides time and group; by default all.
        sep: Between cells. By default comma, semicolon, tab, bar or blanks, whichever fits.
        decimal: The decimal sign. By default a comma where numbers have one and none has a point.
        encoding: By default UTF-8, or what the file's first bytes say.
        comment: What lines of comments before the header begin with; `#` by default.
        dayfirst: Whether dates such as 1/2/2014 begin with the day.
        verbose: Print what was found.

    Returns:
        A `pandas.DataFrame`, rows in the file's order. What may be wrong is a warning that names
        the way out: rows out of order, doubled times, several series in one file, columns of text
        with numbers in them, numbers that look like a forgotten sentinel.

    Raises:
        ImportError: Where pandas is not installed.
        OSError: For a file that cannot be read.
        ValueError: For one that is no table, or could be read in two ways.

    Example:

    >>> import masklstm, pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "flow.csv"
    >>> _ = path.write_text("Tag;Abfluss\n2020-01-01;1,5\n2020-01-02;-999\n2020-01-04;2,5\n")
    >>> table = masklstm.data.read_table(path, missing=-999)
    flow.csv: 3 rows of Tag, Abfluss
      cells separated by semicolon; decimal comma
      times 'Tag': 2020-01-01 to 2020-01-04, every 1 day
      1 step without a row: missing
    >>> table["Abfluss"].tolist()
    [1.5, nan, 2.5]
    """
    reading = read(
        path,
        time=time,
        group=group,
        missing=missing,
        columns=columns,
        sep=sep,
        decimal=decimal,
        encoding=encoding,
        comment=comment,
        dayfirst=dayfirst,
    )
    if verbose:
        say("\n".join(description(reading, Path(path).name)))
    for caution in reading.cautions:
        warnings.warn(f"{shown(Path(path).name)}: {caution}", stacklevel=2)
    return reading.frame


def description(reading: Reading, name: str) -> list[str]:
    """Lines that say what was read."""
    frame = reading.frame
    lines = [f"{shown(name)}: {len(frame):,} rows of {listed(frame.columns)}"]
    return [*lines, *(f"  {shown(note)}" for note in reading.notes)]


def read(path: str | PathLike[str], **options: Any) -> Reading:
    """As `read_table`, which says what it takes; nothing is printed."""
    import_pandas()
    path = Path(path)
    time, group = options.pop("time"), options.pop("group")
    missing, columns = standardize_missing(options.pop("missing")), options.pop("columns")
    dayfirst = options.pop("dayfirst")
    content = _content(path)
    if content.startswith(_PARQUET):
        frame, dialect = _read_parquet(content), None
    else:
        frame, dialect = _read_text(content, path.name, group, missing[1], **options)
    found = Reading(frame, notes=[] if dialect is None else _together(dialect.notes))
    found.first_line = first_line = 1 if dialect is None else dialect.first_line
    for name in [*([] if group is None else [group]), *(columns or ()), *_listed_names(time)]:
        if name not in frame.columns:
            raise TableError(
                f"Unknown column. Expected one of: {listed(frame.columns)}. Received: {name!r}"
            )
    guessed = guess_time(frame) if time is None else time
    if guessed is not None:
        times, notes = read_times(frame, guessed, first_line, dayfirst)
        found.time = "time" if isinstance(guessed, (list, tuple)) else guessed
        frame[found.time] = times
        found.notes += notes
    found.group = group
    kept = [name for name in (found.group, found.time) if name is not None]
    if columns is not None:
        frame = frame[list(dict.fromkeys([*kept, *columns]))]
    others = [name for name in frame.columns if name not in kept]
    found.frame = frame = _without_sentinels(_without_decimals(frame, others), others, missing[0])
    _look_at_text(found, others, first_line, dialect)
    _look_for_sentinels(found, others)
    if found.time is not None:
        findings = check_times(frame, found.time, group)
        found.notes += findings.notes
        found.cautions += findings.cautions
        found.likely_group = findings.group
    return found


def import_pandas() -> None:
    """Finds out before the work whether it is there."""
    with needed("Reading a table", "pandas", "data"):
        import pandas  # noqa: F401  # it is only tried


def _content(path: Path) -> bytes:
    content = path.read_bytes()
    for magic, decompress in _COMPRESSIONS:
        if content.startswith(magic):
            try:
                return decompress(content)
            except (EOFError, OSError, zlib.error, lzma.LZMAError) as error:
                raise TableError(f"{path.name} is a damaged compressed file: {error}") from error
    if content.startswith(_ZIP):
        raise TableError(
            f"{path.name} is a zip archive or an Excel file. Expected text or Parquet. Unpack it, "
            "or read it by pandas.read_excel: masklstm.data.windows takes any DataFrame"
        )
    return content


def _read_parquet(content: bytes) -> Any:
    import pandas

    frame = pandas.read_parquet(io.BytesIO(content))
    named = [name for name in frame.index.names if name is not None]
    return frame.reset_index(named) if named else frame


def _read_text(
    content: bytes, name: str, group: Any, missing: list[str], **options: Any
) -> tuple[Any, Dialect]:
    import pandas

    content, encoding = as_utf8(content, options.pop("encoding"), name)
    dialect = guess_dialect(content, name, encoding=encoding, **options)
    short = find_short_line(content, dialect)
    if short is not None:
        line, count = short
        raise TableError(
            f"{name} is no table. Expected {len(dialect.header)} cells in every line, as in its "
            f"header, separated by {dialect.sep!r} (another one: sep=). "
            f"Received: {count} in line {line:,}"
        )
    marks = missing_cells(missing)
    if dialect.first_line > 2:
        before = content.split(b"\n", dialect.first_line - 1)
        content = b"\n".join([before[dialect.skipped], *before[dialect.first_line - 1 :]])
    options = {
        "sep": dialect.sep,
        "engine": "python" if _needs_python(dialect.sep) else "c",
        "decimal": dialect.decimal,
        "thousands": dialect.thousands,
        "names": dialect.header,
        "header": 0,  # read, and replaced by the names: a row that is skipped takes longer
        "skipinitialspace": dialect.has_blanks,
        "skip_blank_lines": False,
        "keep_default_na": False,
        "na_values": {key: [""] if key == group else marks for key in dialect.header},
        # Where a cell is no date, the column stays text.
        "parse_dates": [key for key in dialect.dates if key != group],
        "date_format": "ISO8601",
        "dtype": {group: str} if group in dialect.header else None,
        "index_col": False,
    }
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pandas.errors.DtypeWarning)
            frame = pandas.read_csv(io.BytesIO(content), **options)
    except pandas.errors.DtypeWarning:  # text and numbers in parts of one column: all at once
        frame = pandas.read_csv(io.BytesIO(content), **options, low_memory=False)
    except pandas.errors.EmptyDataError:
        frame = pandas.DataFrame(columns=dialect.header)
    except (pandas.errors.ParserError, ValueError) as error:
        raise TableError(f"{name} is no table: {error}") from error
    return frame, dialect


def _needs_python(sep: str) -> bool:
    """Regular expressions but for white space, and other letters than ASCII's: pandas would take
    that engine by itself, and warn of it.
    """
    return len(sep.encode()) > 1 and sep != r"\s+"


def _together(notes: list[str]) -> list[str]:
    return ["; ".join(notes)] if notes else []


def _listed_names(time: Any) -> list[Any]:
    return [] if time is None else list(time) if isinstance(time, (list, tuple)) else [time]


def standardize_missing(missing: Any) -> tuple[list[float], list[str]]:
    """Numbers and texts."""
    marks = [missing] if isinstance(missing, (str, int, float, np.number)) else list(missing or ())
    texts = [mark for mark in marks if isinstance(mark, str)]
    try:
        return [float(mark) for mark in marks if not isinstance(mark, str)], texts
    except (TypeError, ValueError):
        raise ValueError(
            "Invalid value for argument 'missing'. Expected numbers and texts. "
            f"Received: missing={missing!r}"
        ) from None


def _without_decimals(frame: Any, names: list[Any]) -> Any:
    """Numbers with a fixed number of digits, which a Parquet file may hold, as float64."""
    from pandas.api.types import infer_dtype

    decimals = [
        name
        for name in names
        if frame[name].dtype == "object" and infer_dtype(frame[name]) == "decimal"
    ]
    return frame.astype(dict.fromkeys(decimals, "float64")) if decimals else frame


def _without_sentinels(frame: Any, names: list[Any], sentinels: list[float]) -> Any:
    if not sentinels:
        return frame
    changed = {}
    for name in names:
        column = frame[name]
        if column.dtype.kind in "iuf":
            is_missing = column.isin(sentinels)
            if is_missing.any():
                changed[name] = column.astype("float64").mask(is_missing)
    return frame.assign(**changed) if changed else frame


def _look_for_sentinels(found: Reading, names: list[Any]) -> None:
    for name in names:
        column = found.frame[name]
        if column.dtype.kind in "iuf":
            for number, count in suspected_sentinels(column.to_numpy()).items():
                text = sentinel_text(number, np.float64)
                found.cautions.append(
                    f"Column {name!r} holds {text} {count:,} times. If that means 'missing': "
                    f"missing={text}"
                )


def _look_at_text(
    found: Reading, names: list[Any], first_line: int, dialect: Dialect | None
) -> None:
    """Columns of text: a cell that is no number, and a warning where most are."""
    for name in names:
        column = found.frame[name]
        if column.dtype.kind in "biufMm" or not hasattr(column, "str"):
            continue
        cells = column.dropna()
        sample = cells.head(1000)
        form = dialect or Dialect(",", ".", "")
        is_number = [as_number(str(cell), form) is not None for cell in sample]
        each = zip(cells.index, cells, strict=True)
        odd = next((row for row, cell in each if as_number(str(cell), form) is None), None)
        if odd is None:
            continue
        place = f"{str(column[odd])!r} in line {first_line + int(odd):,}"
        found.text_columns[name] = place
        if np.mean(is_number) > 0.5:
            found.cautions.append(
                f"Column {name!r} is text, not numbers, because of {place}. If that means "
                f"'missing': missing={str(column[odd])!r}"
            )
