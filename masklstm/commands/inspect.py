"""The command `masklstm inspect`."""

import argparse
from pathlib import Path

import numpy as np

from masklstm._core.terminal import complain, listed, say, shown
from masklstm.commands.demo.options import SHIPPED_DATA, SHIPPED_TARGET
from masklstm.commands.errors import CommandError
from masklstm.commands.table import read_table


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Count the missing labels and the gaps of a file's columns, and draw them. "
        "Without --csv: hourly PM2.5 in Beijing, 2010 to 2014."
    )
    parser.add_argument(
        "--csv",
        metavar="FILE",
        help="your own data, .csv or .csv.gz: comma-separated with a header, rows in order; empty, "
        "NA, NaN, null, - and ? are missing",
    )
    parser.add_argument(
        "--target",
        metavar="COLUMN",
        help=f"the column to look at (default: all numeric ones; without --csv {SHIPPED_TARGET})",
    )
    parser.add_argument(
        "--missing",
        metavar="NUMBER",
        default="nan",
        help="a number that means that a value is missing, as in --missing=-999",
    )
    parser.add_argument("--out", metavar="PICTURE", help="save a picture, as gaps.png or gaps.svg")


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

    try:
        missing = float(arguments.missing)
    except ValueError:
        raise CommandError(
            f"Invalid value for option --missing. Expected a number. Received: {arguments.missing}"
        ) from None
    picture = None if arguments.out is None else _check_picture(arguments.out)
    path, target = arguments.csv, arguments.target
    if path is None:
        path, target = SHIPPED_DATA, target or SHIPPED_TARGET
    table = read_table(Path(path))
    columns = table.numbers if target is None else {target: table.target(target)}
    left_out = listed(f"{name} ({why})" for name, why in table.not_numeric.items())
    if not any(len(values) for values in columns.values()):
        received = f"columns that are not numeric: {left_out}" if left_out else "none"
        raise CommandError(f"Expected rows of numbers in {path}. Received: {received}")
    found = masklstm.inspect(np.stack(list(columns.values()), axis=1), missing)
    assert isinstance(found, Inspection)
    found.features = list(columns)
    say(f"{shown(Path(path).name)}: {listed(columns)}")
    if target is None and left_out:
        say(f"left out, as not numeric: {left_out}")
    say(str(found))
    if picture is not None:
        try:
            found.plot(picture)
        except (OSError, ValueError) as error:
            raise _no_picture(arguments.out, error) from error
        say(f"saved {shown(picture)}")


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
