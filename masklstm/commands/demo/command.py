"""``masklstm demo`` from start to end."""

import argparse
import time
from collections.abc import Callable
from pathlib import Path

from masklstm._core.files import written_whole
from masklstm._core.terminal import complain, say, shown
from masklstm.commands import table
from masklstm.commands.demo import options
from masklstm.commands.demo.evaluation import compare, persistence
from masklstm.commands.demo.examples import prepare
from masklstm.commands.demo.options import add_arguments
from masklstm.commands.errors import CommandError

__all__ = ["add_arguments", "run"]


def run(arguments: argparse.Namespace) -> int:
    """Runs the demo; the exit status is 2 for what the user can put right."""
    try:
        _run(arguments)
    except CommandError as error:
        return complain("demo", error)
    return 0


def _run(arguments: argparse.Namespace) -> None:
    began = time.perf_counter()
    settings = options.read_settings(arguments)
    source = options.read_source(arguments)
    reading = table.read_file(source.path, arguments)
    columns = table.one_series(reading, arguments)
    series = prepare(columns, source.target, settings.window, settings.horizon)
    source = options.with_times(source, columns)
    _require_matplotlib()
    folder = options.make_output_folder(arguments)

    # Training needs TensorFlow: all that can fail fast comes before.
    import masklstm
    from masklstm.commands.demo import fan, picture, report, speed, ways

    build = masklstm.build_summary()
    say(report.describe_build(build))
    if arguments.csv is not None:
        table.describe(reading, source.path)
    gappy = ways.with_labels_removed(series, settings, settings.seed)
    say(report.describe_data(series, gappy, source, settings))
    say("")
    plain = ways.plain_keras_fails(series, settings)
    trained = ways.train_ways(series, settings, say)
    rows = series.split.parts["test"]
    outcome = report.Outcome(
        ways=trained,
        plain=plain,
        persistence=compare(series.target[rows], persistence(series, rows, settings.horizon)),
        fan=fan.forecast_distributions(gappy, settings),
        speed=speed.time_epochs(gappy, settings),
    )
    say("")
    say(report.describe_errors(series, source, outcome, settings.seeds))

    seconds = time.perf_counter() - began
    say("")
    masked = trained[ways.MASKED].trained
    assert masked is not None
    writers: dict[str, Callable[[Path], None]] = {
        "forecast.png": lambda path: picture.save(path, series, source, settings, outcome),
        "model.keras": masked.model.save,
        "result.json": lambda path: report.save_result(
            path, build, series, source, settings, outcome, seconds
        ),
    }
    for name in options.OUTPUT_FILES:
        _save(folder / name, writers[name])
    say(f"took {seconds:.0f} s")


def _save(path: Path, write: Callable[[Path], None]) -> None:
    try:
        with written_whole(path) as beside:
            write(beside)
    except (OSError, ValueError) as error:  # a zip file that is cut short raises ValueError
        raise CommandError(
            f"Cannot save {path}. Expected room for it on the disk. Received: {error}"
        ) from error
    say(f"saved {shown(path)}")


def _require_matplotlib() -> None:
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError as error:
        raise CommandError(
            "The picture needs matplotlib. Expected it to be installed, as by: "
            f'pip install "masklstm[demo]". Received: {error}'
        ) from error
