"""The backend without native code: `masklstm.reference`."""

import tensorflow as tf

from masklstm import reference
from masklstm._core.arguments import Tensors
from masklstm._core.backend.interface import ElementLoss
from masklstm._core.totals import MaskedSums, Reduction
from masklstm.reference import registry

name = "reference"


def check_loss(loss: ElementLoss) -> None:
    registry.check_loss(*loss)


def num_channels(loss: ElementLoss) -> int:
    return registry.num_channels(*loss)


def masked_loss(tensors: Tensors, loss: ElementLoss, reduction: Reduction) -> tf.Tensor:
    return reference.loss_of_tensors(tensors, *loss, reduction)


def masked_sums(tensors: Tensors, loss: ElementLoss, balance: str | None) -> MaskedSums:
    return reference.sums_of_tensors(tensors, *loss, balance)
