"""The command `masklstm inspect`."""

import argparse
from pathlib import Path

import numpy as np

from masklstm._core.terminal import complain, listed, say, shown, warn
from masklstm.commands import table
from masklstm.commands.demo.options import SHIPPED_DATA, SHIPPED_TARGET
from masklstm.commands.errors import CommandError
from masklstm.data.reading import Reading


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Count the missing labels and the gaps of a file's columns, and draw them. "
        "Without --csv: hourly PM2.5 in Beijing, 2010 to 2014."
    )
    parser.add_argument(
        "--csv",
        metavar="FILE",
        help="your own data: text or Parquet, compressed or not, with a header; empty cells, NA, "
        "NaN, null, - and ? are missing",
    )
    parser.add_argument(
        "--target",
        metavar="COLUMN",
        action="append",
        help="a column to look at; may be given several times (default: all numeric ones; without "
        f"--csv {SHIPPED_TARGET})",
    )
    parser.add_argument("--out", metavar="PICTURE", help="save a picture, as gaps.png or gaps.svg")
    table.add_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Runs the command; the exit status is 2 for what the user can put right."""
    try:
        _run(arguments)
    except (CommandError, ImportError) as error:
        return complain("inspect", error)
    return 0


def _run(arguments: argparse.Namespace) -> None:
    import masklstm
    from masklstm.inspection.numbers import Inspection

    picture = None if arguments.out is None else _check_picture(arguments.out)
    path, targets = arguments.csv, arguments.target or []
    if path is None:
        path, targets = SHIPPED_DATA, targets or [SHIPPED_TARGET]
    path = Path(path)
    reading = table.read_file(path, arguments)
    table.describe(reading, path)
    if reading.group is None and reading.likely_group is not None:
        reading.group = reading.likely_group
        say(f"  taken as the group: {shown(reading.group)}")
    columns = _columns(reading, arguments, targets)
    left_out = listed(f"{name} ({why})" for name, why in columns.not_numeric.items())
    if not any(len(values) for values in columns.numbers.values()):
        received = f"columns that are not numeric: {left_out}" if left_out else "none"
        raise CommandError(f"Expected rows of numbers in {path}. Received: {received}")
    found = masklstm.inspect(np.stack(list(columns.numbers.values()), axis=1), times=columns.times)
    assert isinstance(found, Inspection)
    found.features = list(columns.numbers)
    if not targets and left_out:
        say(f"  left out, as not numeric: {left_out}")
    say("")
    if columns.step != "row":
        say(f"a step is {columns.step}")
    say(str(found))
    if picture is not None:
        try:
            found.plot(picture)
        except (OSError, ValueError) as error:
            raise _no_picture(arguments.out, error) from error
        say(f"saved {shown(picture)}")


def _columns(reading: Reading, arguments: argparse.Namespace, targets: list[str]) -> table.Table:
    """The columns to look at, on the steps of their times; by rows where these fit no steps."""
    arguments.duplicates = arguments.duplicates or "first"
    try:
        found = table.to_table(reading, arguments, targets)
    except table.IrregularError as error:
        is_known = str(error) in map(table.as_options, reading.cautions)
        warn("counted by rows, not by steps of time" + ("" if is_known else f": {error}"))
        reading.time = reading.group = None
        found = table.to_table(reading, arguments, targets)
    if not targets:
        return found
    # Of several series each has its own column of a name.
    chosen = {
        name: values
        for name, values in found.numbers.items()
        if reading.group is not None or name in targets
    }
    return table.Table(chosen, found.not_numeric, found.times, found.step)


def _check_picture(out: str) -> Path:
    """The file that will be written; what is wrong with it is found before anything is read."""
    from masklstm.inspection.picture import check_path

    try:
        return Path(check_path(out))
    except (OSError, ValueError) as error:
        raise _no_picture(out, error) from error


def _no_picture(out: str, error: Exception) -> CommandError:
    return CommandError(
        "Cannot save the picture. Expected --out with a name such as gaps.png in a folder "
        f"that exists. Received: {out} ({error})"
    )
