"""What docs/performance.md says of LSTM and GRU layers."""

import json
from pathlib import Path
from typing import Any

from bench import measure
from bench.recurrent import cases, tables
from bench.recurrent.cases import Case
from bench.tables import markdown

FILE = Path(__file__).parent.parent / "results" / "recurrent.json"

TEXT = """\
## LSTM and GRU

{machine}. One layer with `return_sequences=True`, forward with the gradients by all weights (or
forward alone), float32; how many times as long the others take as `masklstm.layers.LSTM` or `GRU`,
{rounds} rounds. "Keras" is Keras's layer in a `tf.function`; "BlockLSTM" TensorFlow's fused op;
"JAX scan" a `jax.lax.scan` under `jit`. "peak" is the share of the speed at which NumPy multiplies
square matrices in the same round; "without TensorFlow" the same kernels, called on NumPy arrays.

{table}

Bars that are not met: {missed}. Left out: {problems}.
{why}
With half of the steps masked a call takes {masked} of its time without a mask.

How far the results are from those in float64: the largest difference over the largest number, of
the sum of the outputs (forward alone: of the outputs) and of each gradient, in units of 2^-23.

{errors}
"""


WHY_MISSED = """
What stands in the way:

- **Small layers.** One call of a `tf.function` with a layer and its gradient takes longer than the
  layer: "without TensorFlow" is what is left.
- **Many features.** Keras multiplies the inputs of all steps at once, before its loop: that part of
  its time is a product at nearly the machine's peak, and there is little to gain.
- **Many units.** Both are products at a good part of the peak. What is above it is the tape, which
  goes to memory and back, and the exponentials.
- **The machine.** Two processors that share one core's arithmetic units gain little from a second
  thread, and a layer that computes all the time gains less than one that waits most of it.

Tried and kept: panels of weights that stay in the nearest cache while all rows are multiplied with
them; exponentials without special cases; a second round over the rows for the exponential that the
others wait for; slopes in the place of the tape.
"""


def load() -> dict[str, Any]:
    result: dict[str, Any] = json.loads(FILE.read_text())
    return result


def section() -> str:
    result = load()
    header, *rows = tables.table(result)
    error_header, *error_rows = tables.errors(result)
    machine = result["machine"]
    bars = missed(result)
    return TEXT.format(
        machine=f"{machine['processor']}, {machine['cores']} cores, "
        f"{machine['instruction_set']}; TensorFlow {machine['tensorflow']}, "
        f"PyTorch {machine['torch']}, JAX {machine['jax']}; {machine['date']}; "
        f"commit {machine['commit'][:7]}",
        rounds=result["rounds"],
        table=markdown(header, rows),
        missed="; ".join(bars) or "none",
        why=WHY_MISSED if bars else "",
        problems="; ".join(sorted(problems(result))) or "none",
        masked=" and ".join(masked_shares(result)),
        errors=markdown(error_header, error_rows),
    )


def missed(result: dict[str, Any]) -> list[str]:
    found = []
    for of_case in result["cases"]:
        case = Case(**of_case["case"])
        for bar in cases.BARS:
            if bar.case != case:
                continue
            for name, wanted, reached in (
                ("Keras", bar.keras, tables.ratio(of_case, cases.KERAS)),
                ("the best of all", bar.best, tables.best(of_case)),
            ):
                if reached is not None and reached < wanted:
                    found.append(f"{case.name}: {reached:.2f} of {wanted:g} to {name}")
    return found


def problems(result: dict[str, Any]) -> set[str]:
    """Errors; that a provider does not have a case at all is none."""
    return {
        f"{name} ({text.splitlines()[0]})"
        for of_case in result["cases"]
        for name, text in of_case["problems"].items()
        if text != "does not have it"
    }


def masked_shares(result: dict[str, Any]) -> list[str]:
    """The time of each case of HALF_MASKED to that of the same case without a mask."""
    by_case = {Case(**of_case["case"]): of_case for of_case in result["cases"]}
    shares = []
    for case in cases.HALF_MASKED:
        if case in by_case:
            share = measure.ratio(by_case[case], cases.OURS, tables.UNMASKED).median
            shares.append(f"{share:.2f} ({case.name})")
    return shares
