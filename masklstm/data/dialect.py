"""How a text file writes a table: encoding, separator, decimal sign, lines that are no rows."""

import codecs
import csv
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np

from masklstm._core.terminal import listed

SEPARATORS = (",", ";", "\t", "|")
NAMES = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar", r"\s+": "blanks"}
# Compared in lower case, and without blanks around them.
MISSING_CELLS = ("", "-", "--", "---", ".", "?", "n/a", "na", "nan", "none", "null", "#n/a", "<na>")
_HEAD, _HEAD_BYTES = 200, 1_000_000
_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_WITH_POINT = re.compile(r"[-+]?\d*\.\d+(e[-+]?\d+)?", re.IGNORECASE)
_WITH_COMMA = re.compile(r"[-+]?\d*,\d+(e[-+]?\d+)?", re.IGNORECASE)
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}([ T]|$)")
_ANY_DATE = re.compile(r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}")
_GROUPED = re.compile(r"[-+]?\d{1,3}(\.\d{3})+,\d+")


class TableError(ValueError):
    """A file that is not read, with the line and the way out."""


@dataclass
class Dialect:
    """How to read a file.

    Attributes:
        sep, decimal, thousands, encoding: As pandas takes them.
        skipped: Lines before the header.
        header: The names of the columns.
        units: The cells of a row of units below the header; empty if there is none.
        dates: The columns that begin with dates in the order year, month, day.
        has_blanks: Whether cells begin with blanks.
        notes: What was guessed, in words.
    """

    sep: str
    decimal: str
    encoding: str
    thousands: str | None = None
    skipped: int = 0
    header: list[str] = field(default_factory=list)
    units: list[str] = field(default_factory=list)
    dates: list[str] = field(default_factory=list)
    has_blanks: bool = False
    notes: list[str] = field(default_factory=list)

    @property
    def first_line(self) -> int:
        """The number of the line that holds the first row."""
        return self.skipped + 2 + bool(self.units)


def as_utf8(content: bytes, encoding: str | None, name: str) -> tuple[bytes, str]:
    """The text in UTF-8 without empty lines at its end, and the encoding it had: as given, as its
    first bytes say, or UTF-8.
    """
    guess = next((known for mark, known in _BYTE_ORDER_MARKS if content.startswith(mark)), "utf-8")
    encoding = encoding or guess
    is_utf8 = encoding.lower() in ("utf-8", "utf8")
    try:
        text = "" if is_utf8 and content.isascii() else content.decode(encoding)
    except LookupError:
        raise TableError(
            "Unknown encoding. Expected a name such as 'utf-8', 'latin-1' or 'utf-16'. "
            f"Received: encoding={encoding!r}"
        ) from None
    except UnicodeError as error:
        start = getattr(error, "start", 0)
        line = content.count(b"\n", 0, start) + 1
        raise TableError(
            f"{name} is no text in {encoding}. Expected its encoding as encoding='latin-1', "
            f"'cp1252' or whatever wrote it. Received: bytes {content[start : start + 4]!r} in "
            f"line {line:,}"
        ) from error
    if not is_utf8:
        content = text.encode()
    if content.endswith((b"\n\n", b"\n\r\n")):
        content = content.rstrip(b"\r\n")
    return content, encoding


def guess_dialect(
    content: bytes,
    name: str,
    *,
    encoding: str,
    sep: str | None = None,
    decimal: str | None = None,
    comment: str | None = None,
) -> Dialect:
    """Looks at the first lines of a text; what is given is not guessed."""
    _check_separator(sep)
    lines = content[:_HEAD_BYTES].decode(errors="ignore").split("\n", _HEAD)[:_HEAD]
    lines = [line.rstrip("\r") for line in lines]
    mark = comment or "#"
    skipped = 0
    while skipped < len(lines) and (not lines[skipped].strip() or lines[skipped].startswith(mark)):
        skipped += 1
    rest = [line for line in lines[skipped:] if line.strip()]
    if not rest:
        raise TableError(f"{name} holds no table. Expected a header line. Received: none")
    found = Dialect(sep or _guess_separator(rest), decimal or ".", encoding, skipped=skipped)
    if skipped:
        found.notes.append(f"{skipped} line{'s' * (skipped > 1)} before the header left out")
    if found.sep != ",":
        found.notes.append(f"cells separated by {NAMES.get(found.sep, repr(found.sep))}")
    if not encoding.lower().startswith(("utf-8", "utf8")):
        found.notes.append(f"encoded in {encoding}")
    cells = [_cells(line, found.sep) for line in rest]
    found.header = [cell.strip() for cell in cells[0]]
    _check_header(found, name)
    if decimal is None:
        _guess_decimal(found, cells[1:])
    if _has_units(found, cells[1:]):
        found.units = [cell.strip() for cell in cells[1]]
        found.notes.append(f"line {skipped + 2} left out, as units: {', '.join(found.units)}")
    found.has_blanks = any(cell.startswith(" ") for row in cells for cell in row)
    rows = cells[1 + bool(found.units) :]
    found.dates = [
        name
        for place, name in enumerate(found.header)
        if rows and all(len(row) > place and _DATE.match(row[place].strip()) for row in rows)
    ]
    return found


def as_number(cell: str, dialect: Dialect) -> float | None:
    """The number that a cell holds, NaN for what is missing; None for other text."""
    text = cell.strip()
    if text.lower() in MISSING_CELLS:
        return float("nan")
    if dialect.thousands:
        text = text.replace(dialect.thousands, "")
    text = text.replace(dialect.decimal, ".") if dialect.decimal != "." else text
    try:
        return None if "_" in text else float(text)  # float() takes 2014_01 for 201401
    except ValueError:
        return None


def missing_cells(more: Iterable[str] = ()) -> list[str]:
    """The texts that mean "missing", as pandas compares them."""
    forms = (form(cell) for cell in MISSING_CELLS for form in (str, str.upper, str.title))
    return list(dict.fromkeys([*forms, "NaN", "<NA>", *more]))


def find_short_line(content: bytes, dialect: Dialect) -> tuple[int, int] | None:
    """The first line whose number of cells is not the header's, and that number; else None."""
    expected = len(dialect.header)
    sep = dialect.sep.encode()
    if b'"' not in content and len(sep) == 1 and expected > 1:
        # One pass over all of it, without a look at any line.
        before = content.split(b"\n", dialect.skipped)[:-1]
        as_numbers = np.frombuffer(content, np.uint8)  # which count faster than bytes do
        lines, separators = (np.count_nonzero(as_numbers == ord(x)) for x in (b"\n", sep))
        lines += (not content.endswith(b"\n")) - len(before)
        separators -= sum(line.count(sep) for line in before)
        if separators == lines * (expected - 1):
            return None
    for line, cells in _lines_of_cells(content.removesuffix(b"\n").decode(), dialect.sep):
        # In a file of one column an empty line is an empty cell.
        count = len(cells) or (1 if expected == 1 else 0)
        if line > dialect.skipped and count != expected:
            return line, count
    return None


def _lines_of_cells(text: str, sep: str) -> Iterator[tuple[int, list[str]]]:
    if len(sep) > 1:
        for place, line in enumerate(text.split("\n")):
            yield place + 1, re.split(sep, line.strip())
        return
    reader = csv.reader(text.split("\n"), delimiter=sep)
    try:
        for cells in reader:
            yield reader.line_num, cells
    except csv.Error as error:
        raise TableError(f"No table: {error} in line {reader.line_num:,}") from error


def _cells(line: str, sep: str) -> list[str]:
    if len(sep) > 1:  # a regular expression
        return re.split(sep, line.strip())
    if '"' not in line:  # the csv module refuses long cells: wide lines with another separator
        return line.split(sep)
    try:
        return next(csv.reader([line], delimiter=sep))
    except csv.Error:
        return line.split(sep)


def _check_separator(sep: str | None) -> None:
    if sep is None or (len(sep) < 2 and sep not in ("\n", "\r")):
        return
    try:
        is_usable = len(sep) > 1 and re.compile(sep).groups == 0  # a group would become a cell
    except re.error:
        is_usable = False
    if not is_usable:
        raise TableError(
            "Invalid separator. Expected a sign such as ';', or a regular expression without "
            f"groups, such as '[;,]' or '(?:;|,)'. Received: sep={sep!r}"
        )


def _guess_separator(lines: list[str]) -> str:
    """The one that parts the header and most lines into the same number of cells, the most cells
    of all.
    """
    best, most = ",", 1
    for sep in SEPARATORS:
        counts = [len(_cells(line, sep)) for line in lines]
        count, often = Counter(counts).most_common(1)[0]
        if count > most and often > 0.8 * len(counts) and counts[0] == count:
            best, most = sep, count
    if most == 1 and len({len(line.split()) for line in lines}) == 1 and len(lines[0].split()) > 1:
        return r"\s+"
    return best


def _check_header(found: Dialect, name: str) -> None:
    twice = sorted(name for name, count in Counter(found.header).items() if count > 1)
    line = found.skipped + 1
    if twice:
        raise TableError(
            f"{name} has no usable header. Expected different column names. Received more than "
            f"once in line {line}: {listed(map(repr, twice))}"
        )
    if all(as_number(cell, found) is not None for cell in found.header):
        raise TableError(
            f"{name} has no header. Expected the names of the columns in its first line. "
            f"Received: {', '.join(found.header[:5])} in line {line}"
        )


def _guess_decimal(found: Dialect, rows: list[list[str]]) -> None:
    """A comma, if numbers have one and none has a point."""
    cells = [cell.strip() for row in rows for cell in row]
    grouped = any(map(_GROUPED.fullmatch, cells))
    has_comma, has_point = (any(map(form.fullmatch, cells)) for form in (_WITH_COMMA, _WITH_POINT))
    if grouped or (has_comma and not has_point):
        found.decimal = ","
        found.notes.append("decimal comma")
        if grouped:
            found.thousands = "."
            found.notes.append("a point between thousands")


def _is_alike(cell: str, below: list[str]) -> bool:
    """Whether a cell is such a text as those below it: one of them, or a date, too."""
    text = cell.strip()
    return text in {other.strip() for other in below} or (
        _ANY_DATE.match(text) is not None and any(_ANY_DATE.match(other.strip()) for other in below)
    )


def _has_units(found: Dialect, rows: list[list[str]]) -> bool:
    """Whether the first row holds text where all others hold numbers."""
    if len(rows) < 3 or len(rows[0]) != len(found.header):
        return False
    differs = False
    for place, cell in enumerate(rows[0]):
        below = [row[place] for row in rows[1:] if len(row) > place]
        numbers = [as_number(other, found) for other in below]
        is_numeric = all(number is not None for number in numbers) and any(
            number == number for number in numbers
        )
        is_number = as_number(cell, found) is not None
        if is_numeric and not is_number:
            differs = True
        elif cell.strip() and (is_numeric or _is_alike(cell, below)):
            return False  # a row like the others
    return differs
