"""Times providers against each other.

The machines that this runs on are shared: one loop can take three times as long as a minute ago. So
times are only compared within a round, in which every provider runs once, in random order; what is
reported is the median of the ratios over all rounds, with a bootstrap interval. The first provider
runs twice in each round: the ratio of the two (A/A) is the error of the method.
"""

import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from bench.cases import Case

MINIMUM_SECONDS = 0.005  # of one measurement: short functions run several times
INTERVAL = 0.95


class WrongResultError(Exception):
    """A provider returned something else than the loss."""


@dataclass(frozen=True)
class Ratio:
    """How many times as long as the first provider another one takes."""

    median: float
    low: float
    high: float


def check(name: str, run: Callable, case: Case) -> None:
    """Compares a provider's results with float64 ones."""
    loss, *gradient = run()
    expected_loss, expected_gradient = case.expected()
    # The tolerance is that of float32 sums over millions of elements, which the others make.
    if not np.isclose(float(loss), expected_loss, rtol=1e-4, atol=0):
        raise WrongResultError(f"{name}: expected the loss {expected_loss}, got {float(loss)}")
    if gradient:
        scale = np.max(np.abs(expected_gradient))
        if not np.allclose(gradient[0], expected_gradient, rtol=1e-4, atol=1e-6 * scale):
            raise WrongResultError(f"{name}: the gradient is not that of the float64 reference")


def measure(runs: dict[str, Callable], rounds: int) -> Iterator[dict[str, float]]:
    """Yields one round's seconds for each name, and for "A/A" the first one's second time."""
    first = next(iter(runs))
    repeats = {name: _repeats(run) for name, run in runs.items()}
    generator = random.Random(0)
    for _ in range(rounds):
        order = [*runs, "A/A"]
        generator.shuffle(order)
        seconds = {}
        for label in order:
            name = first if label == "A/A" else label
            run = runs[name]
            begin = time.perf_counter()
            for _ in range(repeats[name]):
                run()
            seconds[label] = (time.perf_counter() - begin) / repeats[name]
        yield seconds


def _repeats(run: Callable) -> int:
    run()
    begin = time.perf_counter()
    run()
    return max(1, int(np.ceil(MINIMUM_SECONDS / (time.perf_counter() - begin))))


def ratios(samples: list[dict[str, float]], base: str) -> dict[str, Ratio]:
    """The ratios of every label's times to those of `base` in the same round."""
    rng = np.random.default_rng(0)
    result = {}
    for label in samples[0]:
        values = np.array([sample[label] / sample[base] for sample in samples])
        medians = np.median(rng.choice(values, (1000, len(values))), axis=1)
        low, high = np.quantile(medians, [(1 - INTERVAL) / 2, (1 + INTERVAL) / 2])
        result[label] = Ratio(float(np.median(values)), float(low), float(high))
    return result
