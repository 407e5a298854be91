"""The files that commands read: the options, and what is said of a file."""

import argparse
import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from masklstm._core.terminal import listed, say, warn
from masklstm.commands.errors import CommandError
from masklstm.data.reading import Reading, description, read
from masklstm.data.regular import on_steps

Floats = NDArray[np.float64]

_LARGEST = float(np.finfo(np.float32).max)
# Beyond these it takes long to find the nearest name.
_MOST_COMPARED, _LONGEST_COMPARED = 10_000, 200
# What Python calls an argument is an option here.
_ARGUMENT = re.compile(
    r"\b(time|group|missing|sep|decimal|encoding|comment|dayfirst|duplicates|step)="
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares how a file is to be read."""
    group = parser.add_argument_group("reading the file (what is not given is guessed, and said)")
    for name, metavar, text in (
        ("--time", "COLUMN", "the column with the times; several separated by commas"),
        ("--group", "COLUMN", "the column that tells series apart, such as a station's"),
        ("--sep", "TEXT", "what separates cells, such as ';' or a tab"),
        ("--decimal", "SIGN", "the decimal sign, such as ','"),
        ("--encoding", "NAME", "such as latin-1"),
        ("--dayfirst", "YES", "whether dates such as 1/2/2014 begin with the day: True or False"),
        ("--step", "TIME", "from one row to the next, such as 1h"),
    ):
        group.add_argument(name, metavar=metavar, help=text)
    group.add_argument(
        "--duplicates",
        choices=("first", "last", "mean"),
        help="which of the rows with one time to take",
    )
    group.add_argument(
        "--missing",
        metavar="VALUE",
        action="append",
        default=[],
        help="what means that a value is missing, besides empty cells, NA and the like, as in "
        "--missing=-999; may be given several times",
    )


def read_file(path: Path, arguments: argparse.Namespace) -> Reading:
    """Reads a file as the options say; says what was found on the way."""
    time = arguments.time
    if time is not None and "," in time:
        time = [name.strip() for name in time.split(",")]
    sep = {"tab": "\t", "\\t": "\t"}.get(arguments.sep, arguments.sep)
    try:
        reading = read(
            path,
            time=time,
            group=arguments.group,
            missing=[_number_or_text(value) for value in arguments.missing],
            columns=None,
            sep=sep,
            decimal=arguments.decimal,
            encoding=arguments.encoding,
            comment=None,
            dayfirst=_yes_or_no(arguments.dayfirst),
        )
    except OSError as error:
        raise CommandError(
            f"Cannot read the data. Expected a CSV file. Received: {path} ({error.strerror})"
        ) from error
    except ValueError as error:
        raise CommandError(as_options(str(error))) from error
    return reading


def describe(reading: Reading, path: Path) -> None:
    """Says what was found in a file, and warns of what may be wrong."""
    say("\n".join(description(reading, path.name)))
    for caution in reading.cautions:
        warn(as_options(caution))


class IrregularError(CommandError):
    """Times that fit no regular steps, or are doubled."""


@dataclass(frozen=True)
class Table:
    """The columns of a file: ``numbers`` by name, and for every other one a cell that shows why.

    Where rows have times they are on regular steps, NaN where a step has no row, and ``times`` are
    those of the steps.
    """

    numbers: dict[str, Floats]
    not_numeric: dict[str, str]
    times: NDArray[Any] | None = None
    step: str = "row"

    def target(self, name: str) -> Floats:
        """The column to forecast."""
        if name in self.numbers:
            return self.numbers[name]
        if name in self.not_numeric:
            raise CommandError(
                f"Target column {name!r} is not numeric. Expected finite numbers within float32's "
                f"range, or missing cells. Received: {self.not_numeric[name]}"
            )
        columns = [*self.numbers, *self.not_numeric]
        raise CommandError(
            f"Unknown target column.{_suggestion(name, columns)} "
            f"Expected one of: {listed(columns)}. Received: --target {name}"
        )


def read_table(path: Path, arguments: argparse.Namespace | None = None) -> Table:
    """The numbers of a file of one series."""
    arguments = arguments or no_options()
    return one_series(read_file(path, arguments), arguments)


def one_series(reading: Reading, arguments: argparse.Namespace) -> Table:
    """The numbers of one series, to train on: what is doubtful is refused."""
    frame, group, chosen = reading.frame, reading.group, getattr(arguments, "series", None)
    if group is None:
        if reading.likely_group is not None and not arguments.duplicates:
            names = list(map(str, frame[reading.likely_group].unique()))
            raise CommandError(
                f"Expected one series. Received: several, told apart by --group="
                f"{reading.likely_group!r}; take it, and --series as one of: {listed(names)}"
            )
        if chosen is not None:
            raise CommandError(
                "Expected --group COLUMN with --series, the column that tells series apart. "
                f"Received: --series {chosen} alone"
            )
        return to_table(reading, arguments)
    names = list(map(str, frame[group].unique()))
    if len(names) > 1 and chosen not in names:
        raise CommandError(
            f"Expected one series of {group!r} by --series, as one of: {listed(names)}. "
            f"Received: {'none' if chosen is None else chosen}"
        )
    if len(names) > 1:
        frame = frame[frame[group].astype(str) == chosen].reset_index(drop=True)
    return to_table(replace(reading, frame=frame, group=None), arguments, without=(group,))


def to_table(
    reading: Reading,
    arguments: argparse.Namespace,
    targets: Sequence[str] = (),
    without: Sequence[str] = (),
) -> Table:
    """The numbers of a file that was read.

    Args:
        targets: Columns that have to be there and numeric; of others that hold infinite or too
            large numbers it is said why they are left out.
    """
    frame, not_numeric = reading.frame, dict(reading.text_columns)
    columns = []
    for name in frame.columns:
        if name in (reading.time, reading.group, *without) or name in not_numeric:
            continue
        values = frame[name]
        if values.dtype.kind not in "biuf":
            not_numeric[name] = "no number in any row"
            if values.isna().all():  # a column without any value has no type
                del not_numeric[name]
                columns.append(name)
            continue
        # float32 is what the model computes in: others would become infinite there.
        too_large = np.flatnonzero(np.abs(values.to_numpy(np.float64)) > _LARGEST)
        if too_large.size:
            line = reading.first_line + int(too_large[0])
            not_numeric[name] = f"{values.iloc[too_large[0]]} in line {line:,}"
        else:
            columns.append(name)
    known = Table(dict.fromkeys(map(str, columns), np.empty(0)), not_numeric)
    for name in targets:
        known.target(name)
    columns = [name for name in columns if not targets or reading.group is None or name in targets]
    if not columns:
        return Table({}, not_numeric)
    try:
        regular = on_steps(
            frame.assign(**{name: frame[name].astype("float64") for name in columns}),
            columns,
            reading.time,
            reading.group,
            arguments.duplicates or "refuse",
            arguments.step,
        )
    except ValueError as error:
        raise IrregularError(as_options(str(error))) from error
    numbers = dict(zip(regular.names, regular.values.T, strict=True))
    return Table(numbers, not_numeric, regular.times, regular.step)


def no_options(**given: Any) -> argparse.Namespace:
    """The options of a file where nobody gave any."""
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return argparse.Namespace(**{**vars(parser.parse_args([])), **given})


def as_options(text: str) -> str:
    """A text of the Python interface, for the command line."""
    return _ARGUMENT.sub(lambda match: f"--{match[1]}=", text)


def _number_or_text(value: str) -> float | str:
    try:
        return float(value)
    except ValueError:
        return value


def _yes_or_no(value: str | None) -> bool | None:
    if value is None:
        return None
    if value.lower() not in ("true", "false", "yes", "no"):
        raise CommandError(
            f"Invalid value for option --dayfirst. Expected True or False. Received: {value}"
        )
    return value.lower() in ("true", "yes")


def _suggestion(name: str, columns: Sequence[str]) -> str:
    if len(columns) > _MOST_COMPARED or len(name) > _LONGEST_COMPARED:
        columns = [column for column in columns if column.lower() == name.lower()]
    by_lower_case = {column.lower(): column for column in columns}
    nearest = difflib.get_close_matches(name.lower(), by_lower_case, n=1)
    return f" Did you mean {by_lower_case[nearest[0]]!r}?" if nearest else ""
