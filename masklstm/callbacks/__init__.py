"""Keras callbacks that watch a training on labels with gaps."""

from masklstm.callbacks.missing_labels import MissingLabels

__all__ = ["MissingLabels"]
