"""The ways to compute a masked loss that are compared: one file each, each with a NAME, a
DESCRIPTION and `make(y_true, y_pred, gradient)`, which returns a function without arguments that
computes once and returns the loss, or the loss and the gradient, as tensors that are ready.
"""

from types import ModuleType

from bench.providers import keras_zero_filled, masklstm_op, tensorflow_where, tensorflow_where_xla

# The first is the one that the others are compared with.
PROVIDERS: list[ModuleType] = [
    masklstm_op,
    tensorflow_where,
    tensorflow_where_xla,
    keras_zero_filled,
]
