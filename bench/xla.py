"""`python -m bench.xla`: the ops lowered to XLA, beside pure TensorFlow under XLA.

Both run under `tf.function(jit_compile=True)`, forward with gradient. The other side is what a
careful user writes: labels and predictions selected before the formula, the losses after it.
"""

import argparse
import json
import os
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import tensorflow as tf

from bench import harness
from bench.run import RESULTS, machine, progress
from masklstm import kernels, ops, reference

OURS, THEIRS = "masklstm, XLA", "tf.where, XLA"
POWERS = (16, 20, 24)
MISSING_SHARE = 0.3


def where_loss(y_true: tf.Tensor, y_pred: tf.Tensor, loss: str) -> tf.Tensor:
    valid = ~tf.math.is_nan(y_true)
    y_true, y_pred = (tf.where(valid, x, tf.zeros_like(x)) for x in (y_true, y_pred))
    losses = tf.where(valid, reference.LOSSES[loss](y_true, y_pred), 0.0)
    count = tf.reduce_sum(tf.cast(valid, tf.float32))
    return tf.math.divide_no_nan(tf.reduce_sum(losses), count)


def masked_loss(y_true: tf.Tensor, y_pred: tf.Tensor, loss: str) -> tf.Tensor:
    return ops.masked_loss(y_true, y_pred, loss)


def compiled(function, loss: str, y_true: np.ndarray, y_pred: np.ndarray):
    """A call without arguments that returns the loss and its gradient."""

    @tf.function(jit_compile=True)
    def step(y_true, y_pred):
        with tf.GradientTape() as tape:
            tape.watch(y_pred)
            value = function(y_true, y_pred, loss)
        return value, tape.gradient(value, y_pred)

    tensors = tf.constant(y_true), tf.constant(y_pred)

    def run():
        results = step(*tensors)
        results[0].numpy()  # waits
        return results

    return run


def arrays(loss: str, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Numbers, positive numbers or probabilities, where the loss is defined."""
    rng = np.random.default_rng(size)
    y_true, y_pred = rng.standard_normal((2, size), dtype=np.float32)
    if loss in ("poisson", "squared_logarithmic_error"):
        y_true, y_pred = np.exp(y_true), np.exp(y_pred)
    if loss.startswith("binary"):
        y_true = np.float32(y_true > 0)
        if not loss.endswith("from_logits"):
            y_pred = 0.05 + 0.9 * rng.random(size, dtype=np.float32)
    y_true[rng.random(size, dtype=np.float32) < MISSING_SHARE] = np.nan
    return y_true, y_pred


def check(name: str, run, y_true: np.ndarray, y_pred: np.ndarray, loss: str) -> None:
    exact_pred = tf.constant(y_pred, tf.float64)
    with tf.GradientTape() as tape:
        tape.watch(exact_pred)
        expected = reference.masked_loss(y_true.astype("float64"), exact_pred, loss)
    expected_gradient = tape.gradient(expected, exact_pred).numpy()
    value, gradient = run()
    scale = np.max(np.abs(expected_gradient))
    # Wide, since XLA's float32 sums of 2^24 elements are off in the fourth digit.
    if not (
        np.isclose(float(value), float(expected), rtol=1e-3)
        and np.allclose(gradient, expected_gradient, rtol=1e-3, atol=1e-5 * scale)
    ):
        raise harness.WrongResultError(f"{name}: {loss} is not that of the float64 reference")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.xla", description=__doc__)
    parser.add_argument("--rounds", type=int, default=30, help="per case (default: %(default)s)")
    parser.add_argument(
        "--out", type=Path, default=RESULTS / "xla.json", help="default: %(default)s"
    )
    arguments = parser.parse_args()
    if arguments.rounds < 3:
        parser.error(f"--rounds: expected at least 3. Received: {arguments.rounds}")

    print(*(f"{name}: {value}" for name, value in machine().items()), sep="\n")
    print(f"\nForward with gradient, {MISSING_SHARE:.0%} missing: {THEIRS} takes so many times as")
    print(f"long as {OURS}, median of paired rounds [95% interval]")
    print(f"{'':34}", *(f"{f'2^{power} elements':>22}" for power in POWERS), f"{'A/A':>8}", sep="")
    rows = []
    for loss in kernels.losses():
        cells = []
        for power in POWERS:
            y_true, y_pred = arrays(loss, 2**power)
            runs = {
                OURS: compiled(masked_loss, loss, y_true, y_pred),
                THEIRS: compiled(where_loss, loss, y_true, y_pred),
            }
            for name, run in runs.items():
                check(name, run, y_true, y_pred, loss)
            samples = []
            for sample in harness.measure(runs, arguments.rounds):
                samples.append(sample)
                progress(f"{loss}, 2^{power}: round {len(samples)} of {arguments.rounds}")
            progress("")
            ratios = harness.ratios(samples, OURS)
            ratio = ratios[THEIRS]
            cells.append(f"{ratio.median:.2f} [{ratio.low:.2f}, {ratio.high:.2f}]")
            rows.append(
                {
                    "loss": loss,
                    "elements": 2**power,
                    "seconds": samples,
                    "ratios": {name: vars(value) for name, value in ratios.items()},
                }
            )
        error = f"{ratios['A/A'].median:.2f}"
        print(f"{loss:34}", *(f"{cell:>22}" for cell in cells), f"{error:>8}", sep="", flush=True)
    result = {"machine": machine(), "rounds": arguments.rounds, "cases": rows}
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(result, indent=1) + "\n")
    print(f"\nsaved {arguments.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
