"""`Impute`: partly missing inputs are filled, and the model is told."""

from typing import Any

import keras
import numpy as np
from keras import ops

from masklstm._core.refusals import unknown_name
from masklstm._core.shown import ShowsArguments
from masklstm.layers._adapting import Moments, batches
from masklstm.layers._last_seen import (
    LastSeen,
    last_seen,
    standardize_times,
    step_numbers,
    time_since,
)
from masklstm.layers._missing import is_missing, mask_value_config, standardize_mask_value
from masklstm.layers._numbers import standardize_numbers

STRATEGIES = ("zero", "mean", "last", "decay", "learned")
_FIRST_DECAY = 0.1  # below 0 it would have no gradient
_WITH_MEAN = ("mean", "decay")


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
    | `"decay"` | `mean + a (last - mean)`; the mean before the first observation |
    | `"learned"` | a number for each feature, learned like any weight, 0 at first |

    In `"decay"`, `a = exp(-max(0, w t + b))` falls with the time t since the last observation; w
    and b are learned for each feature, and 0.1 and 0 at first.

    A model that is told what was missing can use that, and can tell a filled 0 from a measured one.
    `elapsed` is 0 at an observation; before the first one it counts as if there had been one just
    before the row. A step never depends on later ones, so a forecast can be made at any step.

    Args:
        strategy: See above.
        indicator: Whether to append what was missing.
        elapsed: Whether to append the number of steps, or the time, since the last observation.
        mask_value: The value that means "missing"; NaN by default. With a number only that one
            does, and NaN is left as it is.
        mean: The means, a number for each feature or one for all; only for `"mean"` and `"decay"`,
            instead of `adapt`. Without either the fill is NaN, so that a forgotten one is noticed.
        **kwargs: Keras's for every layer, such as `name` and `dtype`.

    Call arguments:
        inputs: Shape `(batch, time, features)`, or with axes between these two, as in maps `(batch,
            time, lat, lon, channels)`: each place is a series of its own, and the fills are those
            of the features, the last axis. Floating point or integer. The value is compared in
            the inputs' own type, before they are cast to the layer's `compute_dtype`.
        times: The times of the steps, shape `(batch, time)`, rising, in any unit, for series whose
            steps are not alike: `elapsed` and `"decay"` then count these. Before the first
            observation they count from the first step.
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
    Series with Missing Values", 2018 (elapsed time, decay).
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
        if mean is not None and strategy not in _WITH_MEAN:
            raise ValueError(
                "Argument 'mean' is for strategies 'mean' and 'decay' alone. "
                f"Received: mean={mean!r} with strategy={strategy!r}"
            )
        self.strategy = strategy
        self.indicator = indicator
        self.elapsed = elapsed
        self.mask_value = standardize_mask_value(mask_value)
        self.input_mean = None if mean is None else standardize_numbers("mean", mean)
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
        elif self.strategy in _WITH_MEAN:
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
        if self.strategy == "decay":
            self.decay = self.add_weight(
                shape=shape, initializer=keras.initializers.Constant(_FIRST_DECAY), name="decay"
            )
            self.decay_bias = self.add_weight(shape=shape, initializer="zeros", name="decay_bias")

    def adapt(self, data: Any) -> None:
        """Takes each feature's mean over all observations as its fill.

        Args:
            data: Inputs of shape `(batch, time, ..., features)`, or the rows of a table, `(rows,
                features)`: an array, a tensor, a data frame, or an iterable of batches such as a
                `tf.data.Dataset`, whose elements may also be tuples that begin with the inputs.
                They are read once, in float64. Steps that their Keras mask excludes do not count:
                `impute.adapt(masking(x))` for padded series.

        Raises:
            ValueError: If the strategy has no mean, or a feature has no observation at all.
        """
        if self.strategy not in _WITH_MEAN:
            raise ValueError(
                "Only strategies 'mean' and 'decay' are adapted to data. "
                f"Received: a layer with strategy={self.strategy!r}"
            )
        moments = None
        for inputs, values in batches(data):
            if not self.built:
                self.build((None, *values.shape) if values.ndim == 2 else values.shape)
            if values.ndim < 2 or values.shape[-1] != self.fill.shape[0]:
                raise ValueError(
                    f"Expected data of shape (batch, time, {self.fill.shape[0]}), or with axes "
                    f"between the last two, or rows of {self.fill.shape[0]} features. "
                    f"Received: a batch with shape {values.shape}"
                )
            missing = is_missing(ops.convert_to_tensor(inputs), self.mask_value)
            values = np.where(np.asarray(missing), np.nan, values)
            moments = moments or Moments(values.shape[-1])
            moments.add(values.reshape(-1, values.shape[-1]))
        if moments is None or not np.all(moments.count):
            never = "any" if moments is None else np.flatnonzero(moments.count == 0).tolist()
            raise ValueError(
                "Expected data with at least one observation of each feature. "
                f"Received: none of {never}"
            )
        self.fill.assign(moments.mean)

    def call(self, inputs: Any, times: Any = None, mask: Any = None) -> Any:
        is_gap = is_missing(inputs, self.mask_value)
        inputs = ops.cast(inputs, self.compute_dtype)
        if mask is not None:
            is_gap = ops.logical_or(is_gap, ops.logical_not(_spread(mask, inputs)))
        # Before anything is computed of it: a NaN would stay in the gradients.
        inputs = ops.where(is_gap, ops.zeros_like(inputs), inputs)
        last, since = None, None
        if self.elapsed or self.strategy in ("last", "decay"):
            last = last_seen(ops.logical_not(is_gap))
            since = self._time_since(times, last, inputs)
        outputs = [self._filled(inputs, is_gap, last, since)]
        if self.indicator:
            outputs.append(ops.cast(is_gap, inputs.dtype))
        if self.elapsed:
            outputs.append(since)
        return ops.concatenate(outputs, axis=-1) if len(outputs) > 1 else outputs[0]

    def _time_since(self, times: Any, last: LastSeen, inputs: Any) -> Any:
        if times is not None:
            since = time_since(standardize_times(times, inputs), last, inputs)
        else:
            # As if there had been an observation just before the first step.
            since = step_numbers(inputs) - ops.where(last.is_there, last.step, -1)
        return ops.cast(since, inputs.dtype)

    def _filled(self, inputs: Any, is_gap: Any, last: LastSeen | None, since: Any) -> Any:
        if self.strategy == "zero":
            return inputs
        if last is None or self.strategy in ("mean", "learned"):
            return ops.where(is_gap, ops.cast(self.fill, inputs.dtype), inputs)
        seen = ops.take_along_axis(inputs, last.step, axis=1)
        if self.strategy == "last":
            return ops.where(last.is_there, seen, ops.zeros_like(seen))
        mean, decay, bias = (
            ops.cast(weight, inputs.dtype) for weight in (self.fill, self.decay, self.decay_bias)
        )
        fading = ops.exp(-ops.relu(since * decay + bias))
        filled = mean + ops.where(last.is_there, fading * (seen - mean), ops.zeros_like(seen))
        return ops.where(is_gap, filled, inputs)

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
