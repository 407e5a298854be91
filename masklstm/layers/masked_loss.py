"""`MaskedLoss`: an endpoint of a model that adds a loss."""

from typing import Any

import keras

from masklstm._core.keras_compat import complete_config
from masklstm._core.shown import ShowsArguments
from masklstm.metrics.base import put_labels_on_predictions


@keras.saving.register_keras_serializable(package="masklstm")
class MaskedLoss(ShowsArguments, keras.layers.Layer):  # type: ignore[misc]  # Keras has no types
    """Adds a loss to the model and passes the predictions on.

    Formula: `add_loss(loss(y_true, y_pred, sample_weight))`; the outputs are `y_pred`.

    For models whose labels are inputs, because the loss needs more than `compile(loss=...)` gives
    it. Such a model is compiled without a loss. To forecast or export, make another `keras.Model`
    from the same tensors that ends before this layer: it has the same weights, and needs neither
    labels nor the native library.

    Keras passes no labels to `compile(metrics=...)` there. If this layer makes the model's only
    output and has no weights, masklstm's metrics find them all the same (but not under
    `tf.distribute`); any other metric belongs in `metrics`.

    Args:
        loss: One of `masklstm.losses`, or any Keras loss.
        metrics: Metric objects, such as those of `masklstm.metrics`. The layer updates them with
            its labels, predictions and weights. They appear in the logs of `fit` and `evaluate`
            under their names, which must differ from those of all other metrics of the model.
        **kwargs: Keras's for every layer, such as `name`.

    Call arguments:
        y_pred: Predictions, shape `(batch, ..., features)`. Their Keras mask, if any, is applied.
        y_true: Labels of the same shape; None to add nothing.
        sample_weight: Weights, as the loss takes them.

    Returns:
        `y_pred`.

    Raises:
        ValueError: If `loss` is not a `keras.losses.Loss`, or `metrics` is not a list of
            `keras.metrics.Metric` with different names; and whenever the loss raises it.

    Example:

    >>> import keras, masklstm, numpy as np
    >>> x, y_true = keras.Input((4, 2)), keras.Input((4, 1))
    >>> y_pred = keras.layers.LSTM(1, return_sequences=True)(x)
    >>> loss = masklstm.losses.MeanSquaredError()
    >>> layer = masklstm.layers.MaskedLoss(loss, metrics=[masklstm.metrics.R2Score()])
    >>> model = keras.Model([x, y_true], layer(y_pred, y_true))
    >>> model.compile("adam")
    >>> labels = np.ones((8, 4, 1), "float32")
    >>> labels[0] = np.nan
    >>> history = model.fit([np.ones((8, 4, 2)), labels], verbose=0)
    >>> bool(np.isfinite(history.history["loss"][0])), "r2_score" in history.history
    (True, True)
    >>> forecaster = keras.Model(x, y_pred)

    Source: Keras's `add_loss`.
    """

    def __init__(self, loss: Any, metrics: Any = None, **kwargs: Any) -> None:
        # Labels are read in the type that they have: a half type may have no -999.
        super().__init__(**{"autocast": False, **kwargs})
        if not isinstance(loss, keras.losses.Loss):
            raise ValueError(
                "Invalid value for argument 'loss'. Expected a loss object, such as "
                f"masklstm.losses.MeanSquaredError(). Received: loss={loss!r}"
            )
        self.loss = loss
        self.label_metrics = _as_metrics(metrics)
        self.supports_masking = True

    def call(self, y_pred: Any, y_true: Any = None, sample_weight: Any = None) -> Any:
        if y_true is None:
            return y_pred
        self.add_loss(self.compute_loss(y_true, y_pred, sample_weight))
        for metric in self.label_metrics:
            metric.update_state(y_true, y_pred, sample_weight)
        # A metric of compile() has no weights to give to them.
        return y_pred if sample_weight is not None else put_labels_on_predictions(y_true, y_pred)

    def compute_loss(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """What `call` adds to the model's losses."""
        return self.loss(y_true, y_pred, sample_weight)

    def compute_output_shape(
        self, y_pred_shape: Any, y_true_shape: Any = None, sample_weight_shape: Any = None
    ) -> Any:
        return y_pred_shape

    def get_config(self) -> dict[str, Any]:
        config = {**super().get_config(), "loss": complete_config(self.loss)}
        if self.label_metrics:
            config["metrics"] = [complete_config(metric) for metric in self.label_metrics]
        return config

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "MaskedLoss":
        given = (name for name in ("loss", "metrics") if name in config)
        made = {name: keras.saving.deserialize_keras_object(config[name]) for name in given}
        return cls(**(config | made))


def _as_metrics(metrics: Any) -> list[Any]:
    given = [] if metrics is None else metrics
    if not isinstance(given, (list, tuple)) or not all(
        isinstance(metric, keras.metrics.Metric) for metric in given
    ):
        raise ValueError(
            "Invalid value for argument 'metrics'. Expected a list of metric objects, such as "
            f"[masklstm.metrics.MeanAbsoluteError()]. Received: metrics={metrics!r}"
        )
    names = [metric.name for metric in given]
    if len(set(names)) < len(names):
        raise ValueError(
            "Invalid value for argument 'metrics'. Expected metrics with different names, under "
            f"which they appear in the logs. Received: metrics with the names {names}"
        )
    return list(given)
