"""Prints docs/xla.md: what the ops become under XLA, and how fast they are there.

    python docs/scripts/xla.py > docs/xla.md

The program is compiled here; the times are those of bench/results/full.json (`make bench-full`).
"""

import json
import os
import re
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).parents[2]))

import tensorflow as tf

import masklstm
from bench import measure, tables

RESULTS = Path(measure.__file__).parent / "results" / "full.json"

TEXT = """\
# Under XLA

With `jit_compile=True` (in `tf.function` or in `model.compile`) the ops are lowered to XLA's own
operations, from the same formulas as the CPU kernels, and fuse with the operations around them.
This is built by default; `MASKLSTM_XLA=OFF pip install .` leaves it out, and `masklstm info` says
whether it is there. Under `jit_compile=True` without it, TensorFlow reports that
`Masklstm>MaskedLoss` has no kernel for its XLA device.

## What is the same, and what is not

- Values, gradients, zeros for what is not valid, and errors are those of [the
  guarantees](contract.md); their tests run under XLA too.
- Here too sums are doubles and counts integers: float32 sums and means with weights that are not
  negative are within one unit in the last place of the exact ones.
- The bits are not those of the native op. XLA has its own exponentials and logarithms, fuses
  products with sums, and adds up in another order; [losses.md](losses.md) has the bounds. Over 50
  training steps, each starting from the rounding of the one before, the losses that `fit` reports
  agree to a relative 1e-4 with those of `jit_compile=False` (`tests/ops/test_xla.py`).
- TensorFlow compiles once for each shape: `batch(..., drop_remainder=True)` keeps it to one.
- Several replicas on CPU devices cannot be compiled: TensorFlow's XLA cannot reach variables on
  another device.
- An exported model (`model.export`) contains no loss and does not need masklstm. A SavedModel
  whose signature computes a loss needs `import masklstm` before it is loaded; without it, loading
  says that `Masklstm>MaskedLoss` is not registered.

## The program

One fused reduction forward, one fused loop backward, and a few scalars between them. This is
`squared_error` of labels `(1024, 24, 3)` with its gradient, after all of XLA's optimisations and
without the bodies of the scalar fusions:
"""


def optimized_program() -> str:
    @tf.function(jit_compile=True)
    def step(y_true: tf.Tensor, y_pred: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        with tf.GradientTape() as tape:
            tape.watch(y_pred)
            loss = masklstm.ops.masked_loss(y_true, y_pred)
        return loss, tape.gradient(loss, y_pred)

    zeros = tf.zeros([1024, 24, 3])
    text = step.experimental_get_compiler_ir(zeros, zeros)(stage="optimized_hlo")
    text = re.sub(r", (metadata|parameter_replication|backend_config)=\{[^}]*\}+", "", text)
    text = text.replace("{2,1,0}", "").replace("Masklstm_", "")
    blocks = text.strip().split("\n\n")[1:]
    return "\n\n".join(block for block in blocks if "1024" in block).strip()


def table() -> str:
    result = json.loads(RESULTS.read_text())
    experiments = tables.by_kind(result)["under XLA"]
    ratios = {}
    for experiment in experiments:
        case = experiment["entries"][0]["case"]
        ratios[case["loss"], case["elements"]] = measure.ratios(experiment)
    sizes = sorted({size for _, size in ratios})
    lines = [
        f"| loss | {' | '.join(f'2^{size.bit_length() - 1} elements' for size in sizes)} |",
        f"| --- |{' --- |' * len(sizes)}",
    ]
    for loss in dict.fromkeys(loss for loss, _ in ratios):
        cells = []
        for size in sizes:
            ratio = ratios[loss, size].get(1)
            cells.append(
                f"{ratio.median:.2f} [{ratio.low:.2f}, {ratio.high:.2f}]" if ratio else "void"
            )
        lines.append(f"| `{loss}` | {' | '.join(cells)} |")
    errors = [of_case["A/A"].median for of_case in ratios.values()]
    machine = result["machine"]
    about = (
        f"{result['rounds']} rounds on {machine['cores']} cores ({machine['processor']}), "
        f"TensorFlow {machine['tensorflow']}; the same code against itself gave "
        f'{min(errors):.2f} to {max(errors):.2f}. "void": the other side\'s float32 sum was '
        "too far from the float64 one."
    )
    return "\n".join(lines) + "\n\n" + about


def main() -> None:
    print(TEXT)
    print(f"```\n{optimized_program()}\n```")
    print("\n## How fast\n")
    print(
        "How many times as long the same loss takes in pure TensorFlow under XLA (labels selected"
    )
    print("before the formula, the losses after it), forward with gradient, 30% of the labels")
    print("missing; median of paired rounds with its 95% interval.\n")
    print(table())


if __name__ == "__main__":
    main()
