"""`Impute`: partly missing inputs are filled, and the model is told."""

from collections.abc import Iterable
from typing import Any

import keras
import numpy as np
from keras import ops

from masklstm._core.keras_compat import get_keras_mask
from masklstm._core.packing import pack
from masklstm._core.refusals import unknown_name
from masklstm._core.shown import ShowsArguments
from masklstm.layers._missing import is_missing, mask_value_config, standardize_mask_value

STRATEGIES = ("zero", "mean", "last", "learned")


@keras.saving.register_keras_serializable(package="masklstm")
class Impute(ShowsArguments, keras.layers.Layer):  # type: ignore[misc]  # Keras has no types
    """Fills missing inputs and appends what was missing.

    Formula: `filled = where(inputs is missing, fill, inputs)`; the outputs are `filled`, then
    `inputs is missing` as 0 and 1 (`indicator`), then the steps since the last observation
    (`elapsed`), one after the other along the last axis. The fill is, by `strategy`:

    | strategy | fill |
    | --- | --- |
    | `"zero"` | 0: the mean, if the inputs are standardised |
    | `"mean"` | the feature's mean over all observations, from `adapt` or `mean` |
    | `"last"` | the feature's last observation in the row; 0 before the first one |
    | `"learned"` | a number for each feature, learned like any weight, 0 at first |

    A model that is told what was missing can use that, and can tell a filled 0 from a measured one.
    `elapsed` is 0 at an observation; before the first one it counts as if there had been one just
    before the row. A step never depends on later ones, so a forecast can be made at any step.

    Args:
        strategy: See above.
        indicator: Whether to append what was missing.
        elapsed: Whether to append the number of steps since the last observation.
        mask_value: The value that means "missing"; NaN by default. With a number only that one
            does, and NaN is left as it is.
        mean: The means, a number for each feature or one for all; only for `"mean"`, instead of
            `adapt`. Without either the fill is NaN, so that a forgotten one is noticed.
        **kwargs: Keras's for every layer, such as `name` and `dtype`.

    Call arguments:
        inputs: Shape `(batch, time, features)`, or with axes between these two, as in maps `(batch,
            time, lat, lon, channels)`: each place is a series of its own, and the fills are those
            of the features, the last axis. Floating point or integer. The value is compared in
            the inputs' own type, before they are cast to the layer's `compute_dtype`.
        mask: An earlier layer's, shape `(batch, time)`, or with more of the inputs' axes except the
            last: what it masks counts as missing, and stays masked.

    Returns:
        Shape `(batch, time, ..., k * features)` with k from 1 to 3, in the layer's `compute_dtype`.

    Raises:
        ValueError: For an unknown strategy, a `mask_value` that is not a number, means that do not
            match the features, inputs with fewer than three axes, a mask that does not fit.

    Example:

    >>> import numpy as np, masklstm
    >>> x = np.array([[[1.0], [float("nan")], [3.0]]], "float32")
    >>> masklstm.layers.Impute("last", elapsed=True)(x).numpy().tolist()
    [[[1.0, 0.0, 0.0], [1.0, 1.0, 1.0], [3.0, 0.0, 0.0]]]
    >>> layer = masklstm.layers.Impute("mean", indicator=False)
    >>> layer.adapt(x)
    >>> layer(x).numpy().tolist()
    [[[1.0], [2.0], [3.0]]]

    Source: Z. C. Lipton, D. C. Kale, R. Wetzel, "Directly Modeling Missing Data in Sequences with
    RNNs", 2016 (indicators); Z. Che and others, "Recurrent Neural Networks for Multivariate Time
    Series with Missing Values", 2018 (elapsed time).
    """

    def __init__(
        self,
        strategy: str = "zero",
        indicator: bool = True,
        elapsed: bool = False,
        mask_value: float = float("nan"),
        mean: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**{"autocast": False, **kwargs})
        if strategy not in STRATEGIES:
            raise unknown_name("strategy", strategy, STRATEGIES)
        if mean is not None and strategy != "mean":
            raise ValueError(
                "Argument 'mean' is for strategy 'mean' alone. "
                f"Received: mean={mean!r} with strategy={strategy!r}"
            )
        self.strategy = strategy
        self.indicator = indicator
        self.elapsed = elapsed
        self.mask_value = standardize_mask_value(mask_value)
        self.input_mean = None if mean is None else _standardize_mean(mean)
        self.supports_masking = True

    def build(self, input_shape: Any) -> None:
        if len(input_shape) < 3 or input_shape[-1] is None:
            raise ValueError(
                "Expected inputs of shape (batch, time, features), or with axes between the last "
                "two, with a known number of features. "
                f"Received: inputs with shape {tuple(input_shape)}"
            )
        shape = (input_shape[-1],)
        if self.strategy == "learned":
            self.fill = self.add_weight(shape=shape, initializer="zeros", name="fill")
        elif self.strategy == "mean":
            mean = float("nan") if self.input_mean is None else self.input_mean
            if np.shape(mean) not in ((), shape):
                raise ValueError(
                    f"Expected 'mean' to have a number for each of the {shape[0]} features, or one "
                    f"for all. Received: mean={mean!r}"
                )
            # As the initializer: Keras drops what is assigned while a model is built symbolically.
            self.fill = self.add_weight(
                shape=shape,
                initializer=lambda shape, dtype: ops.convert_to_tensor(
                    np.broadcast_to(mean, shape), dtype
                ),
                trainable=False,
                name="mean",
            )

    def adapt(self, data: Any) -> None:
        """Takes each feature's mean over all observations as its fill.

        Args:
            data: Inputs of shape `(batch, time, ..., features)`: an array, a tensor, or an iterable
                of batches such as a `tf.data.Dataset`, whose elements may also be tuples that begin
                with the inputs. They are read once, in float64. Steps that their Keras
                mask excludes do not count: `impute.adapt(masking(x))` for padded series.

        Raises:
            ValueError: If the strategy is not `"mean"`, or a feature has no observation at all.
        """
        if self.strategy != "mean":
            raise ValueError(
                "Only strategy 'mean' is adapted to data. "
                f"Received: a layer with strategy={self.strategy!r}"
            )
        total, count = np.float64(0), np.int64(0)
        shape = None
        for inputs in _batches(data):
            batch = np.asarray(inputs)
            if not self.built:
                self.build(batch.shape)
            if batch.ndim < 3 or batch.shape[-1] != self.fill.shape[0]:
                raise ValueError(
                    f"Expected data of shape (batch, time, {self.fill.shape[0]}), or with axes "
                    "between the last two. "
                    f"Received: a batch with shape {batch.shape}"
                )
            shape = batch.shape
            missing = np.asarray(is_missing(ops.convert_to_tensor(inputs), self.mask_value))
            missing = missing | np.isnan(batch)
            mask = get_keras_mask(inputs)
            if mask is not None:
                missing |= ~np.asarray(_spread(mask, batch))
            but_the_last = tuple(range(batch.ndim - 1))
            total = total + np.where(missing, 0, batch).sum(axis=but_the_last, dtype=np.float64)
            count = count + (~missing).sum(axis=but_the_last)
        if shape is None or not np.all(count):
            raise ValueError(
                "Expected data with at least one observation of each feature. Received: none of "
                f"{'any' if shape is None else np.flatnonzero(count == 0).tolist()}"
            )
        self.fill.assign(total / count)

    def call(self, inputs: Any, mask: Any = None) -> Any:
        is_gap = is_missing(inputs, self.mask_value)
        inputs = ops.cast(inputs, self.compute_dtype)
        if mask is not None:
            is_gap = ops.logical_or(is_gap, ops.logical_not(_spread(mask, inputs)))
        # Before anything is computed of it: a NaN would stay in the gradients.
        inputs = ops.where(is_gap, ops.zeros_like(inputs), inputs)
        outputs = [inputs]
        if self.strategy in ("mean", "learned"):
            outputs = [ops.where(is_gap, ops.cast(self.fill, inputs.dtype), inputs)]
        if self.strategy == "last" or self.elapsed:
            packing = pack(ops.logical_not(is_gap))
            has_last = packing.count > 0
            place = ops.maximum(packing.count - 1, 0)
            last = ops.take_along_axis(packing.order, place, axis=1)
            if self.strategy == "last":
                filled = ops.take_along_axis(inputs, last, axis=1)
                outputs = [ops.where(has_last, filled, ops.zeros_like(filled))]
        if self.indicator:
            outputs.append(ops.cast(is_gap, inputs.dtype))
        if self.elapsed:
            steps = ops.arange(ops.shape(inputs)[1], dtype="int32")
            steps = ops.reshape(steps, (1, -1) + (1,) * (len(inputs.shape) - 2))
            last = ops.where(has_last, last, -1)
            outputs.append(ops.cast(steps - last, inputs.dtype))
        return ops.concatenate(outputs, axis=-1) if len(outputs) > 1 else outputs[0]

    def compute_output_shape(self, input_shape: Any) -> Any:
        parts = 1 + bool(self.indicator) + bool(self.elapsed)
        return (*input_shape[:-1], parts * input_shape[-1])

    def get_config(self) -> dict[str, Any]:
        config = {
            **super().get_config(),
            "strategy": self.strategy,
            "indicator": self.indicator,
            "elapsed": self.elapsed,
            **mask_value_config(self.mask_value),
        }
        if self.input_mean is not None:
            config["mean"] = self.input_mean
        return config


def _spread(mask: Any, inputs: Any) -> Any:
    """A mask over the inputs' first axes, with an axis of 1 for each of the others."""
    mask = ops.cast(mask, "bool")
    given, shape = tuple(mask.shape), tuple(inputs.shape)
    if not 2 <= len(given) < len(shape) or any(
        own is not None and length is not None and own != length
        for own, length in zip(given, shape, strict=False)
    ):
        raise ValueError(
            f"Incompatible shape for argument 'mask'. Expected {shape[:2]}, or more of the inputs' "
            f"axes but the last. Received: mask with shape {given} for inputs with shape {shape}"
        )
    for _ in range(len(shape) - len(given)):
        mask = ops.expand_dims(mask, axis=-1)
    return mask


def _standardize_mean(mean: Any) -> Any:
    """A number, or a list of them."""
    try:
        return np.asarray(mean, "float64").tolist()
    except (TypeError, ValueError, OverflowError):
        raise ValueError(
            "Invalid value for argument 'mean'. Expected a number for each feature, or one for "
            f"all. Received: mean={mean!r}"
        ) from None


def _batches(data: Any) -> Iterable[Any]:
    if hasattr(data, "shape"):
        yield data
        return
    for element in data:
        yield element[0] if isinstance(element, tuple) else element
