"""`python bench/calls.py [FOLDER]`: what a step of squared error does, besides the kernels.

The nodes of a graph with loss and gradient, and the Python calls of an eager step. These are the
same on every run, where the times of small calls differ by a quarter from one process to the next:
so they show whether a change added work. FOLDER is another checkout with a built native library,
such as that before a change.
"""

import argparse
import cProfile
import pstats
import sys
from collections import Counter
from pathlib import Path

STEPS = 100


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, metavar="FOLDER", help="another checkout")
    folder = parser.parse_args().folder
    if folder is not None:
        sys.path.insert(0, str(folder.resolve()))

    import numpy as np
    import tensorflow as tf

    import masklstm

    y_true = tf.constant(np.random.default_rng(0).random((4, 256)), tf.float32)
    loss = masklstm.losses.MeanSquaredError()

    def step(y_pred: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        with tf.GradientTape() as tape:
            tape.watch(y_pred)
            value = loss(y_true, y_pred)
        return value, tape.gradient(value, y_pred)

    graph = tf.function(step).get_concrete_function(y_true).graph
    nodes = Counter(operation.type for operation in graph.get_operations())
    for _ in range(3):
        step(y_true)
    with cProfile.Profile() as profile:
        for _ in range(STEPS):
            step(y_true)
    print(f"masklstm of {Path(masklstm.__file__).parent}")
    print("graph:", ", ".join(f"{count} {name}" for name, count in sorted(nodes.items())))
    calls = pstats.Stats(profile).total_calls  # type: ignore[attr-defined]  # not in typeshed
    print(f"eager step: {calls / STEPS:.0f} Python calls")


if __name__ == "__main__":
    main()
