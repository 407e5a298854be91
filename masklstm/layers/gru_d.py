"""`GRUD`: a GRU that knows how long ago each input was observed.

Design:
    A. What is known of each input at a step (its last observation before, the time since then)
       depends on the inputs alone: it is found for all steps at once, and so are the decays and all
       products with inputs. Only the state goes from step to step.
    B. `_DecayedState` is the cell of a `keras.layers.RNN`, which does masks and states; what it
       gets at each step is the inputs' share of the gates, and the decay of the state.
    C. NaN is replaced before anything is computed of it: it would stay in the gradients.
"""

from typing import Any

import keras
import numpy as np
from keras import ops

from masklstm._core.shown import ShowsArguments
from masklstm.layers._adapting import Moments, batches
from masklstm.layers._last_seen import last_seen, standardize_times, step_numbers, time_since
from masklstm.layers._missing import check_series
from masklstm.layers._numbers import standardize_numbers

_GATES = 3


@keras.saving.register_keras_serializable(package="masklstm")
class GRUD(ShowsArguments, keras.layers.Layer):  # type: ignore[misc]  # Keras has no types
    """A gated recurrent unit for inputs with gaps: what is missing decays from its last observation
    to the feature's mean, and the state to 0.

    Formula: for the inputs x, m = 1 where x is observed and 0 where it is NaN, and d the time since
    the feature's last observation (before the first one, since the first step),

        a   = exp(-max(0, w_a * d + b_a))             a number for each feature
        c   = exp(-max(0, W_c d + b_c))               a number for each unit
        x'  = m x + (1 - m) (a x_last + (1 - a) mean)
        h'  = c * h
        z   = sigmoid(W_z x' + U_z h' + V_z m + b_z)
        r   = sigmoid(W_r x' + U_r h' + V_r m + b_r)
        g   = tanh(W_g x' + U_g (r * h') + V_g m + b_g)
        h   = (1 - z) h' + z g

    Nothing looks ahead: x_last is the last observation before the step, and the mean where there is
    none yet. Where everything is missing the inputs are the means.

    Args:
        units: The size of the state.
        return_sequences: Return the state of each step, not only that of the last one.
        return_state: Return the last state as well.
        mean: Each feature's mean, or one number for all: 0.0 for standardised inputs. By default
            `adapt` has to be called first.
        activation, recurrent_activation: Of g, and of z and r.
        kernel_initializer, recurrent_initializer, bias_initializer: Of W and V, of U, and of b.
        decay_initializer: Of w_a and W_c. Below 0 they would have no gradient.
        **kwargs: Keras's for every layer, such as `name` and `dtype`.

    Call arguments:
        inputs: Shape `(batch, time, features)`, floating point, NaN where nothing was observed.
        times: The times of the steps, shape `(batch, time)`, rising, in any unit, for irregular
            series. By default the steps are 1 apart.
        mask: A Keras mask, shape `(batch, time)`: masked steps leave the state as it is, and are no
            observations.
        initial_state: Shape `(batch, units)`; 0 by default.

    Returns:
        Shape `(batch, units)`, or `(batch, time, units)` with `return_sequences`; with
        `return_state` a pair of these and the last state.

    Raises:
        ValueError: For inputs of other axes, means that do not match the features, a layer that has
            no mean.

    Example:

    >>> import keras, masklstm, numpy as np
    >>> x = np.random.default_rng(0).normal(size=(8, 20, 3)).astype("float32")
    >>> x[:, 5:15, 1] = np.nan
    >>> layer = masklstm.layers.GRUD(4, mean=0.0)
    >>> layer(x).shape, bool(np.isnan(layer(x)).any())
    (TensorShape([8, 4]), False)

    Source: Z. Che, S. Purushotham, K. Cho, D. Sontag, Y. Liu, "Recurrent Neural Networks for
    Multivariate Time Series with Missing Values", 2018.
    """

    def __init__(
        self,
        units: int,
        return_sequences: bool = False,
        return_state: bool = False,
        mean: Any = None,
        activation: Any = "tanh",
        recurrent_activation: Any = "sigmoid",
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
        decay_initializer: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.units = units
        self.return_sequences, self.return_state = return_sequences, return_state
        self.input_mean = None if mean is None else standardize_numbers("mean", mean)
        self.activation = keras.activations.get(activation)
        self.recurrent_activation = keras.activations.get(recurrent_activation)
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.recurrent_initializer = keras.initializers.get(recurrent_initializer)
        self.bias_initializer = keras.initializers.get(bias_initializer)
        self.decay_initializer = keras.initializers.get(
            decay_initializer or keras.initializers.RandomUniform(0.0, 0.1)
        )
        self.rnn = keras.layers.RNN(
            _DecayedState(
                units,
                self.activation,
                self.recurrent_activation,
                self.recurrent_initializer,
                dtype=self.dtype_policy,
            ),
            return_sequences=return_sequences,
            return_state=return_state,
            dtype=self.dtype_policy,
        )
        self.supports_masking = True

    def build(self, input_shape: Any) -> None:
        features, gates = check_series(input_shape), _GATES * self.units
        if self.input_mean is None:
            raise ValueError(
                "Expected the means of the features: call adapt(x) first, or give mean=0.0 for "
                "standardised inputs"
            )
        if np.shape(self.input_mean) not in ((), (features,)):
            raise ValueError(
                f"Expected 'mean' to have a number for each of the {features} features, or one for "
                f"all. Received: mean={self.input_mean!r}"
            )
        mean = np.broadcast_to(self.input_mean, (features,))

        def weight(name: str, shape: tuple[int, ...], initializer: Any, **options: Any) -> Any:
            return self.add_weight(shape=shape, initializer=initializer, name=name, **options)

        self.kernel = weight("kernel", (features, gates), self.kernel_initializer)
        self.mask_kernel = weight("mask_kernel", (features, gates), self.kernel_initializer)
        self.bias = weight("bias", (gates,), self.bias_initializer)
        self.input_decay = weight("input_decay", (features,), self.decay_initializer)
        self.input_decay_bias = weight("input_decay_bias", (features,), "zeros")
        self.state_decay = weight("state_decay", (features, self.units), self.decay_initializer)
        self.state_decay_bias = weight("state_decay_bias", (self.units,), "zeros")
        self.mean = weight(
            "mean",
            (features,),
            lambda shape, dtype: ops.convert_to_tensor(mean, dtype),
            trainable=False,
        )
        self.rnn.build((*input_shape[:-1], gates + self.units))

    def adapt(self, data: Any) -> None:
        """Takes each feature's mean over all observations, as `Normalization.adapt` reads them."""
        moments = None
        for _, values in batches(data):
            moments = moments or Moments(values.shape[-1])
            moments.add(values.reshape(-1, values.shape[-1]))
        if moments is None or not np.all(moments.count):
            raise ValueError("Expected data with at least one observation of each feature")
        self.input_mean = moments.mean.tolist()
        if self.built:
            self.mean.assign(moments.mean)

    def call(
        self, inputs: Any, times: Any = None, mask: Any = None, initial_state: Any = None
    ) -> Any:
        is_observed = ops.logical_not(ops.isnan(inputs))
        if mask is not None:
            is_observed = ops.logical_and(is_observed, ops.expand_dims(ops.cast(mask, "bool"), -1))
        observed = ops.cast(is_observed, inputs.dtype)
        inputs = ops.where(is_observed, inputs, ops.zeros_like(inputs))
        last = last_seen(is_observed, before=True)
        steps = step_numbers(inputs) if times is None else standardize_times(times, inputs)
        since = ops.cast(time_since(steps, last, inputs), inputs.dtype)
        mean = ops.cast(self.mean, inputs.dtype)
        seen = ops.where(last.is_there, ops.take_along_axis(inputs, last.step, axis=1), mean)
        fading = _decay(since * self.input_decay + self.input_decay_bias)
        filled = ops.where(is_observed, inputs, mean + fading * (seen - mean))
        shares = ops.matmul(filled, self.kernel) + ops.matmul(observed, self.mask_kernel)
        decay = _decay(ops.matmul(since, self.state_decay) + self.state_decay_bias)
        steps = ops.concatenate([shares + self.bias, decay], axis=-1)
        result = self.rnn(
            steps, initial_state=None if initial_state is None else [initial_state], mask=mask
        )
        return tuple(result) if self.return_state else result

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        known = previous_mask if self.return_sequences else None
        return (known, None) if self.return_state else known

    def compute_output_shape(self, input_shape: Any, **kwargs: Any) -> Any:
        batch, time, _ = input_shape
        shape = (batch, time, self.units) if self.return_sequences else (batch, self.units)
        return (shape, (batch, self.units)) if self.return_state else shape

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "units": self.units,
            "return_sequences": self.return_sequences,
            "return_state": self.return_state,
            "mean": self.input_mean,
            "activation": keras.activations.serialize(self.activation),
            "recurrent_activation": keras.activations.serialize(self.recurrent_activation),
            **{
                name: keras.initializers.serialize(getattr(self, name))
                for name in (
                    "kernel_initializer",
                    "recurrent_initializer",
                    "bias_initializer",
                    "decay_initializer",
                )
            },
        }


class _DecayedState(keras.layers.Layer):  # type: ignore[misc]  # Keras has no types
    """One step: its inputs are the inputs' shares of the three gates, and the state's decay."""

    def __init__(
        self,
        units: int,
        activation: Any,
        recurrent_activation: Any,
        recurrent_initializer: Any,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.state_size = units
        self.activation, self.recurrent_activation = activation, recurrent_activation
        self.recurrent_initializer = recurrent_initializer

    def build(self, input_shape: Any) -> None:
        units = self.state_size
        self.recurrent_kernel = self.add_weight(
            shape=(units, _GATES * units),
            initializer=self.recurrent_initializer,
            name="recurrent_kernel",
        )

    def call(self, inputs: Any, states: Any, training: bool = False) -> Any:
        units = self.state_size
        shares, decay = inputs[:, : _GATES * units], inputs[:, _GATES * units :]
        of_gates, of_candidate = shares[:, : 2 * units], shares[:, 2 * units :]
        kernel = ops.convert_to_tensor(self.recurrent_kernel)
        state = decay * states[0]
        gates = self.recurrent_activation(of_gates + ops.matmul(state, kernel[:, : 2 * units]))
        update, reset = gates[:, :units], gates[:, units:]
        candidate = ops.matmul(reset * state, kernel[:, 2 * units :])
        candidate = self.activation(of_candidate + candidate)
        state = (1 - update) * state + update * candidate
        return state, [state]


def _decay(exponent: Any) -> Any:
    """From 1 down to 0 for exponents above 0."""
    return ops.exp(-ops.relu(exponent))
