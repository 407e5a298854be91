"""What is measured: cases, and the experiments that compare them."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from bench.case import Case

_LIST = Path(__file__).parent.parent / "csrc" / "losses" / "losses.h"
# By their structs: asking masklstm would import TensorFlow in every worker.
LOSSES = tuple(
    re.sub(r"(?<!^)(?=[A-Z])", "_", struct).lower()
    for body in re.findall(r"ElementLosses = LossList<([^>]*)>;", _LIST.read_text())
    for struct in re.findall(r"\w+", body)
)
SHARES = (0.0, 0.01, 0.3, 0.5, 0.9, 1.0)
PATTERNS = ("random", "blocks", "columns", "tail")

OURS, GRAPH, XLA = "masklstm", "tf.where", "tf.where, XLA"
OURS_EAGER, GRAPH_EAGER = "masklstm, eager", "tf.where, eager"
OURS_XLA, KERNELS = "masklstm, XLA", "masklstm kernels"
READ, TRIAD = "STREAM read", "STREAM triad"
NOTHING, NOTHING_EAGER = "empty tf.function", "one op, eager"
OTHERS = ("Keras, weights", "NumPy", "Numba", "JAX", "PyTorch", "torch.compile")


@dataclass(frozen=True)
class Entry:
    """Somebody who computes a case."""

    provider: str
    case: Case


@dataclass(frozen=True)
class Experiment:
    """Entries that run in the same rounds; all are compared with the first one."""

    name: str
    entries: tuple[Entry, ...]

    def rounds(self, usual: int) -> int:
        """Fewer where a round takes seconds: a look, not a claim."""
        return min(usual, 15) if self.entries[0].case.elements > 2**24 else usual


def providers_of(name: str, case: Case, providers: Iterable[str]) -> Experiment:
    """One case, several providers."""
    return Experiment(f"{name}: {case}", tuple(Entry(provider, case) for provider in providers))


def variants_of(name: str, cases: Iterable[Case], provider: str = OURS) -> Experiment:
    """One provider, several cases."""
    return Experiment(name, tuple(Entry(provider, case) for case in cases))


def sizes(powers: Iterable[int]) -> list[Experiment]:
    """Everybody, over the size; the usual case."""
    experiments = []
    for power in powers:
        for gradient in (False, True):
            case = Case(2**power, gradient=gradient)
            # Where the arrays fit the caches, the speed of memory says nothing.
            memory = (READ, TRIAD) if power >= 20 else ()
            # For the largest size there is no memory for everybody at once.
            others = (*OTHERS, KERNELS, NOTHING) if power <= 24 else ("Numba",)
            experiments.append(providers_of("size", case, (OURS, GRAPH, XLA, *others, *memory)))
            experiments.append(
                providers_of("eager", case, (OURS_EAGER, GRAPH_EAGER, NOTHING_EAGER, *memory))
            )
    return experiments


def within_graphs(powers: Iterable[int]) -> list[Experiment]:
    """As part of a larger graph, like a training step's."""
    experiments = []
    for power in powers:
        for gradient in (False, True):
            case = Case(2**power, gradient=gradient, calls=4 if power >= 24 else 32)
            memory = (READ, TRIAD) if power >= 20 else ()
            experiments.append(providers_of("graph", case, (OURS, GRAPH, XLA, *memory)))
    return experiments


def types(powers: Iterable[int]) -> list[Experiment]:
    """Each type beside the others of its kind, and ours in all types side by side."""
    experiments = []
    for power in powers:
        for gradient in (False, True):
            case = Case(2**power, gradient=gradient)
            cases = [
                replace(case, dtype=dtype)
                for dtype in ("float32", "bfloat16", "float16", "float64")
            ]
            name = f"types: {case}"
            experiments.append(variants_of(name, cases))
            experiments.append(variants_of(f"types of the kernels alone: {case}", cases, KERNELS))
            if power >= 24:
                in_graph = [replace(case, calls=4) for case in cases]
                experiments.append(variants_of(f"types: {in_graph[0]}", in_graph))
            experiments += [providers_of("type", other, (OURS, GRAPH, XLA)) for other in cases[1:]]
    return experiments


def gaps(case: Case) -> list[Case]:
    """The case with every share and pattern of gaps."""
    cases = []
    for share in SHARES:
        patterns = PATTERNS if 0.0 < share < 1.0 else ("random",)
        cases += [replace(case, missing_share=share, pattern=pattern) for pattern in patterns]
    return [*cases, replace(case, missing_share=0.5, pattern="alternating")]


def shares(case: Case) -> list[Case]:
    return [replace(case, missing_share=share) for share in SHARES]


def shares_and_patterns(case: Case) -> list[Case]:
    """One factor at a time."""
    return [*shares(case), *extremes(case)[3:]]


def extremes(case: Case) -> list[Case]:
    """No gaps, the usual ones, nothing but gaps; and every pattern."""
    few = [replace(case, missing_share=share) for share in (0.0, 0.3, 1.0)]
    patterns = [replace(case, pattern=pattern) for pattern in PATTERNS[1:]]
    return [*few, *patterns, replace(case, missing_share=0.5, pattern="alternating")]


def all_gaps(powers: Iterable[int]) -> list[Experiment]:
    """The full cross of sizes, shares and patterns, and ours over the patterns."""
    experiments = []
    for power in powers:
        for gradient in (False, True):
            cases = gaps(Case(2**power, gradient=gradient))
            experiments.append(variants_of(f"patterns: {cases[0].without_gaps()}", cases))
            experiments += [providers_of("gaps", case, (OURS, XLA)) for case in cases]
    return experiments


def patterns_within_graphs(powers: Iterable[int]) -> list[Experiment]:
    """Ours over the patterns, where one call of a function would hide the difference."""
    experiments = []
    for power in powers:
        for gradient in (False, True):
            cases = gaps(Case(2**power, gradient=gradient, calls=32))
            experiments.append(variants_of(f"patterns: {cases[0].without_gaps()}", cases))
    return experiments


def places(powers: Iterable[int]) -> list[Experiment]:
    """One case in eight places of the memory: the error of comparing cases with each other."""
    return [
        variants_of(f"places: {case}", [case] * 8)
        for power in powers
        for case in (Case(2**power, gradient=False), Case(2**power))
    ]


def all_shares(powers: Iterable[int]) -> list[Experiment]:
    return [
        providers_of("shares", case, (OURS, GRAPH, XLA))
        for power in powers
        for case in shares(Case(2**power))
    ]


def losses(powers: Iterable[int], cases_of: Callable[[Case], list[Case]]) -> list[Experiment]:
    return [
        providers_of("loss", case, (OURS, XLA))
        for power in powers
        for loss in LOSSES
        for case in cases_of(Case(2**power, loss=loss))
    ]


def losses_under_xla(powers: Iterable[int]) -> list[Experiment]:
    return [
        providers_of("under XLA", Case(2**power, loss=loss), (OURS_XLA, XLA))
        for loss in LOSSES
        for power in powers
    ]


def weights(powers: Iterable[int]) -> list[Experiment]:
    experiments = []
    for power in powers:
        for gradient in (False, True):
            for features in (1, 3, 8, 64):
                case = Case(2**power, features=features, gradient=gradient)
                shapes = (None, "(B, T)", "(F,)", "(B, T, F)")
                cases = [replace(case, weights=shape) for shape in shapes]
                experiments.append(
                    variants_of(f"weights: {case.without_gaps()}, F = {features}", cases)
                )
            case = Case(2**power, gradient=gradient)
            experiments += [
                providers_of("weight", replace(case, weights=shape), (OURS, GRAPH, XLA))
                for shape in shapes[1:]
            ]
    return experiments


QUICK = [
    *sizes((10, 16, 20, 24)),
    *within_graphs((16, 24)),
    *all_shares((20,)),
    *losses((20,), lambda case: [case]),
]

FULL = [
    *sizes((10, 14, 16, 20, 24)),
    *within_graphs((10, 14, 16, 20, 24)),
    *types((20, 24)),
    *weights((20, 24)),
    *all_shares((16, 20, 24)),
    *losses((20,), shares_and_patterns),
    *losses((24,), extremes),
    *losses_under_xla((16, 20, 24)),
    *all_gaps((16, 20, 24)),
    *patterns_within_graphs((16,)),
    *places((20, 24)),
    *sizes((26,)),
]
