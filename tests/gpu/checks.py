"""What the tests of the CUDA kernels compare, and how closely."""

import ml_dtypes
import numpy as np

from . import formulas

TYPES = {
    "float16": np.float16,
    "bfloat16": ml_dtypes.bfloat16,
    "float32": np.float32,
    "float64": np.float64,
}

RELATIVE = {"float16": 2e-3, "bfloat16": 1.6e-2, "float32": 4e-6, "float64": 1e-13}

REDUCTIONS = ("sum_of_elements", "mean", "mean_with_sample_weight", "none", "sum")


class Shifted:
    """An array in device memory that begins later than its memory."""

    def __init__(self, array, elements):
        self.owner = array
        interface = dict(array.__cuda_array_interface__)
        size = int(interface["typestr"][2:])
        (length,) = interface["shape"]
        address, is_read_only = interface["data"]
        interface["data"] = (address + elements * size, is_read_only)
        interface["shape"] = (length - elements,)
        self.__cuda_array_interface__ = interface


def short(array, length):
    result = Shifted(array, 0)
    result.__cuda_array_interface__["shape"] = (length,)
    return result


def computing_type(dtype):
    return np.float64 if dtype == "float64" else np.float32


def example(kernels, loss, shape, dtype, rng, missing_share=0.3):
    """Labels with gaps and predictions, as stored; and which labels are there."""
    t, p = formulas.numbers(kernels.descriptions()[loss], shape, rng)
    valid = rng.random(shape) >= missing_share
    return np.where(valid, t, np.nan).astype(TYPES[dtype]), p.astype(TYPES[dtype]), valid


def expected(loss, t, p, valid, weight, reduction):
    t = np.where(valid, t.astype(np.float64), 0.5)
    p = np.where(valid, p.astype(np.float64), 0.5)
    losses, slopes = formulas.LOSSES[loss].of(t, p)
    weights = np.broadcast_to(1.0 if weight is None else weight, t.shape).astype(np.float64)
    reduced, factors = formulas.reduce(losses, valid, weights, reduction)
    return reduced, np.where(valid, slopes * factors, 0)


def align(weight):
    """As NumPy would broadcast it against SHAPE: a prefix is aligned from the left."""
    return weight if weight is None else weight.reshape(weight.shape + (1,) * (3 - weight.ndim))


def assert_close(found, wanted, dtype):
    scale = np.max(np.abs(wanted), initial=0.0)
    assert np.max(np.abs(found.astype(np.float64) - wanted), initial=0.0) <= (
        RELATIVE[dtype] * scale + (1e-7 if dtype == "float16" else 0.0)
    )


def check(kernels, loss, t, p, valid, dtype, reduction, weight=None, mask=None):
    arguments = {"loss": loss, "reduction": reduction}
    if weight is not None:
        arguments["sample_weight"] = kernels.to_device(weight)
    if mask is not None:
        arguments["mask"] = kernels.to_device(mask)
    device_t, device_p = kernels.to_device(t), kernels.to_device(p)
    want, want_gradient = expected(loss, t, p, valid, align(weight), reduction)
    found, _, count = kernels.masked_loss(device_t, device_p, **arguments)
    precision = "float64" if dtype == "float64" else "float32"
    assert_close(found.numpy(), want, precision)
    assert count.numpy() == valid.sum()
    gradient = kernels.masked_loss_gradient(device_t, device_p, **arguments).numpy()
    assert gradient.dtype == p.dtype
    assert_close(gradient, want_gradient, dtype)
    assert np.all(gradient[~valid].astype(np.float64) == 0)
    assert not np.any(np.signbit(gradient[~valid].astype(np.float64)))
