"""What docs/performance.md says of losses of several predictions."""

import json
from pathlib import Path
from typing import Any

from bench.channels import tables
from bench.tables import markdown

FILE = Path(__file__).parent.parent / "results" / "channels.json"

TEXT = """\
## Likelihoods and sets of quantiles

{machine}. Forward with the gradient by all channels, float32, 30% of the labels missing; how many
times as long TensorFlow's graph of the same formula takes, and XLA's program of it, {rounds} rounds
with the intervals of their medians. masklstm computes in float64, the others in float32.

{table}

Bars that are not met: {missed}.{why}"""

WHY_MISSED = """ The mixture is arithmetic, not memory: two exponentials for each
component in each direction, in doubles. Kept of what was tried: one logarithm in the place of five,
shares that need none, channels transposed in registers, and the next labels fetched meanwhile.
Tried and given up: all exponentials in line, since gcc takes several times as long for a small
gain. Floats would be faster, and lose the digits of a likelihood near 0.
"""


def load() -> dict[str, Any]:
    result: dict[str, Any] = json.loads(FILE.read_text())
    return result


def section() -> str:
    result = load()
    machine = result["machine"]
    bars = tables.missed(result["results"])
    return TEXT.format(
        machine=f"{machine['processor']}, {machine['cores']} cores, {machine['instruction_set']}; "
        f"TensorFlow {machine['tensorflow']}; {machine['date']}; commit {machine['commit'][:7]}",
        rounds=result["rounds"],
        table=markdown(*tables.rows(result["results"])),
        missed="; ".join(bars) or "none",
        why=WHY_MISSED if bars else "",
    )
