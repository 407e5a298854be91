"""The options of ``masklstm demo``, and what they are checked for."""

import argparse
import tempfile
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from masklstm._core.files import check_file
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


@dataclass(frozen=True)
class Source:
    """What to forecast, and how to speak of it."""

    path: Path
    target: str
    unit: str = ""
    steps: str = "rows"
    first_row: datetime | None = None


SHIPPED_DATA = Path(__file__).with_name("beijing_pm25.csv.gz")
SHIPPED_TARGET = "pm2.5"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the options. Their values are checked by ``read_settings`` and ``read_source``."""
    parser.description = (
        "Train a small LSTM on labels with gaps, compare it with the same model trained on "
        "mean-filled labels and with persistence, and save a picture, the model and the numbers. "
        "Without --csv: hourly PM2.5 in Beijing, 2010 to 2014, a day ahead."
    )
    data = parser.add_argument_group("data")
    data.add_argument(
        "--csv",
        metavar="FILE",
        help="your own data, .csv or .csv.gz: comma-separated with a header, rows in order and "
        "evenly spaced in time; numeric columns are inputs; empty, NA, NaN, null, - and ? are "
        "missing",
    )
    data.add_argument(
        "--target",
        metavar="COLUMN",
        help=f"the column to forecast (needed with --csv; otherwise {SHIPPED_TARGET})",
    )
    model = parser.add_argument_group("model")
    # Text, not type=int: read_settings then words every wrong value in the same way, in one line.
    for option, default, meaning in (
        ("--horizon", 24, "rows to forecast ahead"),
        ("--window", 48, "rows that a forecast is made from"),
        ("--epochs", 15, "passes over the training part"),
        ("--units", 32, "size of the LSTM"),
        ("--seed", 0, "seed of the initial weights and of the order of the batches"),
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


def read_settings(arguments: argparse.Namespace) -> Settings:
    """Checks the numbers."""
    return Settings(
        horizon=_whole_number("--horizon", arguments.horizon, 1, 1_000_000),
        window=_whole_number("--window", arguments.window, 1, 1_000_000),
        epochs=_whole_number("--epochs", arguments.epochs, 1, 1_000_000),
        units=_whole_number("--units", arguments.units, 1, 1024),
        seed=_whole_number("--seed", arguments.seed, 0, 2**32 - 1),  # the range NumPy accepts
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
    return Source(SHIPPED_DATA, target, unit, steps="hours", first_row=datetime(2010, 1, 1))


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
