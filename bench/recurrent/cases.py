"""What the layers compute in the benchmark, and how fast they shall be."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

OURS = "masklstm"
KERNELS = "masklstm kernels"
KERAS = "Keras"
XLA = "Keras with XLA"
BLOCK = "BlockLSTM"
TORCH = "PyTorch"
JAX = "JAX scan"
PRODUCT = "NumPy product"


@dataclass(frozen=True)
class Case:
    """One layer with `return_sequences=True` on a batch."""

    cell: str
    batch: int
    steps: int
    features: int
    units: int
    gradient: bool = True  # by all weights; else the outputs alone
    masked: float = 0.0  # share of steps

    @property
    def name(self) -> str:
        sizes = ", ".join(map(str, (self.batch, self.steps, self.features, self.units)))
        what = "" if self.gradient else ", forward"
        mask = f", {self.masked:.0%} masked" if self.masked else ""
        return f"{self.cell.upper()} {sizes}{what}{mask}"

    @property
    def gates(self) -> int:
        return 4 if self.cell == "lstm" else 3

    @property
    def operations(self) -> float:
        """Multiplications and additions of the products with the weights."""
        weights = self.gates * self.units * (self.features + self.units)
        forward = 2.0 * self.batch * self.steps * weights
        backward = forward + 2.0 * self.batch * self.steps * self.gates * self.units**2
        return forward + (backward if self.gradient else 0.0)

    def arrays(self) -> "Arrays":
        rng = np.random.default_rng(0)

        def numbers(*shape: int, scale: float = 1.0) -> np.ndarray:
            return (scale * rng.standard_normal(shape)).astype(np.float32)

        columns = self.gates * self.units
        scale = 1 / np.sqrt(self.features + self.units)
        steps = (self.batch, self.steps)
        return Arrays(
            numbers(*steps, self.features),
            rng.random(steps) >= self.masked if self.masked else None,
            numbers(self.features, columns, scale=scale),
            numbers(self.units, columns, scale=scale),
            numbers(*([columns] if self.cell == "lstm" else [2, columns])),
            numbers(*steps, self.units),
        )


class Arrays(NamedTuple):
    x: np.ndarray
    mask: np.ndarray | None
    kernel: np.ndarray
    recurrent_kernel: np.ndarray
    bias: np.ndarray
    factors: np.ndarray
    """Of the outputs; the gradients are those of the sum of both's products."""


class Bar(NamedTuple):
    """How many times as long others shall take."""

    case: Case
    keras: float
    best: float  # the best of all others


_TRAININGS = (
    Bar(Case("lstm", 32, 48, 11, 32), 8, 3.5),
    Bar(Case("lstm", 64, 200, 8, 64), 3, 1.8),
    Bar(Case("lstm", 256, 24, 64, 64), 2.5, 1.8),
    Bar(Case("lstm", 32, 512, 8, 32), 8, 2.5),
    Bar(Case("lstm", 128, 100, 32, 128), 1.9, 1.6),
    Bar(Case("lstm", 256, 365, 27, 256), 1.2, 1.15),
    Bar(Case("lstm", 1, 200, 8, 64), 5, 2),
    Bar(Case("lstm", 8, 200, 8, 64), 5, 2),
    Bar(Case("gru", 32, 48, 11, 32), 8, 3.5),
    Bar(Case("gru", 64, 200, 8, 64), 3, 1.8),
    Bar(Case("gru", 128, 100, 32, 128), 1.9, 1.6),
)
_PREDICTIONS = (
    Bar(Case("lstm", 32, 48, 11, 32, gradient=False), 5, 2),
    Bar(Case("lstm", 64, 200, 8, 64, gradient=False), 3, 2),
)
BARS = (*_TRAININGS, *_PREDICTIONS)

# A mask with half of the steps gone: its time to that without it.
HALF_MASKED = (
    Case("lstm", 64, 200, 8, 64, masked=0.5),
    Case("gru", 64, 200, 8, 64, masked=0.5),
)
MOST_OF_HALF_MASKED = 0.6
