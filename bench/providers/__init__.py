"""The ways to compute a masked loss that are compared: one file each. A provider's file has

- NAME and DESCRIPTION, and optionally supports(case), which is false for what it cannot do;
- make(case, arrays), which returns a function without arguments that computes once and returns
  the loss and, where the case asks for it, the gradient, as soon as they are ready;
- optionally to_numpy(result), for results that NumPy cannot read.
"""

from collections.abc import Callable
from importlib import import_module
from types import ModuleType
from typing import Any

# What make() returns: the function that returns the loss, and the gradient or nothing.
Run = Callable[[], tuple[Any, ...]]

# In the order of the tables. The files are imported in processes of their own.
FILES = {
    "masklstm": "masklstm_op",
    "masklstm, eager": "masklstm_eager",
    "masklstm, XLA": "masklstm_xla",
    "masklstm kernels": "masklstm_kernels",
    "tf.where": "tensorflow_where",
    "tf.where, eager": "tensorflow_where_eager",
    "tf.where, XLA": "tensorflow_where_xla",
    "Keras, weights": "keras_zero_filled",
    "NumPy": "numpy_where",
    "Numba": "numba_loop",
    "JAX": "jax_where",
    "PyTorch": "torch_where",
    "torch.compile": "torch_compiled",
    "empty tf.function": "tensorflow_nothing",
    "one op, eager": "tensorflow_nothing_eager",
    "STREAM read": "stream_read",
    "STREAM triad": "stream_triad",
}


def load(name: str) -> ModuleType:
    """Raises ImportError where what the provider needs is not installed."""
    provider = import_module(f"{__name__}.{FILES[name]}")
    assert name == provider.NAME
    return provider
