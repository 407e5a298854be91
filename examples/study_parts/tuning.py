"""How the model's settings were chosen: by the error on the validation part, nothing removed."""

import dataclasses
import itertools

from study_parts.design import FULL, MASKED, Condition, Design, Training

# Other seeds than the study's.
_SEEDS = (100, 101, 102)


def candidates() -> list[Design]:
    """What was tried."""
    return [
        dataclasses.replace(FULL, window=window, units=units, learning_rate=learning_rate)
        for window, units, learning_rate in itertools.product((24, 48), (16, 32), (1e-3, 3e-3))
    ]


def jobs() -> list[tuple[Training, Design]]:
    """The trainings that compare the candidates."""
    return [
        (Training(Condition("", 0), seed, MASKED), design)
        for design in candidates()
        for seed in _SEEDS
    ]
