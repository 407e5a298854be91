"""`Normalization`: Keras's layer, for data with gaps."""

from typing import Any

import keras
import numpy as np
from keras import ops

from masklstm._core.shown import ShowsArguments
from masklstm.layers._adapting import Moments, batches
from masklstm.layers._numbers import standardize_numbers


@keras.saving.register_keras_serializable(package="masklstm")
class Normalization(ShowsArguments, keras.layers.Layer):  # type: ignore[misc]  # Keras has no types
    """Scales each feature to mean 0 and variance 1 over what has been observed, and back.

    Formula: `(inputs - mean) / sqrt(variance)`; with `invert`, `inputs * sqrt(variance) + mean`.
    NaN stays NaN.

    `keras.layers.Normalization` has a mean of NaN after one NaN in a million numbers. Adapt this
    one to the training part alone: what it knows of the others leaks into the model.

    A feature that is constant has the scale 1, and becomes 0; one that was never observed has the
    mean 0 and the scale 1. A number that means "missing", such as -999, has to be NaN before
    (`masklstm.data.read_table(..., missing=-999)`): scaled, it cannot be recognised any more.

    Args:
        axis: The axis of the features, or several: each place along these has a mean of its own.
            Negative ones fit inputs of any number of axes. None: one mean for everything.
        mean, variance: Numbers for each feature, instead of `adapt`; both or neither. Without
            either the outputs are NaN, so that a forgotten one is noticed.
        invert: Scale back, as the last layer of a model, whose predictions then have the data's
            unit. `layer.inverse()` makes such a layer.
        **kwargs: Keras's for every layer, such as `name` and `dtype`. With mixed precision the last
            layer of a model needs `dtype="float32"`.

    Call arguments:
        inputs: Of any shape that has the axes. They are scaled in their own type if it has more
            digits than the layer's.

    Returns:
        The inputs' shape, in the layer's `compute_dtype`.

    Raises:
        ValueError: For means that do not match the features, an axis that the inputs do not have.

    Example:

    >>> import masklstm, numpy as np
    >>> x = np.array([[1.0, 20.0], [np.nan, 30.0], [3.0, np.nan]])
    >>> scale = masklstm.layers.Normalization()
    >>> scale.adapt(x)
    >>> scale(x).numpy().tolist()
    [[-1.0, -1.0], [nan, 1.0], [1.0, nan]]
    >>> scale.inverse()(scale(x)).numpy().tolist()
    [[1.0, 20.0], [nan, 30.0], [3.0, nan]]

    Source: `keras.layers.Normalization`.
    """

    def __init__(
        self,
        axis: int | tuple[int, ...] | None = -1,
        mean: Any = None,
        variance: Any = None,
        invert: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**{"autocast": False, **kwargs})
        if (mean is None) != (variance is None):
            raise ValueError(
                "Expected 'mean' and 'variance' together, or neither. "
                f"Received: mean={mean!r}, variance={variance!r}"
            )
        self.axis = axis if axis is None or isinstance(axis, int) else tuple(axis)
        self.invert = invert
        self.input_mean = None if mean is None else standardize_numbers("mean", mean)
        self.input_variance = (
            None if variance is None else standardize_numbers("variance", variance)
        )
        if variance is not None and not np.all(np.asarray(self.input_variance) >= 0):
            raise ValueError(
                "Invalid value for argument 'variance'. Expected numbers from 0 on. "
                f"Received: variance={variance!r}"
            )
        self.supports_masking = True

    def _places(self, rank: int) -> list[int]:
        """The axes of the features."""
        axes = (
            () if self.axis is None else (self.axis,) if isinstance(self.axis, int) else self.axis
        )
        if any(not -rank <= axis < rank for axis in axes):
            raise ValueError(
                f"Expected inputs that have axis={self.axis!r}. Received: inputs with {rank} axes"
            )
        return sorted({axis % rank for axis in axes})

    def build(self, input_shape: Any) -> None:
        shape = tuple(input_shape[place] for place in self._places(len(input_shape)))
        if None in shape:
            raise ValueError(
                f"Expected inputs whose length along axis={self.axis!r} is known. "
                f"Received: inputs with shape {tuple(input_shape)}"
            )
        given = self.input_mean, self.input_variance
        self.mean, self.variance = (
            self.add_weight(
                shape=shape,
                # As the initializer: Keras drops what is assigned while a model is built.
                initializer=_filled_with(value, shape, name),
                dtype="float64",
                autocast=False,
                trainable=False,
                name=name,
            )
            for name, value in zip(("mean", "variance"), given, strict=True)
        )

    def adapt(self, data: Any) -> None:
        """Takes mean and variance of all that has been observed, in float64.

        Args:
            data: An array, tensor or data frame whose last axes are those of the inputs (windows
                are not needed: the rows of a table will do), or an iterable of batches such as a
                `tf.data.Dataset` or `keras.utils.PyDataset`, whose elements may be tuples that
                begin with the inputs. It is read once. What its Keras mask excludes does not count.

        Raises:
            ValueError: For data without a batch, with other features than before, or of one axis
                where the features are the last one.
        """
        if self.input_mean is not None:
            raise ValueError("A layer with a given 'mean' is not adapted to data")
        moments = None
        for _, values in batches(data):
            if values.ndim < 2 and self.axis is not None:
                raise ValueError(
                    "Expected data with a last axis of features, as table[['flow']] of a frame, or "
                    f"x[:, None]. Received: data with shape {values.shape}"
                )
            if not self.built:
                self.build(values.shape)
            places = self._places(values.ndim)
            shape = tuple(values.shape[place] for place in places)
            if shape != tuple(self.mean.shape):
                raise ValueError(
                    f"Expected data with {tuple(self.mean.shape)} features. "
                    f"Received: data with shape {values.shape}"
                )
            others = [place for place in range(values.ndim) if place not in places]
            rows = values.transpose([*others, *places]).reshape(-1, int(np.prod(shape, dtype=int)))
            moments = moments or Moments(rows.shape[1])
            moments.add(rows)
        if moments is None:
            raise ValueError("Expected data with a batch or more. Received: none")
        self.mean.assign(moments.mean.reshape(shape))
        self.variance.assign(moments.variance.reshape(shape))

    def inverse(self) -> "Normalization":
        """A layer that scales back with the same numbers, or forth if this one scales back.

        In float64 if this one is, else in float32 whatever the policy: data's units have more
        digits than half types.
        """
        if not self.built:
            raise ValueError("Expected a layer that has been adapted, or has a mean")
        mean, variance = (np.asarray(weight).tolist() for weight in (self.mean, self.variance))
        dtype = "float64" if self.compute_dtype == "float64" else "float32"
        return type(self)(self.axis, mean, variance, invert=not self.invert, dtype=dtype)

    def call(self, inputs: Any) -> Any:
        inputs = ops.convert_to_tensor(inputs)
        rank = len(inputs.shape)
        # A mean of thousands needs more digits than half precision has.
        dtype = keras.backend.result_type(inputs.dtype, self.compute_dtype, "float32")
        places = self._places(rank)
        shape = [inputs.shape[place] if place in places else 1 for place in range(rank)]
        mean, variance = (ops.reshape(weight, shape) for weight in (self.mean, self.variance))
        scale = ops.sqrt(ops.where(ops.equal(variance, 0), ops.ones_like(variance), variance))
        inputs, mean, scale = (ops.cast(x, dtype) for x in (inputs, mean, scale))
        outputs = inputs * scale + mean if self.invert else (inputs - mean) / scale
        return ops.cast(outputs, self.compute_dtype)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        config = {**super().get_config(), "axis": self.axis, "invert": self.invert}
        if self.input_mean is not None:
            config |= {"mean": self.input_mean, "variance": self.input_variance}
        return config


def _filled_with(value: Any, shape: tuple[int, ...], name: str) -> Any:
    value = float("nan") if value is None else value
    try:
        filled = np.broadcast_to(value, shape)
    except ValueError:
        raise ValueError(
            f"Expected '{name}' to have a number for each feature, shape {shape}, or one for all. "
            f"Received: {name}={value!r}"
        ) from None
    return lambda shape, dtype: ops.convert_to_tensor(filled, dtype)
