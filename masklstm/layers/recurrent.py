"""`LSTM` and `GRU`: Keras's layers, native on a CPU and on cuDNN with a GPU, whatever the mask.

All of it is done in `inner_loop`, which all ways of computing pass through, so that states, dropout
and everything else stay Keras's.

Design of the native way (`native_recurrence`):
    A. One op runs the steps that the mask keeps, of each row by itself.

Design of Keras's way, for cuDNN and for whatever the native op does not do:
    A. cuDNN takes masks that are padding on the right, with at least one step in each row. For any
       other one Keras fails, or the user has to turn cuDNN off and gets a slow loop.
    B. A masked step leaves the state as it was. So the kept steps of a row, moved to its left, are
       the whole computation: they go through Keras's layer as right-padded rows, and the outputs
       are spread out again. A masked step has the output of the kept step before it, as in Keras.
    C. The inputs of masked steps are replaced by 0. They have no effect on the outputs, but a NaN
       among them would have one on the gradients.
    D. A row without any step is given its first one, and the result is replaced: by 0 in the
       outputs, by the initial state in the state.
    E. Where Keras is to compute something else, a stand-in of the layer has the changed attribute,
       since calls in several threads share the layer itself.
"""

from typing import Any

import keras
from keras import ops

from masklstm._core.keras_compat import stand_in
from masklstm._core.packing import kept_steps, pack, take_steps
from masklstm._core.shown import ShowsArguments
from masklstm.layers import native_recurrence


class _AnyMask(ShowsArguments):
    """Mixed into a Keras layer: takes over its `inner_loop`."""

    @property
    def runs_on(self) -> str:
        """Where the last call ran, or was traced to run: `"native"`, or `"keras: "` and why.

        Before the first call, what the arguments say. Keras's way takes cuDNN where it can.
        """
        last = vars(self).get("_last_way")
        return last or native_recurrence.way_of(self)

    def inner_loop(
        self, sequences: Any, initial_state: Any, mask: Any, training: bool = False
    ) -> Any:
        if isinstance(mask, (list, tuple)):
            mask = mask[0]
        kept = None if mask is None else kept_steps(mask, sequences)
        way = native_recurrence.way_of(self)
        if way != native_recurrence.FOR_EXPORT:
            vars(self)["_last_way"] = way  # past Keras's tracking of attributes
        if way == native_recurrence.NATIVE:
            return native_recurrence.run(self, sequences, initial_state, kept, training)
        if kept is None:
            plain: Any = super()
            return plain.inner_loop(sequences, initial_state, None, training)
        return self._packed_inner_loop(sequences, initial_state, kept, training)

    def _packed_inner_loop(
        self, sequences: Any, initial_state: Any, kept: Any, training: bool
    ) -> Any:
        layer: Any = self
        time = ops.shape(sequences)[1]
        packing = pack(kept)
        length = packing.count[:, -1:]
        places = ops.expand_dims(ops.arange(time, dtype="int32"), axis=0)

        packed = take_steps(sequences, packing.order)
        is_step = ops.expand_dims(places < length, axis=-1)
        packed = ops.where(is_step, packed, ops.zeros_like(packed))
        # Outputs of masked steps are seen to below: Keras's unrolled loop would take the mask in
        # the wrong direction.
        keras_layer: Any = super(_AnyMask, stand_in(layer, zero_output_for_mask=False))
        _, outputs, states = keras_layer.inner_loop(
            packed, initial_state, places < ops.maximum(length, 1), training
        )

        is_empty = length == 0
        # Keras hands over a list of states, or a single state by itself.
        before = initial_state if isinstance(initial_state, (list, tuple)) else [initial_state]
        state_zeros = ops.zeros_like(states[0])
        # The output of a step is its first state.
        last = ops.where(is_empty, state_zeros, states[0])
        states = [
            ops.where(is_empty, ops.cast(old, new.dtype), new)
            for old, new in zip(before, states, strict=True)
        ]

        if layer.go_backwards:
            kept = ops.flip(kept, axis=1)
            count = ops.cumsum(ops.cast(kept, "int32"), axis=1)
            first = time - length  # the last places are those of the steps, the first one last
        else:
            count, first = packing.count, 0
        if layer.zero_output_for_mask:
            last = ops.where(kept[:, -1:], last, state_zeros)
        if not layer.return_sequences:
            return last, ops.expand_dims(last, axis=1), states
        outputs = take_steps(outputs, ops.maximum(first + count - 1, 0))
        has_output = kept if layer.zero_output_for_mask else count > 0
        outputs = ops.where(ops.expand_dims(has_output, -1), outputs, ops.zeros_like(outputs))
        return last, outputs, states


@keras.saving.register_keras_serializable(package="masklstm")
class LSTM(_AnyMask, keras.layers.LSTM):  # type: ignore[misc]  # Keras has no types
    """`keras.layers.LSTM`, faster on a CPU, that takes any mask and stays fast.

    Formula, with the state s: `s[t] = LSTM(x[t], s[t - 1])` where step t is kept, else `s[t - 1]`.

    A masked step leaves state and output as they were. On a CPU one native op runs the steps that
    are not masked, and a masked step costs nothing. With a GPU they are moved to the left of each
    row, run through Keras's layer as right-padded rows, and their outputs spread out again: cuDNN,
    which takes no other masks, is used whatever the mask, also for rows without any step. A NaN in
    the inputs of a masked step does no harm, not even to gradients.

    What the native op does not do runs as in Keras, with the same weights and numbers: other
    activations than tanh and sigmoid, `recurrent_dropout`, `unroll=True`, float16 and bfloat16, and
    functions that XLA compiles or that are traced for `export`. `runs_on` says which way was taken.

    Args:
        units: Size of the output.
        *args, **kwargs: As for `keras.layers.LSTM`, all of them.

    Call arguments:
        sequences: Shape `(batch, time, features)`.
        initial_state: Two tensors of shape `(batch, units)`, or None for zeros.
        mask: Booleans of shape `(batch, time)`, or `(1, time)` for all rows, False for the steps to
            skip; by default that of the layer before (`masklstm.layers.Masking`).
        training: Whether dropout is applied.

    Returns:
        What `keras.layers.LSTM(use_cudnn=False)` returns with the same mask, up to rounding.
        (Keras's `unroll` takes the mask of backward outputs in the wrong direction. There it is
        what Keras returns without `unroll`.)

    Raises:
        ValueError: As `keras.layers.LSTM`; for a mask whose shape does not fit the sequences. (A
            shape that is only known when a graph runs raises `tf.errors.InvalidArgumentError`.)

    Example:

    >>> import numpy as np, masklstm
    >>> x = np.ones((1, 4, 2), "float32")
    >>> x[0, 2] = float("nan")
    >>> layer = masklstm.layers.LSTM(3, return_sequences=True)
    >>> outputs = layer(masklstm.layers.Masking()(x))
    >>> bool((outputs[0, 2] == outputs[0, 1]).numpy().all())
    True

    Weights can be exchanged with Keras's layer by `get_weights` and `set_weights`, or as a file.

    Source: S. Hochreiter, J. Schmidhuber, "Long Short-Term Memory", 1997; `keras.layers.LSTM`.
    """

    def _native_cell(self) -> str:
        return "lstm"


@keras.saving.register_keras_serializable(package="masklstm")
class GRU(_AnyMask, keras.layers.GRU):  # type: ignore[misc]  # Keras has no types
    """`keras.layers.GRU`, faster on a CPU, that takes any mask and stays fast.

    Formula, with the state s: `s[t] = GRU(x[t], s[t - 1])` where step t is kept, else `s[t - 1]`.
    See `masklstm.layers.LSTM`.

    Args:
        units: Size of the output.
        *args, **kwargs: As for `keras.layers.GRU`, all of them.

    Call arguments:
        sequences, mask, training: As for `masklstm.layers.LSTM`.
        initial_state: A tensor of shape `(batch, units)`, or None for zeros.

    Returns:
        What `keras.layers.GRU(use_cudnn=False)` returns with the same mask, up to rounding.

    Raises:
        ValueError: As `masklstm.layers.LSTM`.

    Example:

    >>> import numpy as np, masklstm
    >>> x = np.ones((2, 4, 2), "float32")
    >>> layer = masklstm.layers.GRU(3)
    >>> outputs = layer(x, mask=np.array([[True, False, True, True], [False] * 4]))
    >>> outputs[1].numpy().tolist()  # a row without any step
    [0.0, 0.0, 0.0]

    Source: K. Cho and others, "Learning Phrase Representations using RNN Encoder-Decoder for
    Statistical Machine Translation", 2014; `keras.layers.GRU`.
    """

    def _native_cell(self) -> str:
        return "gru" if self.reset_after else "gru_reset_before"
