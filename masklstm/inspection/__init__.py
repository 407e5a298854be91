"""What labels lack, in numbers and in pictures; and weights that make up for it."""

from masklstm.inspection.numbers import inspect
from masklstm.inspection.sample_weights import sample_weights

__all__ = ["inspect", "sample_weights"]
