"""`Distribution`: the head of a model that predicts distributions."""

import math
from typing import Any

import keras
import numpy as np
from keras import ops

from masklstm._core.refusals import number_or_nan, out_of_domain
from masklstm._core.shown import ShowsArguments
from masklstm.distributions.catalogue import find_family
from masklstm.distributions.family import Parameter

_LEAST_DEGREES = 2.0
_FIRST_DEGREES = 5.0
_MOST_FLOOR = 0.25


@keras.saving.register_keras_serializable(package="masklstm")
class Distribution(ShowsArguments, keras.layers.Layer):  # type: ignore[misc]  # Keras has no types
    """A dense layer whose outputs are the parameters of a distribution for each label.

    Formula: `raw = inputs @ kernel + bias`, cut into `features` groups of k channels, in the order
    in which docs/probabilistic.md lists them. Then, channel by channel,

    - `raw` for means and locations of real numbers, and for logits,
    - `softplus(raw) + floor` for what has to be above 0: scales, rates, concentrations, dispersions
      and means of counts,
    - `2 + softplus(raw) + floor` for the degrees of freedom of student_t, whose variance stays
      finite,
    - `floor + (1 - 2 * floor) * sigmoid(raw)` for the asymmetry.

    Biases begin such that what is above 0 is near 1, degrees of freedom near 5, and the asymmetry
    1/2; the locations of a mixture's components begin between -1 and 1. So labels should be
    standardised, or divided by their mean if they are positive; counts stay whole numbers.

    Args:
        family: `"gaussian"`, `"laplace"`, `"student_t"`, `"asymmetric_laplace"`, `"lognormal"`,
            `"gamma"`, `"beta"`, `"negative_binomial"`, `"poisson"`, `"bernoulli"` or `"tweedie"`.
        features: How many labels there are for each row of inputs.
        components: The number of components of a mixture of gaussian, laplace or
            asymmetric_laplace.
        floor: The least value of what is above 0; a number above 0, and at most 0.25. A likelihood
            grows without end where a scale falls to 0.
        kernel_initializer, kernel_regularizer: As for `keras.layers.Dense`.
        **kwargs: Keras's for every layer, such as `name` and `dtype`.

    Call arguments:
        inputs: Shape `(batch, ..., d)`. A Keras mask is handed on.

    Returns:
        Shape `(batch, ..., features, k)`, in the layer's `compute_dtype`, but at least float32:
        half types would round an asymmetry to 1.

    Raises:
        ValueError: For an unknown family, components of a family that has no mixtures, a number of
            features or components below 1, a `floor` outside of (0, 0.25].

    Example:

    >>> import numpy as np, masklstm
    >>> layer = masklstm.layers.Distribution("gaussian", features=3, kernel_initializer="zeros")
    >>> layer(np.zeros((2, 5, 4), "float32")).shape
    TensorShape([2, 5, 3, 2])
    >>> layer(np.zeros((1, 4), "float32")).numpy()[0, 0].round(5).tolist()  # mean 0, scale 1
    [0.0, 1.0]

    Source: C. M. Bishop, "Mixture Density Networks", 1994; D. Salinas and others, "DeepAR:
    Probabilistic Forecasting with Autoregressive Recurrent Networks", 2020.
    """

    def __init__(
        self,
        family: str,
        features: int = 1,
        components: int = 1,
        floor: float = 1e-3,
        kernel_initializer: Any = "glorot_uniform",
        kernel_regularizer: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._distribution = find_family(family, components)
        if type(features) is not int or features < 1:
            raise out_of_domain("features", "1, 2, 3, ...", features)
        if not 0 < number_or_nan(floor) <= _MOST_FLOOR:
            raise out_of_domain("floor", f"(0, {_MOST_FLOOR}]", floor)
        self.family = family
        self.features = features
        self.components = components
        self.floor = float(floor)
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)
        self.supports_masking = True

    def build(self, input_shape: Any) -> None:
        if len(input_shape) < 2 or input_shape[-1] is None:
            raise ValueError(
                "Expected inputs of shape (batch, ..., d) with a known number of entries d. "
                f"Received: inputs with shape {tuple(input_shape)}"
            )
        outputs = self.features * self._distribution.channels
        self.kernel = self.add_weight(
            shape=(input_shape[-1], outputs),
            initializer=self.kernel_initializer,
            regularizer=self.kernel_regularizer,
            name="kernel",
        )
        blocks = [self._first_bias(parameter) for parameter in self._distribution.parameters]
        first = np.tile(np.concatenate(blocks), self.features)
        self.bias = self.add_weight(
            shape=(outputs,),
            initializer=lambda shape, dtype: ops.convert_to_tensor(first, dtype),
            name="bias",
        )

    def _first_bias(self, parameter: Parameter) -> Any:
        """Of all components."""
        bias = np.zeros(self.components)
        if parameter.name == "degrees":
            bias += _inverse_softplus(_FIRST_DEGREES - _LEAST_DEGREES - self.floor)
        elif parameter.domain == "(0, inf)":
            bias += _inverse_softplus(1.0 - self.floor)
        elif parameter.name != "logit" and self.components > 1 and parameter.domain[1] == "-":
            bias = np.linspace(-1.0, 1.0, self.components)  # or all would learn the same
        return bias

    def call(self, inputs: Any) -> Any:
        raw = ops.add(ops.matmul(inputs, self.kernel), self.bias)
        raw = ops.cast(raw, self._output_dtype)
        shape = (*ops.shape(inputs)[:-1], self.features, self._distribution.channels)
        blocks = ops.split(ops.reshape(raw, shape), len(self._distribution.parameters), axis=-1)
        blocks = [
            self._constrained(parameter, block)
            for parameter, block in zip(self._distribution.parameters, blocks, strict=True)
        ]
        return ops.concatenate(blocks, axis=-1) if len(blocks) > 1 else blocks[0]

    def _constrained(self, parameter: Parameter, raw: Any) -> Any:
        if parameter.domain == "(0, 1)":
            return self.floor + (1.0 - 2.0 * self.floor) * ops.sigmoid(raw)
        if parameter.domain == "(0, inf)":
            least = self.floor + (_LEAST_DEGREES if parameter.name == "degrees" else 0.0)
            return ops.softplus(raw) + least
        return raw

    @property
    def _output_dtype(self) -> str:
        return "float64" if self.compute_dtype == "float64" else "float32"

    def compute_output_shape(self, input_shape: Any) -> Any:
        return (*input_shape[:-1], self.features, self._distribution.channels)

    def compute_output_spec(self, inputs: Any) -> Any:
        shape = self.compute_output_shape(inputs.shape)
        return keras.KerasTensor(shape, dtype=self._output_dtype)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "family": self.family,
            "features": self.features,
            "components": self.components,
            "floor": self.floor,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "kernel_regularizer": keras.regularizers.serialize(self.kernel_regularizer),
        }


def _inverse_softplus(value: float) -> float:
    return math.log(math.expm1(value))
