"""``masklstm demo`` from start to end."""

import argparse
import time
from collections.abc import Callable
from pathlib import Path

from masklstm._core.files import written_whole
from masklstm._core.terminal import complain, say, shown
from masklstm.commands.demo import options
from masklstm.commands.demo.examples import prepare
from masklstm.commands.demo.options import add_arguments
from masklstm.commands.errors import CommandError
from masklstm.commands.table import read_table

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
    series = prepare(read_table(source.path), source.target, settings.window, settings.horizon)
    _require_matplotlib()
    folder = options.make_output_folder(arguments)

    # Training needs TensorFlow: all that can fail fast comes before.
    import masklstm
    from masklstm.commands.demo import forecast, picture, report
    from masklstm.commands.demo.evaluation import Outcome, compare, persistence

    build = masklstm.build_summary()
    say(report.describe_build(build))
    say(report.describe_data(series, source, settings))
    keras_loss, masked_loss = forecast.untrained_losses(series, settings)
    say(
        "losses    on these labels, before training: "
        f"Keras {keras_loss:.4f}, masklstm {masked_loss:.4f}"
    )

    trained = {}
    for name, train in (
        ("masked", forecast.train_masked),
        ("mean-filled", forecast.train_mean_filled),
    ):
        say("")
        trained[name] = train(series, settings, _say_after(name))

    rows = series.split.parts["test"]
    forecasts = {
        name: forecast.forecast(result.model, series, rows, settings)
        for name, result in trained.items()
    }
    forecasts["persistence"] = persistence(series, rows, settings.horizon)
    outcome = Outcome(
        forecasts=forecasts,
        errors={name: compare(series.target[rows], values) for name, values in forecasts.items()},
        validation_rmse={name: result.validation_rmse for name, result in trained.items()},
        best_epoch={name: result.best_epoch for name, result in trained.items()},
    )
    say("")
    say(report.describe_errors(series, source, outcome))

    seconds = time.perf_counter() - began
    say("")
    writers: dict[str, Callable[[Path], None]] = {
        "forecast.png": lambda path: picture.save(path, series, source, settings, outcome),
        "model.keras": trained["masked"].model.save,
        "result.json": lambda path: report.save_result(
            path, build, series, source, settings, outcome, seconds
        ),
    }
    for name in options.OUTPUT_FILES:
        _save(folder / name, writers[name])
    say(f"took {seconds:.0f} s")


def _say_after(name: str) -> Callable[[str], None]:
    return lambda line: say(f"{name}  {line}")


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
