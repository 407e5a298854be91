"""Who computes, chosen once: the native ops, or the pure-TensorFlow reference."""

from masklstm._core import library
from masklstm._core.backend.interface import Backend, ElementLoss

__all__ = ["Backend", "ElementLoss", "backend"]

backend: Backend

if library.backend == "native":
    from masklstm._core.backend import native as backend
else:
    from masklstm._core.backend import pure as backend
