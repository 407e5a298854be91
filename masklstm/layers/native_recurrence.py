"""When a recurrent layer of Keras runs on the native op, and how."""

from functools import cache
from typing import Any

import keras
import tensorflow as tf

from masklstm._core import library
from masklstm._core.keras_compat import is_compiled_by_xla, is_traced_for_export

if library.backend == "native":
    from masklstm._core.backend.recurrent import recurrent

NATIVE = "native"
FOR_EXPORT = "keras: it is traced for export, to run where masklstm is not installed"


def way_of(layer: Any) -> str:
    """`NATIVE`, or `"keras: "` and why, of a call made here and now."""
    reason = _reason_of_process() or _reason_of_layer(layer)
    if reason is None and is_compiled_by_xla():
        reason = "XLA compiles it (jit_compile=True)"
    if reason is not None:
        return f"keras: {reason}"
    return FOR_EXPORT if is_traced_for_export() else NATIVE


@cache
def _reason_of_process() -> str | None:
    if library.backend != "native":
        return "there is no native library (MASKLSTM_BACKEND=reference)"
    if tf.config.list_physical_devices("GPU"):
        return "there is a GPU"
    return None


def _reason_of_layer(layer: Any) -> str | None:
    cell = layer.cell
    if layer.activation is not keras.activations.tanh:
        return "activation is not tanh"
    if layer.recurrent_activation is not keras.activations.sigmoid:
        return "recurrent_activation is not sigmoid"
    if layer.unroll:
        return "unroll=True"
    if layer.use_cudnn is True:
        return "use_cudnn=True"
    if layer.recurrent_dropout:
        return "recurrent_dropout"
    if layer.dropout and cell.implementation != 2:
        return "dropout with implementation=1"
    if layer.compute_dtype not in ("float32", "float64"):
        return f"the computing dtype is {layer.compute_dtype}"
    return None


def run(
    layer: Any,
    sequences: tf.Tensor,
    initial_state: list[tf.Tensor],
    kept: tf.Tensor | None,
    training: Any,
) -> tuple[tf.Tensor, tf.Tensor, list[tf.Tensor]]:
    """What Keras's `inner_loop` returns: the last output, all outputs, the last states."""
    cell = layer.cell
    if training and layer.dropout:
        factors = cell.get_dropout_mask(sequences[:, 0, :])
        sequences *= tf.expand_dims(factors, axis=1)
    dtype = tf.as_dtype(layer.compute_dtype)
    kernel, recurrent_kernel, bias = (
        None if weight is None else tf.cast(tf.convert_to_tensor(weight), dtype)
        for weight in (cell.kernel, cell.recurrent_kernel, cell.bias)
    )
    states = initial_state if isinstance(initial_state, (list, tuple)) else [initial_state]
    results = recurrent(
        layer._native_cell(),
        tf.cast(sequences, dtype),
        kept,
        (kernel, recurrent_kernel, bias),
        [tf.cast(state, dtype) for state in states],
        go_backwards=layer.go_backwards,
        zero_output_for_mask=layer.zero_output_for_mask,
        return_sequences=layer.return_sequences,
        keep_tape=training is not False,
    )
    last = results.states[0]
    if layer.return_sequences:
        return last, results.outputs, results.states
    if kept is not None:
        has_output = tf.reduce_any(kept, axis=1, keepdims=True)
        if layer.zero_output_for_mask:
            has_output = kept[:, :1] if layer.go_backwards else kept[:, -1:]
        last = tf.where(has_output, last, tf.zeros_like(last))
    return last, tf.expand_dims(last, axis=1), results.states
