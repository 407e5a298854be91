"""What the study runs: conditions, methods, seeds and the settings of the model."""

from collections.abc import Iterator
from dataclasses import dataclass

PATTERNS = ("at random", "in blocks")
MASKED = "masked"
IMPUTED = ("mean", "last value", "linear")
DROPPED = "dropped"
METHODS = (MASKED, *IMPUTED, DROPPED)


@dataclass(frozen=True)
class Condition:
    """How labels are removed: a pattern, and per cent of the observed ones."""

    pattern: str
    percent: int

    def __str__(self) -> str:
        return f"{self.percent}% {self.pattern}" if self.percent else "0%"


@dataclass(frozen=True)
class Training:
    """One model to train: what the results are filed under."""

    condition: Condition
    seed: int
    method: str

    def __str__(self) -> str:
        return f"{self.condition}, seed {self.seed}, {self.method}"


@dataclass(frozen=True)
class Design:
    """The settings of a run.

    Attributes:
        percents: of the observed labels, to be removed.
        seeds: how many; the seeds are 0, 1, ...
        steps: of gradient descent, the same number for every method.
        validate_every: steps after which the validation part is forecast once.
        keras_layer: whether the LSTM is Keras's own, not masklstm's.
    """

    percents: tuple[int, ...] = (0, 10, 30, 50, 70)
    seeds: int = 16
    block_hours: int = 72
    horizon: int = 24
    window: int = 24
    units: int = 16
    learning_rate: float = 3e-3
    batch_size: int = 32
    steps: int = 1200
    validate_every: int = 50
    keras_layer: bool = False

    @property
    def conditions(self) -> list[Condition]:
        """Nothing removed is the same in every pattern, and comes once."""
        removed = [percent for percent in self.percents if percent]
        nothing = [Condition("", 0)] if 0 in self.percents else []
        return nothing + [
            Condition(pattern, percent) for pattern in PATTERNS for percent in removed
        ]

    def trainings(self) -> Iterator[Training]:
        """Seed by seed, so that a run that was cut off has whole seeds."""
        for seed in range(self.seeds):
            for condition in self.conditions:
                for method in METHODS:
                    yield Training(condition, seed, method)


FULL = Design()
QUICK = Design(percents=(0, 50), seeds=2)
