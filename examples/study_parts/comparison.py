"""Each method against masking, condition by condition."""

from dataclasses import dataclass

from masklstm.commands.demo.intervals import Interval, interval
from study_parts.design import MASKED, METHODS, Condition
from study_parts.results import Results

ERRORS = ("rmse", "mae")


@dataclass(frozen=True)
class Comparison:
    """A method's test error minus that of masking, over the seeds that have both."""

    condition: Condition
    method: str
    difference: Interval

    @property
    def worse(self) -> bool:
        """Masking has the smaller error, by the interval."""
        return self.difference.above_zero

    @property
    def better(self) -> bool:
        """Masking has the larger error, by the interval."""
        return self.difference.below_zero


@dataclass(frozen=True)
class Verdicts:
    """Comparisons by what came of them."""

    worse: list[Comparison]
    better: list[Comparison]
    open: list[Comparison]


def compare_with_masking(results: Results, error: str = "rmse") -> list[Comparison]:
    """All that there is to compare: where dropping leaves no window there is nothing."""
    found = []
    for condition in results.design.conditions:
        masked = results.of(condition, MASKED)
        for method in METHODS:
            others = results.of(condition, method)
            pairs = [others[seed][error] - masked[seed][error] for seed in others if seed in masked]
            if method != MASKED and pairs:
                found.append(Comparison(condition, method, interval(pairs)))
    return found


def judge(comparisons: list[Comparison]) -> Verdicts:
    """Sorts comparisons by whether the method is worse than masking, better, or neither."""
    return Verdicts(
        [one for one in comparisons if one.worse],
        [one for one in comparisons if one.better],
        [one for one in comparisons if not (one.worse or one.better)],
    )
