"""The bars: what the project wanted to reach before the code was tuned, and what a run shows.

Nothing is timed here; the figures are those of a full run's rounds.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

from bench import cases, measure, tables
from bench.case import Case
from bench.cases import (
    GRAPH,
    GRAPH_EAGER,
    KERNELS,
    OURS,
    OURS_EAGER,
    READ,
    TRIAD,
    XLA,
)

Result = dict[str, Any]

GRADIENT_OVER_TRIAD = 20 / 12  # bytes an element: 8 forward and 12 for the gradient; triad's 12


@dataclass(frozen=True)
class Bar:
    """One figure, and the limit that it should reach."""

    name: str
    where: str
    found: measure.Ratio | None  # None: not measured
    limit: float
    at_most: bool = False

    @property
    def is_met(self) -> bool:
        if self.found is None:
            return False
        value = round(self.found.median, 2)
        return value <= self.limit if self.at_most else value >= self.limit


def bars(result: Result, memory: Result) -> Iterator[Bar]:
    """Those of a full run and of bench/memory.py."""
    forward, both = Case(2**24, gradient=False), Case(2**24)
    yield from _memory("share of STREAM read, forward", 0.9, result, forward, READ, 1.0)
    for other, limit in ((GRAPH, 8.0), (XLA, 3.0), ("Numba", 1.2)):
        found = against(result, "size", forward, other, OURS)
        yield Bar(f"{other} over masklstm, forward", "2^24", found, limit)
    found = against(result, "size", both, GRAPH, OURS)
    yield Bar(f"{GRAPH} over masklstm, with gradient", "2^24", found, 5.0)
    for other in (XLA, "JAX", "torch.compile"):
        found = against(result, "size", both, other, OURS)
        yield Bar(f"{other} over masklstm, with gradient", "2^24", found, 2.0)
    yield from _memory(
        "share of STREAM triad, with gradient", 0.8, result, both, TRIAD, GRADIENT_OVER_TRIAD
    )
    small = Case(2**16)
    for other, limit in ((GRAPH, 4.0), (XLA, 1.0)):
        name = f"{other} over masklstm, with gradient"
        found = against(result, "size", small, other, OURS)
        yield Bar(name, "2^16, one call of a function", found, limit)
        found = against(result, "graph", replace(small, calls=32), other, OURS)
        yield Bar(name, "2^16, within a graph", found, limit)
    yield from _eager(result)
    yield from _losses(result)
    yield from _patterns(result)
    yield from _extra_memory(memory)
    yield from _types(result)
    yield from _weights(result)


def _experiments(result: Result, kind: str, variants: bool = False) -> list[Result]:
    return tables.by_kind(result, variants).get(kind, [])


def _find(result: Result, kind: str, case: Case) -> Result | None:
    for experiment in _experiments(result, kind):
        if experiment["entries"][0]["case"] == asdict(case):
            return experiment
    return None


def _number(experiment: Result, provider: str) -> int | None:
    for number, entry in enumerate(experiment["entries"]):
        if entry["provider"] == provider and number in experiment["columns"]:
            return number
    return None


def against(
    result: Result, kind: str, case: Case, above: str, below: str, factor: float = 1.0
) -> measure.Ratio | None:
    """How many times as long `above` takes as `below`; None where one was not measured."""
    experiment = _find(result, kind, case)
    if experiment is None or not experiment["seconds"]:
        return None
    numerator, denominator = _number(experiment, above), _number(experiment, below)
    if numerator is None or denominator is None:
        return None
    return measure.ratio(experiment, numerator, denominator, factor)


def _memory(
    name: str, limit: float, result: Result, case: Case, yardstick: str, factor: float
) -> Iterator[Bar]:
    for where, kind, provider, calls in (
        ("kernels alone", "size", KERNELS, 1),
        ("called eagerly", "eager", OURS_EAGER, 1),
        ("within a graph", "graph", OURS, 4),
        ("one call of a function", "size", OURS, 1),
    ):
        found = against(
            result, kind, replace(case, calls=calls), yardstick, provider, calls * factor
        )
        yield Bar(name, f"2^24, {where}", found, limit)


def _eager(result: Result) -> Iterator[Bar]:
    for gradient in (False, True):
        for experiment in _experiments(result, "eager"):
            case = Case(**experiment["entries"][0]["case"])
            if case.gradient == gradient:
                found = against(result, "eager", case, GRAPH_EAGER, OURS_EAGER)
                direction = "with gradient" if gradient else "forward"
                size = f"2^{case.elements.bit_length() - 1}"
                yield Bar(f"{GRAPH_EAGER} over {OURS_EAGER}, {direction}", size, found, 8.0)


def _losses(result: Result) -> Iterator[Bar]:
    """The case in which the op is least ahead."""
    for loss in cases.LOSSES:
        found = [
            (ratio.median, ratio, case)
            for kind in ("loss", "gaps")
            for experiment in _experiments(result, kind)
            for case in [Case(**experiment["entries"][0]["case"])]
            if case.loss == loss and case.gradient and case.elements >= 2**20
            for ratio in [against(result, kind, case, XLA, OURS)]
            if ratio is not None
        ]
        if found:
            _, ratio, case = min(found, key=lambda item: item[0])
            where = (
                f"2^{case.elements.bit_length() - 1}, {case.missing_share:.0%} missing, "
                f"{case.pattern}: the least of {len(found)} cases"
            )
            yield Bar(f"{XLA} over masklstm, {loss}", where, ratio, 1.0)


def _patterns(result: Result) -> Iterator[Bar]:
    for experiment in _experiments(result, "patterns", variants=True):
        seconds = measure.median_seconds(experiment)
        seconds.pop("A/A", None)
        if seconds:
            worst = max(seconds, key=lambda number: seconds[number])
            best = min(seconds, key=lambda number: seconds[number])
            case = Case(**experiment["entries"][worst]["case"])
            where = f"{case.without_gaps()}, {case.missing_share:.0%} {case.pattern}"
            found = measure.ratio(experiment, worst, best)
            yield Bar("worst pattern or share of gaps over best", where, found, 1.1, True)


def _extra_memory(memory: Result) -> Iterator[Bar]:
    for direction, bytes_each in memory["extra_bytes"][OURS].items():
        found = None if bytes_each is None else measure.Ratio(bytes_each, bytes_each, bytes_each)
        limit = 0.0 if direction == "forward" else 4.0
        yield Bar(f"extra bytes for each element, {direction}", "2^24", found, limit, True)


def _types(result: Result) -> Iterator[Bar]:
    """Elements in a second, over those of float32."""
    for kind in ("types", "types of the kernels alone"):
        for experiment in _experiments(result, kind, variants=True):
            for number, entry in enumerate(experiment["entries"]):
                case = Case(**entry["case"])
                if case.elements == 2**24 and case.dtype in ("bfloat16", "float16"):
                    if number not in experiment["columns"]:
                        continue
                    direction = "with gradient" if case.gradient else "forward"
                    found = measure.ratio(experiment, 0, number)
                    graph = ", within a graph" if case.calls > 1 else ""
                    where = f"2^24, {entry['provider']}{graph}, {direction}"
                    yield Bar(f"float32 over {case.dtype}", where, found, 1.6)


def _weights(result: Result) -> Iterator[Bar]:
    for experiment in _experiments(result, "weights", variants=True):
        for number, entry in enumerate(experiment["entries"]):
            case = Case(**entry["case"])
            if case.weights in ("(B, T)", "(F,)") and case.features > 1:
                if number not in experiment["columns"]:
                    continue
                where = f"{case.without_gaps()}, F = {case.features}"
                found = measure.ratio(experiment, number, 0)
                yield Bar("weighted over unweighted", where, found, 1.1, True)
