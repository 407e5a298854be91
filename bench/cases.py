"""What is measured: a loss of random labels with random gaps, at several sizes."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Case:
    """Squared error on float32 labels of shape (elements,)."""

    elements: int
    gradient: bool  # with the gradient by y_pred, or forward only
    missing_share: float = 0.3

    @property
    def name(self) -> str:
        direction = "forward and gradient" if self.gradient else "forward"
        return f"2^{self.elements.bit_length() - 1}, {direction}"

    def arrays(self) -> tuple[np.ndarray, np.ndarray]:
        rng = np.random.default_rng(self.elements)
        y_true = rng.standard_normal(self.elements, dtype=np.float32)
        y_true[rng.random(self.elements, dtype=np.float32) < self.missing_share] = np.nan
        return y_true, rng.standard_normal(self.elements, dtype=np.float32)

    def expected(self) -> tuple[float, np.ndarray]:
        """Loss and gradient in float64."""
        y_true, y_pred = (x.astype(np.float64) for x in self.arrays())
        valid = ~np.isnan(y_true)
        error = np.where(valid, y_pred - np.where(valid, y_true, 0.0), 0.0)
        count = max(1, valid.sum())
        return float(np.sum(error**2) / count), 2 * error / count


QUICK = [Case(2**power, gradient) for power in (10, 16, 20, 24) for gradient in (False, True)]
