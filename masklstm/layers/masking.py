"""`Masking`: Keras's layer, for NaN."""

from typing import Any

import keras
from keras import ops

from masklstm._core.shown import ShowsArguments
from masklstm.layers._missing import is_missing, mask_value_config, standardize_mask_value


@keras.saving.register_keras_serializable(package="masklstm")
class Masking(ShowsArguments, keras.layers.Layer):  # type: ignore[misc]  # Keras has no types
    """Masks the time steps whose features are all missing, and replaces what is missing by 0.

    Formula: `mask[b, t] = any(inputs[b, t, :] is not missing)`, and
    `outputs = where(inputs is missing, 0, inputs)`.

    `keras.layers.Masking(mask_value=nan)` masks nothing, as NaN is not equal to itself. Nor would a
    mask be enough: a recurrent layer computes masked steps too and then discards them, which keeps
    a NaN out of its outputs but not out of its gradients, since NaN times 0 is NaN. Partly missing
    steps are kept; `masklstm.layers.Impute` fills them with something better than 0.

    With a number as `mask_value`, only that marks what is missing, and NaN is left as it is. So
    padding of -1, say, can be masked here and missing measurements filled by `Impute` afterwards.

    Args:
        mask_value: The value that means "missing"; NaN by default.
        **kwargs: Keras's for every layer, such as `name` and `dtype`.

    Call arguments:
        inputs: Shape `(batch, ..., time, features)`, floating point or integer. The value is
            compared in the inputs' own type, before they are cast to the layer's `compute_dtype`.
        mask: An earlier layer's, shape `(batch, ..., time)`: what it masks stays masked.

    Returns:
        The inputs with 0 for what is missing, in the layer's `compute_dtype`, with a Keras mask.

    Raises:
        ValueError: For a `mask_value` that is not a number.

    Example:

    >>> import numpy as np, masklstm
    >>> nan = float("nan")
    >>> x = np.array([[[1.0, 2.0], [nan, nan], [3.0, nan]]], "float32")
    >>> layer = masklstm.layers.Masking()
    >>> layer(x).numpy().tolist()
    [[[1.0, 2.0], [0.0, 0.0], [3.0, 0.0]]]
    >>> layer.compute_mask(x).numpy().tolist()
    [[True, False, True]]

    Source: `keras.layers.Masking`.
    """

    def __init__(self, mask_value: float = float("nan"), **kwargs: Any) -> None:
        super().__init__(**{"autocast": False, **kwargs})
        self.mask_value = standardize_mask_value(mask_value)
        self.supports_masking = True

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        inputs = ops.convert_to_tensor(inputs)
        mask = ops.any(ops.logical_not(is_missing(inputs, self.mask_value)), axis=-1)
        return mask if previous_mask is None else ops.logical_and(mask, previous_mask)

    def call(self, inputs: Any) -> Any:
        missing = is_missing(inputs, self.mask_value)
        filled = ops.where(missing, ops.zeros_like(inputs), inputs)
        return ops.cast(filled, self.compute_dtype)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **mask_value_config(self.mask_value)}
