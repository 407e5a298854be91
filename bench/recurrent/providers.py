"""The layers that are compared. Each is a function of a case and its arrays, and returns one that
computes once: the sum of the outputs times their factors, and the gradients by kernel, recurrent
kernel and bias; or the outputs alone.

Everything is imported late: a provider's process has what the provider needs.
"""

import os
from collections.abc import Callable
from typing import Any

import numpy as np

from bench.recurrent import cases
from bench.recurrent.cases import Arrays, Case

Run = Callable[[], list[Any]]


class Unsupported(Exception):  # noqa: N818  not an error
    """The provider does not have this case."""


def expected(case: Case, arrays: Arrays) -> list[np.ndarray]:
    """In float64."""
    from masklstm import kernels

    wide: Any = (
        None if array is None else array.astype("float64" if array.dtype != bool else bool)
        for array in arrays
    )
    x, mask, kernel, recurrent_kernel, bias, factors = wide
    outputs, _ = kernels.recurrent(case.cell, x, kernel, recurrent_kernel, bias, mask=mask)
    if not case.gradient:
        return [outputs]
    gradients: Any = kernels.recurrent_gradients(
        case.cell,
        x,
        kernel,
        recurrent_kernel,
        bias,
        mask=mask,
        output_gradient=factors,
        of_sequences=False,
    )
    names = ("kernel", "recurrent_kernel", "bias")
    return [np.sum(outputs * factors), *(gradients[name] for name in names)]


def masklstm_kernels(case: Case, arrays: Arrays) -> Run:
    from masklstm import kernels

    threads = len(os.sched_getaffinity(0))
    weights: Any = (case.cell, arrays.x, arrays.kernel, arrays.recurrent_kernel, arrays.bias)
    options: dict[str, Any] = {"mask": arrays.mask, "threads": threads}

    def run() -> list[Any]:
        if not case.gradient:
            return [kernels.recurrent(*weights, **options)[0]]
        options_of_gradients = {"output_gradient": arrays.factors, "of_sequences": False, **options}
        gradients: Any = kernels.recurrent_gradients(*weights, **options_of_gradients)
        return [None, *(gradients[name] for name in ("kernel", "recurrent_kernel", "bias"))]

    return run


def _keras(case: Case, arrays: Arrays, layers: Any, **options: Any) -> Run:
    import tensorflow as tf

    kind = getattr(layers, case.cell.upper())
    layer = kind(case.units, return_sequences=True, use_cudnn=False)
    layer.build(arrays.x.shape)
    layer.set_weights([arrays.kernel, arrays.recurrent_kernel, arrays.bias])
    x, factors = tf.constant(arrays.x), tf.constant(arrays.factors)
    mask = None if arrays.mask is None else tf.constant(arrays.mask)

    @tf.function(**options)
    def forward(x: tf.Tensor) -> list[tf.Tensor]:
        return [layer(x, mask=mask, training=False)]

    @tf.function(**options)
    def with_gradients(x: tf.Tensor) -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            value = tf.reduce_sum(layer(x, mask=mask, training=True) * factors)
        return [value, *tape.gradient(value, layer.trainable_variables)]

    function = with_gradients if case.gradient else forward
    return lambda: [result.numpy() for result in function(x)]


def masklstm_layer(case: Case, arrays: Arrays) -> Run:
    import masklstm

    return _keras(case, arrays, masklstm.layers)


def keras_loop(case: Case, arrays: Arrays) -> Run:
    import keras

    return _keras(case, arrays, keras.layers)


def keras_xla(case: Case, arrays: Arrays) -> Run:
    import keras

    return _keras(case, arrays, keras.layers, jit_compile=True)


def block_lstm(case: Case, arrays: Arrays) -> Run:
    """TensorFlow's fused op, whose gates are in another order.

    The gradient of its second version takes the gates for those of the first one, and is wrong.
    """
    import tensorflow as tf

    if case.cell != "lstm" or case.masked:
        raise Unsupported
    variables = [tf.Variable(array) for array in arrays[2:5]]
    zeros, none = tf.zeros([case.batch, case.units]), tf.zeros([case.units])
    x, factors = tf.constant(arrays.x), tf.constant(arrays.factors)

    def reordered(weights: tf.Tensor) -> tf.Tensor:
        i, f, c, o = tf.split(weights, 4, axis=-1)
        return tf.concat([i, c, f, o], axis=-1)

    def outputs(x: tf.Tensor) -> tf.Tensor:
        kernel, recurrent_kernel, bias = variables
        results = tf.raw_ops.BlockLSTM(
            seq_len_max=tf.constant(case.steps, tf.int64),
            x=tf.transpose(x, [1, 0, 2]),
            cs_prev=zeros,
            h_prev=zeros,
            w=reordered(tf.concat([kernel, recurrent_kernel], 0)),
            wci=none,
            wcf=none,
            wco=none,
            b=reordered(bias),
            forget_bias=0.0,
            cell_clip=0.0,
            use_peephole=False,
        )
        return tf.transpose(results.h, [1, 0, 2])

    @tf.function
    def run(x: tf.Tensor) -> list[tf.Tensor]:
        if not case.gradient:
            return [outputs(x)]
        with tf.GradientTape() as tape:
            value = tf.reduce_sum(outputs(x) * factors)
        return [value, *tape.gradient(value, variables)]

    return lambda: [result.numpy() for result in run(x)]


def torch_layer(case: Case, arrays: Arrays) -> Run:
    os.environ["OMP_WAIT_POLICY"] = "passive"  # else its threads take the cores from the others
    import torch

    if case.masked:
        raise Unsupported
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    kind = torch.nn.LSTM if case.cell == "lstm" else torch.nn.GRU
    layer = kind(case.features, case.units, batch_first=True)
    # Its GRU has the gates in another order: reset, update, candidate.
    order = (0, 1, 2, 3) if case.cell == "lstm" else (1, 0, 2)

    def reordered(weights: np.ndarray) -> np.ndarray:
        parts = np.split(weights, case.gates, axis=-1)
        return np.concatenate([parts[gate] for gate in order], axis=-1)

    bias = arrays.bias if case.cell == "gru" else np.stack([arrays.bias, 0 * arrays.bias])
    with torch.no_grad():
        layer.weight_ih_l0.copy_(torch.tensor(reordered(arrays.kernel).T.copy()))
        layer.weight_hh_l0.copy_(torch.tensor(reordered(arrays.recurrent_kernel).T.copy()))
        layer.bias_ih_l0.copy_(torch.tensor(reordered(bias[0])))
        layer.bias_hh_l0.copy_(torch.tensor(reordered(bias[1])))
    x, factors = torch.tensor(arrays.x), torch.tensor(arrays.factors)

    def run() -> list[Any]:
        if not case.gradient:
            with torch.no_grad():
                return [layer(x)[0].numpy()]
        layer.zero_grad()
        value = (layer(x)[0] * factors).sum()
        value.backward()
        biases = [reordered(p.grad.numpy()) for p in (layer.bias_ih_l0, layer.bias_hh_l0)]
        return [
            value.detach().numpy(),
            reordered(layer.weight_ih_l0.grad.numpy().T),
            reordered(layer.weight_hh_l0.grad.numpy().T),
            biases[0] if case.cell == "lstm" else np.stack(biases),
        ]

    return run


def jax_scan(case: Case, arrays: Arrays) -> Run:
    import jax
    import jax.numpy as jnp

    if case.masked:
        raise Unsupported
    x, factors = jnp.array(arrays.x), jnp.array(arrays.factors)
    weights = [jnp.array(array) for array in arrays[2:5]]
    zeros = jnp.zeros((case.batch, case.units))

    def lstm(weights: Any, carry: Any, x: Any) -> Any:
        _, recurrent_kernel, _ = weights
        h, c = carry
        i, f, g, o = jnp.split(x + h @ recurrent_kernel, 4, -1)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        h = jax.nn.sigmoid(o) * jnp.tanh(c)
        return (h, c), h

    def gru(weights: Any, carry: Any, x: Any) -> Any:
        _, recurrent_kernel, bias = weights
        (h,) = carry
        of_x, of_h = jnp.split(x, 3, -1), jnp.split(h @ recurrent_kernel + bias[1], 3, -1)
        z, r = (jax.nn.sigmoid(of_x[gate] + of_h[gate]) for gate in (0, 1))
        h = z * h + (1 - z) * jnp.tanh(of_x[2] + r * of_h[2])
        return (h,), h

    def outputs(weights: Any) -> Any:
        kernel, _, bias = weights
        of_x = jnp.einsum("btf,fg->tbg", x, kernel) + jnp.atleast_2d(bias)[0]
        step, carry = (lstm, (zeros, zeros)) if case.cell == "lstm" else (gru, (zeros,))
        _, h = jax.lax.scan(lambda carry, x: step(weights, carry, x), carry, of_x)
        return jnp.swapaxes(h, 0, 1)

    if case.gradient:
        function = jax.jit(jax.value_and_grad(lambda weights: jnp.sum(outputs(weights) * factors)))
    else:
        function = jax.jit(outputs)
    return lambda: [np.asarray(result) for result in jax.tree.leaves(function(weights))]


def product(case: Case, arrays: Arrays) -> Run:
    """A product of square matrices with as many multiplications, up to a limit: what the machine's
    own library for them makes of it is the yardstick.
    """
    size = product_size(case)
    matrix = np.random.default_rng(0).standard_normal((size, size)).astype(np.float32)

    def run() -> list[Any]:
        matrix @ matrix
        return []

    return run


def product_size(case: Case) -> int:
    return int(min(2048, max(256, (case.operations / 2) ** (1 / 3))))


PROVIDERS: dict[str, Callable[[Case, Arrays], Run]] = {
    cases.OURS: masklstm_layer,
    cases.KERNELS: masklstm_kernels,
    cases.KERAS: keras_loop,
    cases.XLA: keras_xla,
    cases.BLOCK: block_lstm,
    cases.TORCH: torch_layer,
    cases.JAX: jax_scan,
    cases.PRODUCT: product,
}
