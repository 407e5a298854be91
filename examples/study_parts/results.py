"""The file of a run: a line for the run itself, then one for each training when it is done."""

import dataclasses
import json
from collections.abc import Iterable
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
    """Reads a file, be its run over or not."""
    first, *lines = _whole_lines(file)
    return Results(json.loads(first), dict(map(_read_training, lines)))


def resume(file: Path, design: Design) -> Results:
    """Reads a file so that more can be appended to it.

    Raises:
        OtherSettingsError: the file's run has other settings.
    """
    results = read(file)
    if results.design != design:
        raise OtherSettingsError(
            f"Expected results of the settings {design}. Received: {file} with {results.design}"
        )
    file.write_text("".join(_whole_lines(file)), "utf-8")
    return results


def _whole_lines(file: Path) -> list[str]:
    """Without the last one, if the run was cut off while it was written."""
    lines: Iterable[str] = file.read_text("utf-8").splitlines(keepends=True)
    return [line for line in lines if line.endswith("\n")]


def _read_training(line: str) -> tuple[Training, dict[str, Any]]:
    found = json.loads(line)
    condition = Condition(**found.pop("condition"))
    return Training(condition, found.pop("seed"), found.pop("method")), found
