"""The file of a run: a line for the run itself, then one for each training when it is done."""

import dataclasses
import json
from pathlib import Path
from typing import Any

from study_parts.design import Condition, Design, Training


@dataclasses.dataclass(frozen=True)
class Results:
    """What a file holds.

    Attributes:
        run: the settings (``"design"``), the machine and the errors of persistence.
        trainings: what came of each training.
    """

    run: dict[str, Any]
    trainings: dict[Training, dict[str, Any]]

    @property
    def design(self) -> Design:
        """The settings of the run."""
        settings = self.run["design"]
        return Design(**settings | {"percents": tuple(settings["percents"])})

    @property
    def missing(self) -> list[Training]:
        """The trainings that are still to be done."""
        return [one for one in self.design.trainings() if one not in self.trainings]

    def of(self, condition: Condition, method: str) -> dict[int, dict[str, Any]]:
        """By seed, the trainings of a method that had a window to train on."""
        return {
            training.seed: found
            for training, found in sorted(self.trainings.items(), key=lambda item: item[0].seed)
            if (training.condition, training.method) == (condition, method)
            and found["rmse"] is not None
        }


class OtherSettingsError(Exception):
    """The file holds a run with other settings, which cannot be gone on with."""


def begin(file: Path, run: dict[str, Any]) -> None:
    """Writes the first line; what the file held before is lost."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(run) + "\n", "utf-8")


def append(file: Path, training: Training, found: dict[str, Any]) -> None:
    """Adds the line of a training."""
    with file.open("a", encoding="utf-8") as lines:
        lines.write(json.dumps(dataclasses.asdict(training) | found) + "\n")


def read(file: Path) -> Results:
    """Reads a file, whether or not its run is over."""
    first, *lines = _whole_lines(file)
    return Results(json.loads(first), dict(map(_read_training, lines)))


def resume(file: Path, design: Design) -> Results:
    """Reads a file so that more can be appended to it: what is missing, or more seeds.

    Raises:
        OtherSettingsError: the file's run has fewer seeds or other settings.
    """
    found = read(file)
    if found.design != dataclasses.replace(design, seeds=min(design.seeds, found.design.seeds)):
        raise OtherSettingsError(
            f"Expected results of the settings {design}. Received: {file} with {found.design}"
        )
    # A file of its own, so that nothing is lost if this is cut off as well.
    whole = file.with_suffix(".new")
    begin(whole, found.run | {"design": dataclasses.asdict(design)})
    for training, of_training in found.trainings.items():
        append(whole, training, of_training)
    whole.replace(file)
    return read(file)


def _whole_lines(file: Path) -> list[str]:
    """Without the last one, if the run was cut off while it was written."""
    return file.read_text("utf-8").split("\n")[:-1]


def _read_training(line: str) -> tuple[Training, dict[str, Any]]:
    found = json.loads(line)
    condition = Condition(**found.pop("condition"))
    return Training(condition, found.pop("seed"), found.pop("method")), found
