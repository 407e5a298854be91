"""`python -m bench.report`: docs/performance.md with its plots, docs/gpu.md, the README's table.

Every figure on these pages is one of bench/results/full.json, memory.json, fit.json,
recurrent.json or gpu.json, as `python -m bench.run --full`, `bench.memory`, `bench.fit`,
`bench.recurrent`, `bench.channels` and `bench.gpu` left them.
"""

import argparse
import json
import re
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from bench import fit_table, gpu_page, measure, plots, tables
from bench.bars import Bar, against, bars
from bench.case import Case
from bench.cases import (
    FULL,
    GRAPH,
    GRAPH_EAGER,
    KERNELS,
    NOTHING,
    NOTHING_EAGER,
    OTHERS,
    OURS,
    OURS_EAGER,
    XLA,
)
from bench.channels import page as channels_page
from bench.recurrent import page as recurrent_page
from bench.saving import save_text

RESULTS = Path(__file__).parent / "results"
DOCS = Path(__file__).parent.parent / "docs"

PICTURES = {
    "performance-size.png": plots.over_size,
    "performance-share.png": plots.over_share,
    "performance-bandwidth.png": plots.bandwidth,
}

Result = dict[str, Any]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.report", description=__doc__)
    parser.add_argument("--docs", type=Path, default=DOCS, help="folder (default: %(default)s)")
    options = parser.parse_args()
    full, fit, memory = load()
    readme = options.docs.parent / "README.md"
    save_text(readme, re.sub(README_TABLE, readme_table(full), readme.read_text()))
    save_text(options.docs / "performance.md", page(full, fit, memory))
    save_text(options.docs / "gpu.md", gpu_page.page(of_gpu()))
    for name, draw in PICTURES.items():
        plots.save(draw, full, options.docs / name)
    return 0


def load() -> tuple[Result, Result, Result]:
    full, fit, memory = (
        json.loads((RESULTS / f"{name}.json").read_text()) for name in ("full", "fit", "memory")
    )
    return full, fit, memory


def of_gpu() -> Result:
    result: Result = json.loads((RESULTS / "gpu.json").read_text())
    return result


README_TABLE = re.compile(r"\| forward and gradient \|.*\n(?:\|.*\n)+")


def readme_table(full: Result) -> str:
    """The usual case at a few sizes, for those in a hurry."""
    others = [GRAPH, XLA, "Keras, weights", "JAX", "torch.compile"]
    rows = []
    for experiment in tables.by_kind(full)["size"]:
        case = Case(**experiment["entries"][0]["case"])
        if case.gradient and case.elements in (2**16, 2**20, 2**24):
            ratios = measure.ratios(experiment)
            numbers = {entry["provider"]: n for n, entry in enumerate(experiment["entries"])}
            found = [ratios.get(numbers.get(name, -1)) for name in others]
            size = f"2^{case.elements.bit_length() - 1} elements"
            rows.append([size, *(f"{ratio.median:.1f}" if ratio else "" for ratio in found)])
    return tables.markdown(["forward and gradient", *others], rows) + "\n"


def page(full: Result, fit: Result, memory: Result) -> str:
    machine = full["machine"]
    return TEXT.format(
        machine=f"{machine['processor']}, {machine['cores']} cores, {machine['instruction_set']}; "
        f"TensorFlow {machine['tensorflow']}, Keras {machine['keras']}, "
        f"PyTorch {machine['torch']}, JAX {machine['jax']}, Numba {machine['numba']}; "
        f"{machine['date']}; {commits(full)}",
        rounds=full["rounds"],
        fit_rounds=fit["rounds"],
        errors=errors(full),
        absent=", ".join(full["absent"]) or "none",
        void=void(full),
        left_out=left_out(full),
        gains=tables.markdown(*split(fit_table.gains(fit))),
        fit=tables.markdown(*split(fit_table.table(fit))),
        fit_machine=f"{fit['machine']['processor']}, {fit['machine']['cores']} cores",
        recurrent=recurrent_page.section(),
        channels=channels_page.section(),
        sizes=over_sizes(full, True),
        sizes_forward=over_sizes(full, False),
        eager=eager(full),
        bars=bar_table(full, memory),
        missed=missed(full, memory),
        compile_times=compile_times(full),
        accuracy=accuracy(full),
        memory=memory_table(memory),
        peaks=peaks(fit),
    )


TEXT = """\
# How fast, and when it matters

A training step is mostly the network, and on a CPU the network is mostly its recurrent layer.
Steps of `model.fit` with masklstm's loss, with Keras's LSTM and with `masklstm.layers.LSTM` in its
place ({fit_machine}, {fit_rounds} rounds):

{gains}

The layer by itself is [below](#lstm-and-gru), after the losses.

{machine}.

{rounds} rounds for each experiment; in a round each candidate runs once, in random order and in a
process of its own, and only ratios within a round are compared: the figures here are their medians,
with 95% bootstrap intervals in brackets. The same code against itself (A/A)
gave {errors}.

Absent: {absent}. Voided for a wrong result: {void}. Not in this run: {left_out}.

`make bench-full` measures all of this on your machine, `make bench` the most important part in
five minutes; `python -m bench.report` writes this page from the files that they leave in
`bench/results/`.

## When does the loss pay in my training?

Less often than the ratios below suggest: a training step is mostly the network. Steps of
`model.fit` with Keras's LSTM, 30% of the labels missing, {fit_rounds} rounds. The share is the time
that the loss and its gradient take by themselves, relative to the whole step of the same round:

{fit}

- It pays where there are many labels for each unit of the network: hundreds of series forecast at
  once, a value for every pixel or step, small networks, CPU.
- It makes no difference where the network is large compared with its labels; there the reason to
  use masklstm is that the numbers are right.
- It pays more the more labels a call has. For a few thousand, the call of TensorFlow costs more
  than any loss: see the empty function in the tables below.

## Compared with what?

Squared error, 30% of the labels missing at random, **forward and gradient**; how many times as
long the others take for one call. `tf.where` is the loss that a careful user writes; "Keras,
weights" is Keras's own loss on zero-filled labels with weights, which need not search for gaps.
"masklstm kernels" is what the op would take without TensorFlow, on two threads as well, but started
each time.

{sizes}

![Ratio over size](performance-size.png)

Forward only:

{sizes_forward}

Op by op, without `tf.function`; times are those of `masklstm` called in the same way. "One op"
negates one number, with the gradient: the least that TensorFlow takes.

{eager}

The share and the pattern of the gaps do not matter to the op: it has no branches.

![Ratio over the share of missing labels](performance-share.png)

Against memory itself: STREAM-like loops in C with the same threads.

![Bandwidth](performance-bandwidth.png)

Under `jit_compile=True` the op is XLA's own code; [xla.md](xla.md) has those times.

## The first call

Seconds for the first call in a new process, including whatever is compiled then and not cached on
disk:

{compile_times}

## Accuracy

Relative difference between the loss of 2^24 float32 elements and the float64 one. Float32 sums lose
digits along the way; the op adds up in doubles, at no measurable cost.

{accuracy}

## Memory

Peak memory of a first call in a new process beyond its inputs, in bytes for each of 2^24 float32
elements; the gradient itself takes 4.

{memory}

Peak memory of a process that trains the models above with each loss, in MB:

{peaks}

{recurrent}
{channels}
## The targets

What the project set itself before tuning, and what this run shows:

{bars}

{missed}\
"""


def commits(full: Result) -> str:
    """A run that was resumed may have several: the code was changed where it says so."""
    names = dict.fromkeys(experiment["commit"] for experiment in full["experiments"])
    return f"{'commit' if len(names) == 1 else 'commits'} {', '.join(names)}"


def errors(full: Result) -> str:
    found = sorted(
        measure.ratio(experiment, "A/A", 0).median
        for experiment in full["experiments"]
        if experiment["seconds"]
    )
    middle = found[len(found) // 20], found[-1 - len(found) // 20]
    return (
        f"{middle[0]:.2f} to {middle[1]:.2f} in nine of ten of the {len(found)} experiments, "
        f"{found[0]:.2f} and {found[-1]:.2f} at the extremes"
    )


def left_out(full: Result) -> str:
    """The experiments of a full run that the result lacks."""
    done = {experiment["name"] for experiment in full["experiments"]}
    names = [experiment.name for experiment in FULL if experiment.name not in done]
    kinds = Counter(name.split(":")[0] for name in names)
    return ", ".join(f'{count} of the kind "{kind}"' for kind, count in kinds.items()) or "none"


def void(full: Result) -> str:
    found = {
        f"{entry['provider']} ({Case(**entry['case'])})" for entry in tables.wrong_entries(full)
    }
    return "; ".join(sorted(found)) or "none"


def split(table: list[list[str]]) -> tuple[list[str], list[list[str]]]:
    """The header and the rows."""
    header, *rows = table
    return header, rows


def over_sizes(full: Result, gradient: bool) -> str:
    experiments = [
        experiment
        for experiment in tables.by_kind(full)["size"]
        if experiment["entries"][0]["case"]["gradient"] == gradient
    ]
    return _by_size(experiments, [GRAPH, XLA, *OTHERS, KERNELS, NOTHING], OURS)


def eager(full: Result) -> str:
    tables_by_direction = []
    for gradient in (False, True):
        experiments = [
            experiment
            for experiment in tables.by_kind(full)["eager"]
            if experiment["entries"][0]["case"]["gradient"] == gradient
        ]
        direction = "forward and gradient" if gradient else "forward"
        tables_by_direction.append(
            _by_size(experiments, [GRAPH_EAGER, NOTHING_EAGER], f"{OURS_EAGER}, {direction}")
        )
    return "\n\n".join(tables_by_direction)


def _by_size(experiments: list[Result], providers: list[str], title: str) -> str:
    header, rows = [title], [[name] for name in providers]
    for experiment in experiments:
        seconds = measure.median_seconds(experiment)[0]
        size = experiment["entries"][0]["case"]["elements"].bit_length() - 1
        header.append(f"2^{size} ({1e3 * seconds:.2g} ms)")
        ratios = measure.ratios(experiment)
        numbers = {entry["provider"]: n for n, entry in enumerate(experiment["entries"])}
        for row in rows:
            if row[0] not in numbers:
                row.append("not run")
                continue
            ratio = ratios.get(numbers[row[0]])
            row.append("void" if ratio is None else _figure(ratio.median))
    return tables.markdown(header, rows)


def compile_times(full: Result) -> str:
    timed = [
        entry
        for entry in tables.by_kind(full)["size"][0]["entries"]
        if entry["first_call_seconds"] is not None
    ]
    return tables.markdown(
        ["", *(entry["provider"] for entry in timed)],
        [["s", *(f"{entry['first_call_seconds']:.2f}" for entry in timed)]],
    )


def accuracy(full: Result) -> str:
    for experiment in tables.by_kind(full)["size"]:
        entries = experiment["entries"]
        if entries[0]["case"]["elements"] == 2**24 and not entries[0]["case"]["gradient"]:
            known = [
                entry
                for entry in entries
                if entry["loss_error"] and entry["provider"] in (OURS, GRAPH, XLA, *OTHERS)
            ]
            return tables.markdown(
                ["", *(entry["provider"] for entry in known)],
                [["error", *(f"{entry['loss_error']:.0e}" for entry in known)]],
            )
    return "not measured"


def memory_table(memory: Result) -> str:
    rows = [
        [provider, *("" if cell is None else f"{cell:.2f}" for cell in of_provider.values())]
        for provider, of_provider in memory["extra_bytes"].items()
    ]
    return tables.markdown(["", "forward", "forward and gradient"], rows)


def peaks(fit: Result) -> str:
    rows = [
        [row["model"]["name"], *(f"{peak / 1e6:.0f}" for peak in row["peak_bytes"].values())]
        for row in fit["models"]
    ]
    return tables.markdown(["model", *fit["models"][0]["peak_bytes"]], rows)


def bar_table(full: Result, memory: Result) -> str:
    rows = [
        [
            bar.name,
            bar.where,
            _range(bar),
            f"{'≤' if bar.at_most else '≥'} {bar.limit:g}",
            _met(bar),
        ]
        for bar in bars(full, memory)
    ]
    return tables.markdown(["what", "where", "found", "target", ""], rows, align="---")


def missed(full: Result, memory: Result) -> str:
    every = list(bars(full, memory))
    met = sum(bar.is_met for bar in every)
    small, smallest = Case(2**16), Case(2**10)
    return WHY_MISSED.format(
        met=met,
        all=len(every),
        graph=_ratio(full, "size", small, NOTHING, OURS),
        limit=_ratio(full, "size", small, GRAPH, NOTHING),
        eager=_ratio(full, "eager", smallest, NOTHING_EAGER, OURS_EAGER),
        eager_limit=_ratio(full, "eager", smallest, GRAPH_EAGER, NOTHING_EAGER),
        halves=_halves_in_the_cache(full),
        places=max(map(_spread, tables.by_kind(full)["places"])),
    )


def _halves_in_the_cache(full: Result) -> float:
    """bfloat16 over float32, of the kernels alone."""
    for experiment in tables.by_kind(full, variants=True)["types of the kernels alone"]:
        cases = [Case(**entry["case"]) for entry in experiment["entries"]]
        if cases[0] == Case(2**20):
            number = [case.dtype for case in cases].index("bfloat16")
            return measure.ratio(experiment, number, 0).median
    raise ValueError("no result for the types at 2^20 elements")


def _spread(experiment: Result) -> float:
    """Worst over best of the entries."""
    seconds = measure.median_seconds(experiment)
    numbers = range(len(experiment["entries"]))
    worst, best = max(numbers, key=seconds.__getitem__), min(numbers, key=seconds.__getitem__)
    return measure.ratio(experiment, worst, best).median


WHY_MISSED = """\
{met} of {all} are met. Why the others are not:

- **One call of a function.** At 2^16 elements an empty `tf.function` takes {graph:.0%} of the time
  of one with the loss and its gradient: TensorFlow hands the work from thread to thread. A loss
  that took no time would be {limit:.1f} times as fast as `tf.where`. At 2^24 the
  same time is missing from the share of memory's speed, and in the comparison with Numba, whose
  threads wait awake: the call ends on a thread that has to be woken again.
  Tried: no second thread for small tensors, not waiting for threads that wake too late, larger and
  smaller chunks of work. The kernels' own times, and those within a graph, are in the table.
- **Eagerly, small, with gradient.** One op on one number with its gradient takes {eager:.0%} of our
  time at 2^10 elements: that is `GradientTape`. A loss that took no time would be
  {eager_limit:.1f} times as fast as `tf.where`. Tried: reading the op's attributes without
  TensorFlow's own function, and not converting what is a tensor already; what is left is one op
  each way, and zeros that the tape makes for the op's other results.
- **Memory, with gradient.** Labels and predictions are read twice, since the gradient needs the
  count: the bytes are those of the model, and the share depends on how fast the memory happens
  to be. Tried: streaming stores (kept), prefetching, huge pages, going backward through what is
  still in the cache; the last three made no difference.
- **Weights of one value for each row.** With three features they are a third of the labels'
  memory: the time cannot be the same as without weights. At 2^20 elements, in the cache, it is the
  arithmetic, for weights of any shape: one more product and sum for each element, in doubles.
  Tried: expanding by register shuffles (kept for up to eight features) and by plain loops.
- **Half types.** In the cache, at 2^20, the kernels take {halves:.2f} times as long for bfloat16 as
  for float32: they convert each number twice. From memory they are as fast as this arithmetic; how
  far that is from half the time depends on how fast the processor is relative to its memory. Tried:
  whole lines at a time (kept: without it a Zen 4 read float16 more slowly than bfloat16), narrowing
  in registers and past the caches (kept), prefetching (slower).
- **Patterns.** The loops have no branches. The same case at eight places in memory, which shows how
  well different cases can be compared at all, gives up to {places:.2f} for worst over best;
  which case stands out changes from run to run (`python -m bench.run --full --only patterns`).
"""


def _ratio(full: Result, kind: str, case: Case, above: str, below: str) -> float:
    found = against(full, kind, case, above, below)
    assert found is not None, (kind, case, above, below)
    return found.median


def _met(bar: Bar) -> str:
    return "met" if bar.is_met else "**missed**" if bar.found else "not measured"


def _range(bar: Bar) -> str:
    if bar.found is None:
        return ""
    if bar.found.low == bar.found.high:
        return _figure(bar.found.median)
    low, high = _figure(bar.found.low), _figure(bar.found.high)
    return f"{_figure(bar.found.median)} [{low}, {high}]"


def _figure(value: float) -> str:
    return f"{value:.2f}" if value < 10 else f"{value:.1f}"


if __name__ == "__main__":
    sys.exit(main())
