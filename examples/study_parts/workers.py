"""Trainings side by side, each process on one core."""

import multiprocessing
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from typing import Any

from study_parts import training
from study_parts.design import Design, Training


def train_all(
    jobs: list[tuple[Training, Design]], processes: int, say: Callable[[str], None]
) -> Iterator[tuple[Training, Design, dict[str, Any]]]:
    """Yields what comes of each training, in the order in which they end; says how far it is."""
    began = time.perf_counter()
    # TensorFlow does not survive a fork.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(processes, context, initializer=training.use_one_thread)
    try:
        futures = {pool.submit(training.train, *job): job for job in jobs}
        for done, future in enumerate(as_completed(futures), 1):
            found = future.result()
            left = (time.perf_counter() - began) / done * (len(jobs) - done)
            say(f"{done}/{len(jobs)}  {futures[future][0]}: {_outcome(found)}  {_duration(left)}")
            yield *futures[future], found
    finally:
        pool.shutdown(cancel_futures=True)


def _outcome(found: dict[str, Any]) -> str:
    if found["rmse"] is None:
        return "no window left"
    return f"validation RMSE {found['validation_rmse']:.2f} after {found['best_step']} steps"


def _duration(seconds: float) -> str:
    return f"({seconds / 60:.0f} min left)" if seconds > 90 else f"({seconds:.0f} s left)"
