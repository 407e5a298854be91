"""`python -m bench.gpu`: the CUDA kernels beside a copy of device memory, PyTorch and CuPy.

Everybody runs in one process, one after the other in random order in each round; what counts are
the ratios within a round. A time is that of several calls and of waiting for the last one.
"""

import argparse
import importlib.util
import json
import os
import platform
import random
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from bench import measure
from bench.saving import save_text

MISSING_SHARE = 0.3
SECONDS_OF_A_TIMING = 0.01
TYPES = {"float32": np.float32, "bfloat16": ml_dtypes.bfloat16, "float16": np.float16}
OURS, COPY = "masklstm", "copy"

# What is read and written for each element, in elements.
ACCESSES = {"forward": 2, "gradient": 3, "forward and gradient": 5}

# Besides the mean without weights, which has a way of its own: a weight for each row (which adds
# 1/64 to what is read), and the sum of the rows' means.
PLAIN, WEIGHTS, ROWS = "plain", "weights", "rows"
ROW_SIZE = 64

Result = tuple[float | None, np.ndarray | None]  # the loss, and the gradient


@dataclass
class Provider:
    """Somebody's way to compute a case."""

    name: str
    run: Callable[[], Any]  # starts the work
    wait: Callable[[], None]
    result: Callable[[], Result]  # of a run
    error: str | None = None


@dataclass(frozen=True)
class Case:
    direction: str
    dtype: str
    elements: int
    form: str = PLAIN

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.elements,) if self.form == PLAIN else (self.elements // ROW_SIZE, ROW_SIZE)

    def __str__(self) -> str:
        form = "" if self.form == PLAIN else f", {self.form}"
        return f"{self.direction}, 2^{self.elements.bit_length() - 1} {self.dtype}{form}"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.gpu", description=__doc__)
    parser.add_argument("--kernels", required=True, help="the built module kernels.*.so")
    parser.add_argument("--rounds", type=int, default=60, help="default: 60")
    parser.add_argument(
        "--powers", type=int, nargs="+", default=[20, 24, 26], help="sizes (default: 20 24 26)"
    )
    parser.add_argument("--commit", help="of the sources, where git does not know")
    parser.add_argument("--out", type=Path, help="a JSON file for the measurements")
    options = parser.parse_args(arguments)
    kernels = _load(options.kernels)
    console = Console()
    result: dict[str, Any] = {
        "machine": machine(options.commit),
        "rounds": options.rounds,
        "experiments": [],
    }
    absent: dict[str, str] = {}
    cases = [
        Case(direction, dtype, 2**power, form)
        for form in (PLAIN, WEIGHTS, ROWS)
        for power in (options.powers if form == PLAIN else options.powers[-1:])
        for dtype in TYPES
        for direction in ACCESSES
        if form == PLAIN or direction != "forward and gradient"
    ]
    for case in track(cases, "measuring", console=console):
        measured = experiment(kernels, case, options.rounds, absent)
        result["experiments"].append({"commit": result["machine"]["commit"], **measured})
    result["absent"] = absent
    console.print(table(result))
    for name, reason in absent.items():
        console.print(f"absent: {name} ({reason})", highlight=False)
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        save_text(options.out, json.dumps(result, indent=1) + "\n")
        console.print(f"saved {options.out}")
    return 1 if any(entry["error"] for e in result["experiments"] for entry in e["entries"]) else 0


def _load(path: str) -> Any:
    spec = importlib.util.spec_from_file_location("kernels", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def machine(commit: str | None) -> dict[str, str]:
    def line(*command: str) -> str:
        try:
            process = subprocess.run(command, capture_output=True, text=True, check=True)
        except (OSError, subprocess.CalledProcessError):
            return "unknown"
        return process.stdout.strip().splitlines()[-1]

    return {
        "gpu": line("nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"),
        "nvcc": line("nvcc", "--version"),
        "processor": platform.processor() or platform.machine(),
        "load": f"{os.getloadavg()[0]:.2f}",
        "tensorflow": "not used",
        "python": platform.python_version(),
        "commit": commit or line("git", "describe", "--always", "--dirty"),
    }


def experiment(kernels: Any, case: Case, rounds: int, absent: dict[str, str]) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    t, p = rng.standard_normal((2, *case.shape), dtype=np.float32)
    t = np.where(rng.random(case.shape) < MISSING_SHARE, np.nan, t).astype(TYPES[case.dtype])
    p = p.astype(TYPES[case.dtype])
    weight = rng.random((case.shape[0], 1), dtype=np.float32) if case.form == WEIGHTS else None
    launches = kernels.cuda_launches()
    providers = [ours(kernels, case, t, p, weight), copy(kernels, case, p)]
    providers[0].run()
    launches = kernels.cuda_launches() - launches
    for name, make in (("PyTorch", torch_providers), ("CuPy", cupy_providers)):
        try:
            providers += make(case, t, p, weight)
        except Exception as error:  # not installed, without the GPU, out of memory
            absent[name] = str(error).splitlines()[0]
    expected = right_result(case, t, p, weight)
    for provider in providers:
        provider.error = check(provider, expected, case)
    good = [number for number, provider in enumerate(providers) if provider.error is None]
    calls = {number: calls_for_a_timing(providers[number]) for number in good}
    generator = random.Random(0)
    seconds = []
    columns = [*good, 0]  # the first one twice
    for _ in range(rounds if 0 in good else 0):  # without it there is nothing to compare with
        row = [0.0] * len(columns)
        for place in generator.sample(range(len(columns)), len(columns)):
            number = columns[place]
            row[place] = time_of(providers[number], calls[number]) / calls[number]
        seconds.append([float(f"{x:.5g}") for x in row])
    return {
        "name": str(case),
        "direction": case.direction,
        "dtype": case.dtype,
        "elements": case.elements,
        "form": case.form,
        "launches": launches,
        "entries": [{"provider": x.name, "error": x.error} for x in providers],
        "columns": [*good, "A/A"] if seconds else [],
        "seconds": seconds,
    }


def time_of(provider: Provider, calls: int) -> float:
    provider.wait()
    start = time.perf_counter()
    for _ in range(calls):
        provider.run()
    provider.wait()
    return time.perf_counter() - start


def calls_for_a_timing(provider: Provider) -> int:
    time_of(provider, 3)
    return max(1, round(SECONDS_OF_A_TIMING / (time_of(provider, 10) / 10)))


def right_result(
    case: Case, t: np.ndarray, p: np.ndarray, weight: np.ndarray | None
) -> tuple[float, np.ndarray]:
    valid = ~np.isnan(t)
    error = np.where(valid, p.astype(np.float64) - t.astype(np.float64), 0)
    derivative = 2 * error * (1 if weight is None else weight)
    if case.form == ROWS:
        divisor = np.maximum(np.sum(valid, -1, keepdims=True), 1)
    else:
        divisor = np.sum(valid)
    loss = float(np.sum(derivative * error / 2 / divisor))
    return loss, derivative / (1 if _divides_by_one(case) else divisor)


def _divides_by_one(case: Case) -> bool:
    """The gradient alone does not count the labels, but for each row."""
    return case.direction == "gradient" and case.form != ROWS


def check(provider: Provider, expected: tuple[float, np.ndarray], case: Case) -> str | None:
    """What is wrong with the result."""
    tolerance = {"float32": 1e-4, "float16": 2e-3, "bfloat16": 2e-2}[case.dtype]
    try:
        provider.run()
        provider.wait()
        loss, gradient = provider.result()
    except Exception as error:  # the others can still be measured
        return str(error).splitlines()[0]
    if loss is not None and abs(loss - expected[0]) > 1e-4 * abs(expected[0]):
        return f"loss {loss}, expected {expected[0]}"
    if gradient is not None:
        limit = tolerance * np.max(np.abs(expected[1])) + (1e-7 if case.dtype == "float16" else 0)
        if not np.max(np.abs(gradient.astype(np.float64) - expected[1])) <= limit:
            return "wrong gradient"
    return None


def ours(
    kernels: Any, case: Case, t: np.ndarray, p: np.ndarray, weight: np.ndarray | None
) -> Provider:
    device_t, device_p = kernels.to_device(t), kernels.to_device(p)
    gradient = kernels.to_device(np.zeros_like(p))
    kept: list[Any] = [None]
    options = {"reduction": "sum" if case.form == ROWS else "mean"}
    if _divides_by_one(case):
        options["reduction"] = "sum_of_elements"
    if weight is not None:
        options["sample_weight"] = kernels.to_device(weight)

    def run() -> None:
        if case.direction == "forward":
            kept[0] = kernels.masked_loss(device_t, device_p, **options)[0]
        else:  # the mean's gradient counts the labels in a forward pass of its own
            kernels.masked_loss_gradient(device_t, device_p, out=gradient, **options)

    def result() -> Result:
        if case.direction == "forward":
            return float(kept[0].numpy()), None
        return None, gradient.numpy()

    return Provider(OURS, run, kernels.synchronize, result)


def copy(kernels: Any, case: Case, p: np.ndarray) -> Provider:
    source, target = kernels.to_device(p), kernels.to_device(np.zeros_like(p))
    return Provider(
        COPY, lambda: kernels.copy(source, target), kernels.synchronize, lambda: (None, None)
    )


def torch_providers(
    case: Case, t: np.ndarray, p: np.ndarray, weight: np.ndarray | None
) -> list[Provider]:
    import torch

    def tensor(array: np.ndarray) -> Any:
        bits = torch.from_numpy(array.view(f"i{array.itemsize}")).cuda()
        return bits.view(getattr(torch, case.dtype))

    y_true, y_pred = tensor(t), tensor(p)
    weights = None if weight is None else torch.from_numpy(weight).cuda()

    def compute(
        y_true: torch.Tensor, y_pred: torch.Tensor
    ) -> tuple[torch.Tensor | None, torch.Tensor | None]:
        valid = ~torch.isnan(y_true)
        error = torch.where(valid, y_pred.float() - y_true.float(), 0.0)
        weighted = error if weights is None else error * weights
        gradient = 2 * weighted
        if _divides_by_one(case):
            return None, gradient.to(y_pred.dtype)
        if case.form == ROWS:
            count = valid.sum(-1, keepdim=True).clamp(min=1)
            if case.direction == "gradient":
                return None, (gradient / count).to(y_pred.dtype)
            return (error * error / count).sum(), None
        count = valid.sum()
        loss = (weighted * error).sum() / count
        if case.direction == "forward":
            return loss, None
        return loss, (gradient / count).to(y_pred.dtype)

    def provider(name: str, function: Callable[..., Any]) -> Provider:
        kept: list[Any] = [None]

        def run() -> None:
            kept[0] = function(y_true, y_pred)

        def result() -> Result:
            loss, gradient = kept[0]
            numbers = None if gradient is None else gradient.float().cpu().numpy()
            return None if loss is None else float(loss), numbers

        return Provider(name, run, torch.cuda.synchronize, result)

    torch._dynamo.reset()  # or the directions would count as one function compiled too often
    return [provider("PyTorch", compute), provider("torch.compile", torch.compile(compute))]


def cupy_providers(
    case: Case, t: np.ndarray, p: np.ndarray, _weight: np.ndarray | None
) -> list[Provider]:
    if case.dtype == "bfloat16" or case.form != PLAIN:
        return []  # CuPy has no such type; the other forms are not written for it
    import cupy

    y_true, y_pred = cupy.asarray(t), cupy.asarray(p)
    kept: list[Any] = [None]

    def run() -> None:
        valid = ~cupy.isnan(y_true)
        zero = np.float32(0)
        error = cupy.where(valid, y_pred.astype(np.float32) - y_true.astype(np.float32), zero)
        gradient = 2 * error
        if case.direction == "gradient":
            kept[0] = None, gradient.astype(y_pred.dtype)
            return
        count = valid.sum()
        loss = (error * error).sum() / count
        if case.direction == "forward":
            kept[0] = loss, None
            return
        kept[0] = loss, (gradient / count.astype(np.float32)).astype(y_pred.dtype)

    def result() -> Result:
        loss, gradient = kept[0]
        return None if loss is None else float(loss), None if gradient is None else gradient.get()

    return [Provider("CuPy", run, cupy.cuda.get_current_stream().synchronize, result)]


def gigabytes_per_second(experiment: dict[str, Any]) -> float:
    size = np.dtype(TYPES[experiment["dtype"]]).itemsize
    traffic = ACCESSES[experiment["direction"]] * size * experiment["elements"]
    return float(traffic / measure.median_seconds(experiment)[0] / 1e9)


def share_of_copy(experiment: dict[str, Any]) -> measure.Ratio:
    """Of the speed of a copy, which reads and writes each element once."""
    factor = ACCESSES[experiment["direction"]] / 2
    return measure.ratio(experiment, 1, 0, factor)


def table(result: dict[str, Any]) -> Table:
    others = ("PyTorch", "torch.compile", "CuPy")
    found = Table(
        title=f"{result['machine']['gpu']}: times as long as masklstm takes, in brackets 95%"
    )
    for column in ("case", "µs", "GB/s", "share of copy", *others, "A/A", "launches"):
        found.add_column(column, justify="left" if column == "case" else "right")
    for each in result["experiments"]:
        cells = {}
        for number, entry in enumerate(each["entries"]):
            if number in each["columns"]:
                cells[entry["provider"]] = _text(measure.ratio(each, number, 0))
            else:
                cells[entry["provider"]] = f"void: {entry['error']}"
        if 0 not in each["columns"]:
            found.add_row(each["name"], cells[OURS])
            continue
        found.add_row(
            each["name"],
            f"{1e6 * measure.median_seconds(each)[0]:.1f}",
            f"{gigabytes_per_second(each):.0f}",
            _text(share_of_copy(each)),
            *(cells.get(name, "absent") for name in others),
            _text(measure.ratio(each, "A/A", 0)),
            str(each["launches"]),
        )
    return found


def _text(ratio: measure.Ratio) -> str:
    return f"{ratio.median:.2f} [{ratio.low:.2f}, {ratio.high:.2f}]"


if __name__ == "__main__":
    sys.exit(main())
