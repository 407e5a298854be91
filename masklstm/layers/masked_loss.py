"""`MaskedLoss`: an endpoint of a model that adds a loss."""

from typing import Any

import keras

from masklstm._keras_compat import complete_config
from masklstm._shown import ShowsArguments


@keras.saving.register_keras_serializable(package="masklstm")
class MaskedLoss(ShowsArguments, keras.layers.Layer):  # type: ignore[misc]  # Keras has no types
    """Adds a loss to the model and passes the predictions on.

    Formula: `add_loss(loss(y_true, y_pred, sample_weight))`; the outputs are `y_pred`.

    For models whose labels are inputs, because the loss needs more than `compile(loss=...)` gives
    it. Such a model is compiled without a loss. For forecasts, and to export, make another
    `keras.Model` of the same tensors that ends before this layer: it has the same weights, needs no
    labels, and no native library.

    Args:
        loss: One of `masklstm.losses`, or any Keras loss.
        **kwargs: Keras's for every layer, such as `name`.

    Call arguments:
        y_pred: Predictions, shape `(batch, ..., features)`. A Keras mask that they carry counts.
        y_true: Labels of the same shape; None to add nothing.
        sample_weight: Weights, as the loss takes them.

    Returns:
        `y_pred`.

    Raises:
        ValueError: If `loss` is not a `keras.losses.Loss`, or as the loss.

    Example:

    >>> import keras, masklstm, numpy as np
    >>> x, y_true = keras.Input((4, 2)), keras.Input((4, 1))
    >>> y_pred = keras.layers.LSTM(1, return_sequences=True)(x)
    >>> loss = masklstm.losses.MeanSquaredError()
    >>> model = keras.Model([x, y_true], masklstm.layers.MaskedLoss(loss)(y_pred, y_true))
    >>> model.compile("adam")
    >>> labels = np.ones((8, 4, 1), "float32")
    >>> labels[0] = np.nan
    >>> history = model.fit([np.ones((8, 4, 2)), labels], verbose=0)
    >>> bool(np.isfinite(history.history["loss"][0]))
    True
    >>> forecaster = keras.Model(x, y_pred)

    Source: Keras's `add_loss`.
    """

    def __init__(self, loss: Any, **kwargs: Any) -> None:
        # Labels are read in the type that they have: a half type may have no -999.
        super().__init__(**{"autocast": False, **kwargs})
        if not isinstance(loss, keras.losses.Loss):
            raise ValueError(
                "Invalid value for argument 'loss'. Expected a loss object, such as "
                f"masklstm.losses.MeanSquaredError(). Received: loss={loss!r}"
            )
        self.loss = loss
        self.supports_masking = True

    def call(self, y_pred: Any, y_true: Any = None, sample_weight: Any = None) -> Any:
        if y_true is not None:
            self.add_loss(self.loss(y_true, y_pred, sample_weight))
        return y_pred

    def compute_output_shape(
        self, y_pred_shape: Any, y_true_shape: Any = None, sample_weight_shape: Any = None
    ) -> Any:
        return y_pred_shape

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "loss": complete_config(self.loss)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "MaskedLoss":
        return cls(**{**config, "loss": keras.saving.deserialize_keras_object(config["loss"])})
