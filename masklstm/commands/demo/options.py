"""The options of ``masklstm demo``, and what they are checked for."""

import argparse
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from masklstm._core.files import check_file
from masklstm.commands import table
from masklstm.commands.errors import CommandError

OUTPUT_FILES = ("forecast.png", "model.keras", "result.json")


@dataclass(frozen=True)
class Settings:
    """How to forecast. A step is the time from one row to the next."""

    horizon: int
    window: int
    epochs: int
    units: int
    seed: int
    seeds: int = 1
    remove: float = 0.0
    block: int = 1


@dataclass(frozen=True)
class Source:
    """What to forecast, and how to speak of it.

    Attributes:
        steps: What a number of rows is called.
        times: Of the rows, if they have any.
    """

    path: Path
    target: str
    unit: str = ""
    steps: str = "rows"
    times: NDArray[Any] | None = None


SHIPPED_DATA = Path(__file__).with_name("beijing_pm25.csv.gz")
SHIPPED_TARGET = "pm2.5"
SHIPPED_REMOVAL = 0.7


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the options. Their values are checked by ``read_settings`` and ``read_source``."""
    parser.description = (
        "Train a small LSTM on labels with gaps in three ways: with plain Keras, with labels "
        "filled by their mean, and with masked ones; with several seeds. Compare the errors, and "
        "save a picture, the model and the numbers. Without --csv: hourly PM2.5 in Beijing, 2010 "
        "to 2014, a day ahead; more of the training labels are removed, in blocks, as where a "
        "sensor fails."
    )
    data = parser.add_argument_group("data")
    data.add_argument(
        "--csv",
        metavar="FILE",
        help="your own data: text or Parquet, compressed or not, with a header; numeric columns "
        "are inputs; empty cells, NA, NaN, null, - and ? are missing",
    )
    data.add_argument(
        "--target",
        metavar="COLUMN",
        help=f"the column to forecast (needed with --csv; otherwise {SHIPPED_TARGET})",
    )
    data.add_argument(
        "--series",
        metavar="NAME",
        help="of several series in the file (--group) the one to forecast",
    )
    gaps = parser.add_argument_group("gaps")
    gaps.add_argument(
        "--remove",
        metavar="SHARE",
        default=None,
        help="share of the training part's labels to remove, from 0 to below 1 (default: "
        f"{SHIPPED_REMOVAL}; with --csv 0)",
    )
    gaps.add_argument(
        "--block",
        metavar="N",
        default="168",
        help="rows that are removed together (default: %(default)s)",
    )
    model = parser.add_argument_group("model")
    # Text, not type=int: read_settings then words every wrong value in the same way, in one line.
    for option, default, meaning in (
        ("--horizon", 24, "rows to forecast ahead"),
        ("--window", 48, "rows that a forecast is made from"),
        ("--epochs", 15, "passes over the training part"),
        ("--units", 32, "size of the LSTM"),
        ("--seeds", 5, "trainings of each way, each with a seed of its own"),
        ("--seed", 0, "the first seed: of weights, batches and removed labels"),
    ):
        model.add_argument(
            option, metavar="N", default=str(default), help=f"{meaning} (default: %(default)s)"
        )
    parser.add_argument(
        "--out",
        metavar="DIR",
        default="masklstm-demo",
        help=f"folder for {', '.join(OUTPUT_FILES)} (default: %(default)s)",
    )
    table.add_arguments(parser)


def read_settings(arguments: argparse.Namespace) -> Settings:
    """Checks the numbers."""
    return Settings(
        horizon=_whole_number("--horizon", arguments.horizon, 1, 1_000_000),
        window=_whole_number("--window", arguments.window, 1, 1_000_000),
        epochs=_whole_number("--epochs", arguments.epochs, 1, 1_000_000),
        units=_whole_number("--units", arguments.units, 1, 1024),
        seed=_whole_number("--seed", arguments.seed, 0, 2**32 - 1),  # the range NumPy accepts
        seeds=_whole_number("--seeds", arguments.seeds, 1, 21),
        remove=_share(arguments),
        block=_whole_number("--block", arguments.block, 1, 1_000_000),
    )


def read_source(arguments: argparse.Namespace) -> Source:
    """Picks the user's file or the shipped one."""
    if arguments.csv is not None:
        if arguments.target is None:
            raise CommandError(
                "No target column. Expected --target COLUMN with --csv. "
                f"Received: --csv {arguments.csv} alone"
            )
        return Source(Path(arguments.csv), arguments.target)
    return shipped_source(SHIPPED_TARGET if arguments.target is None else arguments.target)


def shipped_source(target: str = SHIPPED_TARGET) -> Source:
    """A column of the data that ship with the package."""
    unit = "µg/m³" if target == SHIPPED_TARGET else ""
    return Source(SHIPPED_DATA, target, unit, steps="hours")


def with_times(source: Source, columns: table.Table) -> Source:
    """The source with the times that were found in the file."""
    return replace(source, times=columns.times)


def make_output_folder(arguments: argparse.Namespace) -> Path:
    """Creates the output folder; a bad one, or one whose files cannot be written, is found before
    the training, not after it.
    """
    folder = Path(arguments.out)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
        for name in OUTPUT_FILES:
            check_file(folder / name)
    except OSError as error:
        raise CommandError(
            f"Invalid value for option --out. Expected a folder that can be written to. "
            f"Received: {folder} ({error.strerror or error})"
        ) from error
    return folder


def _share(arguments: argparse.Namespace) -> float:
    if arguments.remove is None:
        return 0.0 if arguments.csv is not None else SHIPPED_REMOVAL
    try:
        share = float(arguments.remove)
    except ValueError:
        share = -1.0
    if not 0 <= share < 1:
        raise CommandError(
            "Invalid value for option --remove. Expected a share from 0 to below 1. "
            f"Received: {arguments.remove}"
        )
    return share


def _whole_number(option: str, text: str, least: int, most: int) -> int:
    try:
        number = int(text)
    except ValueError:
        number = least - 1
    if not least <= number <= most:
        raise CommandError(
            f"Invalid value for option {option}. Expected a whole number from {least} to {most}. "
            f"Received: {text}"
        )
    return number
