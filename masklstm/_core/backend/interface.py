"""What a backend does."""

from typing import Any, NamedTuple, Protocol

import tensorflow as tf

from masklstm._core.arguments import Tensors
from masklstm._core.totals import MaskedSums, Reduction


class ElementLoss(NamedTuple):
    """A loss of one element, by its name, and its parameters, those with defaults left out."""

    name: str
    parameters: dict[str, Any]
    """Numbers; of `pinball_set` a sequence of them."""


class Backend(Protocol):
    """Who computes masked losses of standardised arguments."""

    name: str

    def check_loss(self, loss: ElementLoss) -> None:
        """Raises ValueError or TypeError for a loss or parameters that there are not."""

    def num_channels(self, loss: ElementLoss) -> int:
        """How many predictions it takes for each label, along an axis of their own; 0 for losses
        whose labels and predictions have one shape. Errors as of `check_loss`.
        """

    def masked_loss(self, tensors: Tensors, loss: ElementLoss, reduction: Reduction) -> tf.Tensor:
        """The reduced loss in the computing dtype."""

    def masked_sums(self, tensors: Tensors, loss: ElementLoss, balance: str | None) -> MaskedSums:
        """The sums over the valid elements, of each group if there is a balance."""
