"""`MaskedMean`: the mean of what several products say, over those that are there."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from masklstm._core.shown import ShowsArguments


@keras.saving.register_keras_serializable(package="masklstm")
class MaskedMean(ShowsArguments, keras.layers.Layer):  # type: ignore[misc]  # Keras has no types
    """The mean of embeddings of several products at each step, over those that are there.

    Formula: `outputs[b, t] = sum_k m_k[b, t] inputs_k[b, t] / sum_k m_k[b, t]`, and 0 where no
    product is there; m_k is 1 where the k-th is.

    Several satellites, models or stations measure the same, and each has gaps of its own. Each gets
    its own `Masking` and `Dense` layer, whose outputs have one width; what they say is averaged, so
    that the model works with whichever is there.

    Args:
        **kwargs: Keras's for every layer, such as `name` and `dtype`.

    Call arguments:
        inputs: A list of embeddings of one shape, `(batch, time, features)`. A product is missing
            where the Keras mask that came with it says so (`masklstm.layers.Masking` makes it), or
            where its embedding has NaN. Prefer the mask: NaN in an embedding is NaN in the
            gradients of what made it.

    Returns:
        The shape of one embedding, in the layer's `compute_dtype`, with a Keras mask of the steps
        that any product has, if all have masks.

    Raises:
        ValueError: For anything but a list of two or more of one shape.

    Example:

    >>> import keras, masklstm, numpy as np
    >>> nan = float("nan")
    >>> a, b = np.array([[[2.0], [nan], [nan]]]), np.array([[[4.0], [6.0], [nan]]])
    >>> masked = [masklstm.layers.Masking()(x) for x in (a, b)]
    >>> masklstm.layers.MaskedMean()(masked).numpy().tolist()
    [[[3.0], [6.0], [0.0]]]

    Source: `nan_handling_method: masked_mean` of neuralhydrology.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True

    def build(self, input_shape: Any) -> None:
        shapes = input_shape if isinstance(input_shape, list) else [input_shape]
        if len(shapes) < 2 or len({tuple(shape) for shape in shapes}) > 1:
            raise ValueError(
                "Expected a list of two or more embeddings of one shape. "
                f"Received: shapes {input_shape}"
            )

    def call(self, inputs: Sequence[Any], mask: Any = None) -> Any:
        total, count = 0, 0
        for x, own in zip(inputs, mask or [None] * len(inputs), strict=True):
            is_there = ops.logical_not(ops.any(ops.isnan(x), axis=-1, keepdims=True))
            if own is not None:
                is_there = ops.logical_and(is_there, ops.expand_dims(ops.cast(own, "bool"), -1))
            total = total + ops.where(is_there, x, ops.zeros_like(x))
            count = count + ops.cast(is_there, x.dtype)
        return total / ops.maximum(count, 1)

    def compute_mask(self, inputs: Sequence[Any], mask: Any = None) -> Any:
        if mask is None or any(own is None for own in mask):
            return None
        known = mask[0]
        for own in mask[1:]:
            known = ops.logical_or(known, own)
        return known

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape[0]
