"""Times entries against each other.

The machines that this runs on are shared: one loop can take three times as long as a minute ago. So
times are only compared within a round, in which every entry runs once, in random order; what is
reported is the median of the ratios over all rounds, with a bootstrap interval. The first entry
runs twice in each round: the ratio of the two (A/A) is the error of the method.
"""

import multiprocessing
import random
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

import numpy as np

from bench import worker
from bench.case import Case
from bench.cases import Entry, Experiment

INTERVAL = 0.95


@dataclass(frozen=True)
class Ratio:
    """How many times as long one takes as the other, with its interval."""

    median: float
    low: float
    high: float


class WorkerDied(Exception):  # noqa: N818  says what happened
    pass


class Workers:
    """One process for each provider, started when it is first needed.

    `method` is that of `multiprocessing`: only what is spawned shares nothing with the others.
    """

    def __init__(
        self,
        serve: Callable[..., None] = worker.serve,
        method: Literal["spawn", "forkserver"] = "spawn",
    ) -> None:
        self.absent: dict[str, str] = {}  # with the reason
        self._serve = serve
        self._context: Any = multiprocessing.get_context(method)
        self._processes: dict[str, tuple[Any, Any]] = {}

    def __enter__(self) -> "Workers":
        return self

    def __exit__(
        self, kind: type | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process, connection in self._processes.values():
            if kind is None and process.is_alive():
                connection.send(None)
            else:
                process.terminate()
        for process, _ in self._processes.values():
            process.join()

    def start(self, provider: str) -> bool:
        """False if the provider is absent."""
        if provider not in self._processes and provider not in self.absent:
            ours, theirs = self._context.Pipe()
            process = self._context.Process(
                target=self._serve, args=(theirs, provider), daemon=True
            )
            process.start()
            theirs.close()
            self._processes[provider] = process, ours
            try:
                reason = self._receive(provider)
            except WorkerDied as error:
                reason = str(error)
            if reason is not None:
                self._processes.pop(provider, None)
                self.absent[provider] = reason
        return provider not in self.absent

    def ask(self, provider: str, *message: Any) -> Any:
        self._processes[provider][1].send(message)
        return self._receive(provider)

    def forget(self, providers: Iterable[str]) -> None:
        """Lets go of what was prepared."""
        for provider in set(providers) & self._processes.keys():
            self._processes[provider][1].send(("forget",))

    def _receive(self, provider: str) -> Any:
        process, connection = self._processes[provider]
        try:
            return connection.recv()
        except (EOFError, ConnectionError):
            process.join()
            del self._processes[provider]  # the next experiment starts a new one
            raise WorkerDied(
                f"The process of provider '{provider}' ended (exit code {process.exitcode}); "
                "-9 usually means that memory ran out."
            ) from None


def run(
    experiment: Experiment,
    workers: Workers,
    rounds: int,
    progress: Callable[[int], None] = lambda _: None,
) -> dict[str, Any]:
    """Measures an experiment; `progress` is told each round's number."""
    entries = [entry for entry in experiment.entries if workers.start(entry.provider)]
    prepared = _prepare(entries, workers)
    good = [number for number in range(len(entries)) if prepared[number].error is None]
    samples: list[list[float]] = []
    generator = random.Random(0)
    if 0 in good:  # without it there is nothing to compare with
        repeated = [*good, 0]
        for index in range(rounds):
            seconds = [0.0] * len(repeated)
            for place in generator.sample(range(len(repeated)), len(repeated)):
                number = repeated[place]
                answer = workers.ask(entries[number].provider, "time", number)
                if isinstance(answer, str):
                    prepared[number] = replace(prepared[number], error=answer)
                else:
                    seconds[place] = float(f"{answer:.5g}")
            samples.append(seconds)
            progress(index + 1)
    workers.forget(entry.provider for entry in entries)
    columns: list[int | str] = [*good, "A/A"]
    kept = [
        n
        for n, column in enumerate(columns)
        if isinstance(column, str) or not prepared[column].error
    ]
    return {
        "name": experiment.name,
        "entries": [
            {"provider": entry.provider, "case": asdict(entry.case), **asdict(facts)}
            for entry, facts in zip(entries, prepared, strict=True)
        ],
        "columns": [columns[n] for n in kept],
        "seconds": [] if prepared[0].error else [[row[n] for n in kept] for row in samples],
    }


def _prepare(entries: list[Entry], workers: Workers) -> list[worker.Prepared]:
    prepared = []
    died: dict[str, worker.Prepared] = {}  # with all that they had prepared
    with tempfile.TemporaryDirectory(prefix="masklstm-bench-") as folder:
        files: dict[str, Path] = {}
        case_on_disk = None
        for number, entry in enumerate(entries):
            if entry.case != case_on_disk:
                files = _save(entry.case, Path(folder))
                case_on_disk = entry.case
            facts = died.get(entry.provider)
            if facts is None:
                try:
                    facts = workers.ask(entry.provider, "prepare", number, entry.case, files)
                except WorkerDied as error:
                    facts = died[entry.provider] = worker.Prepared(str(error))
            prepared.append(facts)
    return [died.get(e.provider, facts) for e, facts in zip(entries, prepared, strict=True)]


@contextmanager
def files_of(case: Case) -> Iterator[dict[str, Path]]:
    """The case's arrays and the right results, for a worker's "prepare"."""
    with tempfile.TemporaryDirectory(prefix="masklstm-bench-") as folder:
        yield _save(case, Path(folder))


def _save(case: Case, folder: Path) -> dict[str, Path]:
    arrays = case.arrays()
    loss, gradient = case.expected(arrays)
    contents: dict[str, np.ndarray | None] = {
        # NumPy's files do not know bfloat16.
        "y_true": arrays.y_true.view(f"u{arrays.y_true.itemsize}"),
        "y_pred": arrays.y_pred.view(f"u{arrays.y_pred.itemsize}"),
        "weight": arrays.weight,
        "loss": np.array(loss),
        "gradient": gradient,
    }
    files = {}
    for name, array in contents.items():
        if array is not None:
            files[name] = folder / f"{name}.npy"
            np.save(files[name], array)
    return files


def ratios(result: dict[str, Any]) -> dict[int | str, Ratio]:
    """For each column that was timed: its times to those of the first entry in the same round."""
    if not result["seconds"]:
        return {}
    return {column: ratio(result, column, result["columns"][0]) for column in result["columns"]}


def ratio(
    result: dict[str, Any], numerator: int | str, denominator: int | str, factor: float = 1.0
) -> Ratio:
    """Of two columns' times in the same round, times a factor."""
    seconds = np.array(result["seconds"])
    above, below = (seconds[:, result["columns"].index(x)] for x in (numerator, denominator))
    values = factor * above / below
    rng = np.random.default_rng(0)
    medians = np.median(rng.choice(values, (1000, len(values))), axis=1)
    low, high = np.quantile(medians, [(1 - INTERVAL) / 2, (1 + INTERVAL) / 2])
    return Ratio(float(np.median(values)), float(low), float(high))


def differs(ratio: Ratio, same: Ratio) -> bool:
    """Whether the method can tell the two apart, `same` being the ratio of A/A."""
    return abs(ratio.median - 1) > max(0.03, 2 * abs(same.median - 1))


def median_seconds(result: dict[str, Any]) -> dict[int | str, float]:
    """For each column that was timed. These jump from one minute to the next: compare ratios."""
    if not result["seconds"]:
        return {}
    return dict(zip(result["columns"], np.median(result["seconds"], axis=0).tolist(), strict=True))
