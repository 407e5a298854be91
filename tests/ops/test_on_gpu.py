"""The op within TensorFlow on a GPU against the kernels on the CPU, eagerly and in graphs."""

import numpy as np
import pytest
import tensorflow as tf
from gpu import formulas
from support.native import kernels

from masklstm import ops
from masklstm._core import library

DEVICE = "GPU:0"
RELATIVE = {"float32": 1e-5, "float64": 1e-12}

pytestmark = pytest.mark.skipif(
    not tf.config.list_physical_devices("GPU") or not library.build.get("cuda"),
    reason="TensorFlow sees no GPU, or masklstm was built without CUDA",
)


def assert_near(actual, expected, dtype):
    expected = np.asarray(expected)
    largest = np.max(np.abs(expected), initial=0.0)
    np.testing.assert_allclose(actual, expected, rtol=0, atol=RELATIVE[dtype] * largest)


@pytest.mark.parametrize("traced", [False, True])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("reduction", ["mean", "mean_with_sample_weight", "sum", "none"])
def test_as_on_the_cpu(loss_case, dtype, reduction, weighted, masked, traced, rng):
    loss, parameters = loss_case
    shape = 8, 50, 3
    t, p = formulas.numbers(kernels.descriptions()[loss], shape, rng)
    t[rng.random(shape) < 0.3] = np.nan
    t, p = t.astype(dtype), p.astype(dtype)
    weight = rng.random((8, 50, 1)).astype(dtype) if weighted else None
    mask = rng.random((8, 50, 1)) < 0.8 if masked else None
    given = {"sample_weight": weight, "mask": mask}
    options = {"loss": loss, "reduction": reduction, **given, **parameters}

    def loss_and_gradient(y_true, y_pred):
        with tf.GradientTape() as tape:
            tape.watch(y_pred)
            value = ops.masked_loss(y_true, y_pred, **options)
        return value, tape.gradient(value, y_pred)

    run = tf.function(loss_and_gradient) if traced else loss_and_gradient
    with tf.device(DEVICE):
        value, gradient = run(tf.constant(t), tf.constant(p))
    assert value.device.endswith(DEVICE)
    assert gradient.device.endswith(DEVICE)
    assert_near(value, kernels.masked_loss(t, p, **options)[0], dtype)
    assert_near(gradient, kernels.masked_loss_gradient(t, p, **options), dtype)
