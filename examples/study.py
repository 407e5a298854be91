"""Does masking missing labels beat imputing them?

    python examples/study.py --quick    # two minutes
    python examples/study.py            # all of it, an hour

Forecasts hourly PM2.5 in Beijing a day ahead. Further labels are removed, at random and in blocks,
and the same LSTM is trained with masklstm's loss, on imputed labels, and on windows without a gap.
Writes study.md, study.png and study.jsonl; a run that was cut off resumes where it stopped.
"""

import argparse
import os
import statistics
import sys
from dataclasses import asdict
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).parent.parent))  # bench

from study_parts import results
from study_parts.design import FULL, QUICK, Design


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="half of the labels, two seeds")
    parser.add_argument(
        "--out", type=Path, help="folder (default: masklstm-study, or masklstm-study/quick)"
    )
    parser.add_argument("--fresh", action="store_true", help="begin anew, whatever the folder has")
    parser.add_argument(
        "--report", action="store_true", help="train nothing, write the page from what there is"
    )
    parser.add_argument(
        "--tune", action="store_true", help="compare settings of the model, write nothing"
    )
    parser.add_argument(
        "--layers",
        action="store_true",
        help="train one cell with masklstm's LSTM and with Keras's, write nothing",
    )
    parser.add_argument(
        "--processes", type=int, default=2, help="trainings at a time (default: %(default)s)"
    )
    options = parser.parse_args(arguments)
    if options.processes < 1:
        parser.error(f"--processes: expected at least 1. Received: {options.processes}")
    if options.tune:
        tune(options.processes)
        return 0
    if options.layers:
        compare_layers(options.processes)
        return 0
    out = options.out or Path("masklstm-study", *(["quick"] if options.quick else []))
    file = out / "study.jsonl"
    if options.report:
        if not file.exists():
            parser.error(f"--report: expected a run's results. Received: no file {file}")
        missing = len(results.read(file).missing)
        if missing:
            parser.error(f"--report: expected a finished run. Received: {missing} trainings to do")
    else:
        if options.fresh:
            file.unlink(missing_ok=True)
        try:
            run(QUICK if options.quick else FULL, file, options.processes)
        except results.OtherSettingsError as error:
            parser.error(f"--out: {error}. --fresh begins anew")
    write_report(file)
    return 0


def run(design: Design, file: Path, processes: int) -> None:
    """Trains what the file does not have yet."""
    from bench.run import machine
    from study_parts import training, workers

    here = machine()
    if not file.exists():
        persistence = training.persistence_errors(design)
        results.begin(
            file, {"design": asdict(design), "machine": here, "persistence": asdict(persistence)}
        )
    found_before = results.resume(file, design)
    jobs = [(job, design) for job in found_before.missing]
    say(f"{file}: {len(found_before.trainings)} trainings are done, {len(jobs)} are to do")
    for job, _, found in workers.train_all(jobs, processes, say):
        results.append(file, job, found | {"commit": here["commit"]})


def tune(processes: int) -> None:
    """Prints the error on the validation part by the settings of the model."""
    from study_parts import tuning, workers

    errors: dict[Design, list[float]] = {design: [] for design in tuning.candidates()}
    for _, design, found in workers.train_all(tuning.jobs(), processes, say):
        errors[design].append(found["validation_rmse"])
    for design, of_design in sorted(errors.items(), key=lambda item: statistics.mean(item[1])):
        say(
            f"window {design.window}, units {design.units}, learning rate {design.learning_rate}: "
            f"validation RMSE {statistics.mean(of_design):.2f}, "
            f"{min(of_design):.2f} to {max(of_design):.2f} in {len(of_design)} seeds"
        )


def compare_layers(processes: int) -> None:
    """Prints the test errors of one cell with masklstm's LSTM and with Keras's."""
    from study_parts import layers, workers

    errors: dict[bool, dict[int, float]] = {True: {}, False: {}}
    for training, design, found in workers.train_all(layers.jobs(), processes, say):
        errors[design.keras_layer][training.seed] = found["rmse"]
    for line in layers.comparison(errors):
        say(line)


def write_report(file: Path) -> None:
    """The page and its picture, from nothing but the file, into the same folder."""
    from masklstm._core.files import written_whole
    from study_parts import plot, report

    found = results.read(file)
    with written_whole(file.with_suffix(".md")) as beside:
        beside.write_text(report.page(found), "utf-8")
    with written_whole(file.with_suffix(".png")) as beside:
        plot.save(found, beside)
    say(f"saved {file.with_suffix('.md')} and {file.with_suffix('.png')}")


def say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
