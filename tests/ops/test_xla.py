"""The ops lowered to XLA. The fixture `run` takes the tests of the other files there as well."""

import re

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import REDUCTIONS, labels_and_predictions, loss_and_gradients
from losses.test_losses import ARGUMENTS, CASES, _case_id, bounded, lstm_data
from support import prepared
from support.markers import needs_native

from masklstm import losses, ops, reference
from masklstm._core import library
from ops.test_ops import leading_shapes

pytestmark = pytest.mark.skipif(not library.build["xla"], reason="built without XLA")
NAN = float("nan")


def jit(function):
    return tf.function(function, jit_compile=True)


@pytest.mark.parametrize("row_size", [2, 70])
def test_an_invalid_element_contributes_nothing(row_size, loss_case, rng):
    """Exactly +0.0, whatever its prediction and weight hold."""
    loss, parameters = loss_case
    y_true, y_pred = labels_and_predictions(rng, (20, row_size), "float32", loss, parameters)
    weight = rng.random(y_true.shape).astype("float32")
    invalid = np.isnan(y_true)

    @jit
    def results(y_pred, weight):
        return [
            loss_and_gradients(
                ops.masked_loss,
                y_true,
                y_pred,
                weight,
                loss=loss,
                reduction=reduction,
                **parameters,
            )
            for reduction in REDUCTIONS
        ]

    expected = results(tf.constant(y_pred), tf.constant(weight))
    for poison in (NAN, np.inf, -np.inf, 1e30):
        actual = results(
            tf.constant(np.where(invalid, np.float32(poison), y_pred)),
            tf.constant(np.where(invalid, np.float32(poison), weight)),
        )
        for reduction, found, clean in zip(REDUCTIONS, actual, expected, strict=True):
            for a, b in zip(found, clean, strict=True):
                assert a.numpy().tobytes() == b.numpy().tobytes(), reduction
            for gradient in found[1:]:
                assert not np.any(gradient.numpy()[invalid]), reduction
                assert not np.any(np.signbit(gradient.numpy()[invalid])), reduction


@pytest.mark.parametrize(
    "shape", [(), (0,), (3, 0), (0, 3), (7, 1), (4, 5, 6), (2, 1, 3, 2)], ids=str
)
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_every_form_of_weights_and_masks(shape, reduction, rng):
    y_true, y_pred = labels_and_predictions(rng, shape, "float64", "huber")
    forms = leading_shapes(shape)
    weights = [rng.random(s) for s in forms]
    masks = [rng.random(s) < 0.7 for s in forms]

    @jit
    def all_forms(y_true, y_pred):
        arguments = {"loss": "huber", "reduction": reduction}
        return [
            loss_and_gradients(ops.masked_loss, y_true, y_pred, weight, mask=mask, **arguments)
            for weight, mask in zip(weights, reversed(masks), strict=True)
        ]

    for actual, weight, mask in zip(
        all_forms(tf.constant(y_true), tf.constant(y_pred)), weights, reversed(masks), strict=True
    ):
        expected = loss_and_gradients(
            reference.masked_loss,
            y_true,
            y_pred,
            weight,
            mask=mask,
            loss="huber",
            reduction=reduction,
        )
        for a, b in zip(actual, expected, strict=True):
            assert a.shape == b.shape
            np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("shape", [(), (5,), (1, 4), (5, 1), (1, 1, 3), (5, 4, 3)], ids=str)
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_weights_whose_axes_are_only_known_when_compiled(shape, reduction, rng):
    y_true, y_pred = labels_and_predictions(rng, (5, 4, 3), "float64")
    weight = tf.constant(rng.random(shape))

    def results(*tensors):
        return loss_and_gradients(ops.masked_loss, *tensors, reduction=reduction)

    specs = [tf.TensorSpec([None] * rank, tf.float64) for rank in (3, 3, len(shape))]
    compiled = tf.function(results, input_signature=specs, jit_compile=True)
    expected = results(y_true, y_pred, weight)
    for a, b in zip(compiled(y_true, y_pred, weight), expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("case", CASES, ids=_case_id)
def test_fit_with_every_loss(case, rng):
    """The losses of 50 steps, compiled by XLA and not. Each step's rounding meets the next one."""
    cls, arguments = case
    x, y = lstm_data(rng, samples=50)
    y, activation = bounded(y, cls, arguments)
    histories = []
    for jit_compile in (True, False):
        keras.utils.set_random_seed(5)
        model = keras.Sequential(
            [keras.Input((12, 2)), keras.layers.Dense(4), keras.layers.Dense(2, activation)]
        )
        model.compile("adam", cls(**arguments), jit_compile=jit_compile)
        assert model.jit_compile is jit_compile
        history = model.fit(x, y, batch_size=10, epochs=10, shuffle=False, verbose=0).history
        histories.append(history["loss"])
    np.testing.assert_allclose(*histories, rtol=1e-4)
    assert np.all(np.isfinite(histories))


def test_fit_of_an_lstm(rng):
    x, y = lstm_data(rng, samples=50)
    histories = []
    for jit_compile in (True, False):
        keras.utils.set_random_seed(5)
        lstm = keras.layers.LSTM(4, return_sequences=True, use_cudnn=False)
        model = keras.Sequential([keras.Input((12, 2)), lstm, keras.layers.Dense(2)])
        model.compile("adam", losses.MeanSquaredError(), jit_compile=jit_compile)
        history = model.fit(x, y, batch_size=10, epochs=10, shuffle=False, verbose=0).history
        histories.append(history["loss"])
    np.testing.assert_allclose(*histories, rtol=1e-4)
    assert histories[0][-1] < histories[0][0]


def test_batches_of_every_size():
    """One compilation for each, and none that fails."""
    loss = losses.MeanSquaredError()
    function = tf.function(
        lambda t, p: loss(t, p), input_signature=[tf.TensorSpec([None, 3])] * 2, jit_compile=True
    )
    rng = np.random.default_rng(0)
    for size in (1, 7, 0, 64):
        t, p = rng.normal(size=(2, size, 3)).astype("float32")
        np.testing.assert_allclose(function(t, p), loss(t, p), rtol=1e-6)


@pytest.mark.parametrize("size", [2**31 - 1, 2**31, 2**32 + 3])
def test_counts_beyond_32_bits(size):
    """Of arrays that take no memory: the compiler sees that each is one number."""
    function = jit(lambda x: ops.masked_sums(*[tf.fill([size], x)] * 2))
    sums = function(tf.constant(1.0, tf.bfloat16))
    assert int(sums.valid_count) == size
    assert float(sums.weight_sum) == size


@pytest.mark.parametrize(
    "shape",
    [(2**18,), (2**18 + 7,), (2**19 + 8, 1), (640, 500, 2), (1, 2**18), (1021, 257)],
    ids=str,
)
def test_large_arrays_are_added_up_whole(shape, rng):
    """From 2^18 elements on in two steps, whatever divides the first axis."""
    y_true, y_pred = labels_and_predictions(rng, shape, "float32")
    weight = rng.random(shape[:1]).astype("float32")
    sums = jit(lambda *xs: ops.masked_sums(*xs[:2], sample_weight=xs[2]))
    actual = sums(*map(tf.constant, (y_true, y_pred, weight)))
    valid = ~np.isnan(y_true)
    full = np.broadcast_to(weight.reshape(-1, *[1] * (len(shape) - 1)), shape).astype("float64")
    loss = np.square(y_pred - np.where(valid, y_true, 0)).astype("float64")
    assert int(actual.valid_count) == valid.sum()
    np.testing.assert_allclose(actual.weight_sum, full[valid].sum(), rtol=1e-12)
    np.testing.assert_allclose(actual.loss_sum, (loss * full)[valid].sum(), rtol=1e-7)


def test_inside_of_control_flow(rng):
    y_true, y_pred = labels_and_predictions(rng, (6, 3), "float32")
    loss = losses.LogCosh()

    @jit
    def looped(y_true, y_pred):
        def body(step, y_pred):
            with tf.GradientTape() as tape:
                tape.watch(y_pred)
                value = loss(y_true, y_pred)
            gradient = tape.gradient(value, y_pred)
            return step + 1, tf.cond(value > 0.0, lambda: y_pred - gradient, lambda: y_pred)

        return tf.while_loop(lambda step, _: step < 3, body, (0, y_pred))[1]

    moved = tf.constant(y_pred)
    for _ in range(3):
        _, gradient = loss_and_gradients(ops.masked_loss, y_true, moved, loss="log_cosh")
        moved -= gradient
    np.testing.assert_allclose(looped(tf.constant(y_true), tf.constant(y_pred)), moved, rtol=1e-5)


def test_mixed_precision(rng):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    try:
        x, y = lstm_data(rng)
        model = keras.Sequential([keras.Input((12, 2)), keras.layers.Dense(2)])
        model.compile("adam", losses.Huber(), jit_compile=True)
        history = model.fit(x, y, epochs=4, verbose=0).history["loss"]
        assert history[-1] < history[0]
        assert float(model.optimizer.dynamic_scale) >= model.optimizer.initial_scale
    finally:
        keras.config.set_dtype_policy(before)


def entry_instructions(function, *tensors):
    """The instructions of the compiled program itself, not of what it fuses."""
    text = function.experimental_get_compiler_ir(*tensors)(stage="optimized_hlo")
    entry = text[text.index("\nENTRY ") :]
    return [line.split(" = ", 1)[1] for line in entry.splitlines() if " = " in line]


def full_arrays(instructions, shape):
    return [i for i in instructions if i.startswith(shape) and " parameter(" not in i]


@needs_native
def test_one_loop_each_way(loss_case):
    """Forward one fused reduction, backward one fused map, and nothing else of the labels' shape.

    Where both are in one program, XLA may keep what they share, an exponential or a logarithm.
    """
    loss, parameters = loss_case
    zeros, shape = tf.zeros([64, 24, 3]), "f32[64,24,3]"

    @jit
    def forward(y_true, y_pred):
        return ops.masked_loss(y_true, y_pred, loss, **parameters)

    @jit
    def backward(y_true, y_pred):
        # Divided by a number, so that there is nothing to add up before.
        arguments = {"loss": loss, "normalizer": 9.0, **parameters}
        return loss_and_gradients(ops.masked_loss, y_true, y_pred, **arguments)[1]

    instructions = entry_instructions(forward, zeros, zeros)
    assert full_arrays(instructions, shape) == []
    (reduction,) = [i for i in instructions if i.startswith("(s32[], f64[]) ")]
    assert " fusion(" in reduction
    (gradient,) = full_arrays(entry_instructions(backward, zeros, zeros), shape)
    # The second is what XLA of TensorFlow 2.18 and 2.19 calls a fusion that several threads share.
    assert " fusion(" in gradient or re.search(r"to_apply=%parallel_\w*fusion", gradient)


# A module whose signature computes the loss, saved and used again in other processes.
EXPORT = """
import sys
import numpy as np, tensorflow as tf, keras
if "with" in sys.argv:
    import masklstm
path = sys.argv[1]
t = tf.constant([[1.0, float("nan")], [3.0, 4.0]])
p = tf.constant([[2.0, 9.0], [5.0, 4.0]])
if "save" in sys.argv:
    loss = masklstm.losses.MeanSquaredError()
    class Module(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None, 2])] * 2)
        def __call__(self, t, p):
            return loss(t, p)
    tf.saved_model.save(Module(), path + "/module")
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2)])
    model.compile("sgd", loss)
    model.fit(p, t, verbose=0)
    model.export(path + "/model", verbose=False)
model = tf.saved_model.load(path + "/model")
print("MODEL", np.all(np.isfinite(model.serve(p))))
module = tf.saved_model.load(path + "/module")
print("LOSS", float(module(t, p)))
"""


@needs_native
def test_exported_models(tmp_path):
    def run(*arguments):
        return prepared.run(EXPORT, str(tmp_path), *arguments)

    expected = ["MODEL True", f"LOSS {5 / 3:.6f}"]
    for arguments in (("with", "save"), ("with",)):
        process = run(*arguments)
        assert process.returncode == 0, process.stderr[-2000:]
        model, loss = process.stdout.splitlines()
        assert [model, f"LOSS {float(loss.split()[1]):.6f}"] == expected
    # Where masklstm is not imported, the exported model runs, and the loss says what is missing.
    process = run()
    assert process.returncode != 0
    assert process.stdout.splitlines() == expected[:1]
    assert "Masklstm>MaskedLoss" in process.stderr


@needs_native
def test_a_second_copy_of_the_library_is_refused(tmp_path):
    code = """
import importlib.util, sys, masklstm
name = "masklstm._core.library"
spec = importlib.util.spec_from_file_location(name, masklstm._core.library.__file__)
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
"""
    process = prepared.run(code)
    assert process.returncode == 1
    assert "ImportError: The ops of masklstm are registered already" in process.stderr


@pytest.mark.parametrize("name", sorted(ARGUMENTS))
def test_losses_with_arguments(name, rng):
    cls = getattr(losses, name)
    for arguments in ARGUMENTS[name]:
        loss = cls(**arguments)
        t, p = labels_and_predictions(rng, (30, 4), "float32", loss.loss, loss.parameters)
        np.testing.assert_allclose(jit(loss)(tf.constant(t), tf.constant(p)), loss(t, p), rtol=2e-6)
