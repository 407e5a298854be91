"""The native ops of recurrent layers and their gradients.

With a the numbers that go into the gates, x the inputs, h the states, W and R their weights:

    by a (the slopes), W, R, bias and the first states:   one pass of Masklstm>RecurrentGrad
    by x:   the slopes times W^T, by Masklstm>RecurrentSequencesGrad, which a graph leaves out
            where nobody asks for it, as in a first layer
"""

from typing import Any, NamedTuple

import tensorflow as tf

from masklstm._core import library
from masklstm._core.keras_compat import get_attribute, is_needed, text_attribute

_OPTIONS = ("go_backwards", "zero_output_for_mask")


class RecurrentResults(NamedTuple):
    outputs: tf.Tensor
    """Of all steps: `(batch, time, units)`; without any if they were not asked for."""
    states: list[tf.Tensor]
    """The last ones, each of `(batch, units)`."""


def recurrent(
    cell: str,
    sequences: tf.Tensor,
    mask: tf.Tensor | None,
    weights: tuple[tf.Tensor, tf.Tensor, tf.Tensor | None],
    initial_states: list[tf.Tensor],
    *,
    go_backwards: bool,
    zero_output_for_mask: bool,
    return_sequences: bool,
    keep_tape: bool,
) -> RecurrentResults:
    """Runs `cell`, "lstm", "gru" or "gru_reset_before", over the kept steps.

    Args:
        mask: Booleans of the shape `(batch, time)`, or None for all steps.
        weights: Kernel, recurrent kernel and bias, as Keras's cells have them.
        keep_tape: Whether a gradient is likely to be asked for. It is right without, but then runs
            the forward pass once more.
    """
    kernel, recurrent_kernel, bias = weights
    outputs, states, _ = library.ops.masklstm_recurrent(
        sequences,
        [] if mask is None else [mask],
        kernel,
        recurrent_kernel,
        [] if bias is None else [bias],
        initial_states,
        cell=cell,
        go_backwards=go_backwards,
        zero_output_for_mask=zero_output_for_mask,
        return_sequences=return_sequences,
        keep_tape=keep_tape,
    )
    return RecurrentResults(outputs, states)


@tf.RegisterGradient("Masklstm>Recurrent")  # type: ignore[untyped-decorator]
def _recurrent_gradient(op: tf.Operation, *upstream: Any) -> list[tf.Tensor | None]:
    num_masks, num_biases = (int(get_attribute(op, name)) for name in ("num_masks", "num_biases"))
    options = {name: get_attribute(op, name) for name in _OPTIONS}
    options["cell"] = text_attribute(op, "cell")
    sequences, *others = op.inputs
    mask, (kernel, recurrent_kernel, *others) = others[:num_masks], others[num_masks:]
    bias, initial_states = others[:num_biases], others[num_biases:]
    of_outputs, *of_states, _ = upstream
    *results, slopes = library.ops.masklstm_recurrent_grad(
        sequences,
        mask,
        kernel,
        recurrent_kernel,
        bias,
        initial_states,
        op.outputs[-1],
        of_outputs,
        of_states,
        **options,
    )
    of_sequences = None
    if is_needed(op, 0):
        of_sequences = library.ops.masklstm_recurrent_sequences_grad(
            sequences, mask, kernel, slopes, **options
        )
    return [of_sequences, *(None for _ in mask), *tf.nest.flatten(results)]


def _no_second_derivative(op: tf.Operation, *_: Any) -> None:
    raise NotImplementedError(
        "A native LSTM or GRU of masklstm has first derivatives, but a second one was asked for. "
        "A layer made with unroll=True has them all: it runs Keras's own steps, with the same "
        "weights and numbers."
    )


tf.RegisterGradient("Masklstm>RecurrentGrad")(_no_second_derivative)
tf.RegisterGradient("Masklstm>RecurrentSequencesGrad")(_no_second_derivative)
