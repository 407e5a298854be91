"""Sizes around the borders of vectors, blocks and threads; none and very many elements."""

import ml_dtypes
import numpy as np
import pytest

from .checks import REDUCTIONS, TYPES, assert_close, check, computing_type, example, expected

# A block's share at once is 256 threads' 4 vectors of 16 bytes (2 for halves), 4,096 elements; or
# 512 elements, where they are not read as vectors.
SIZES = (
    *(1, 2, 3, 5, 7, 8, 9, 255, 256, 257, 511, 512, 513, 1023, 1025, 2047, 2048, 2049),
    *(4095, 4096, 4097, 8191, 8192, 8193, 12_289, 33_333),
)


@pytest.mark.sanitize
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("dtype", TYPES)
def test_sizes_around_the_borders_of_vectors_and_blocks(kernels, rng, size, dtype):
    t, p, valid = example(kernels, "squared_error", (size,), dtype, rng)
    check(kernels, "squared_error", t, p, valid, dtype, "mean")
    weight = np.ones((size,), computing_type(dtype))
    check_long(kernels, t, p, valid, weight)
    weight = rng.random(size).astype(computing_type(dtype))
    mask = rng.random(size) < 0.8
    other = t.astype("float32" if dtype == "float64" else "float64")
    for labels in (t, other):  # the kernels of one type, and those of any
        check_general(kernels, labels, p, valid, weight, mask)


def check_general(kernels, t, p, valid, weight, mask):
    """The loss and its gradient with weights and a mask of the elements."""
    kept = valid & mask
    error = np.where(kept, p.astype(np.float64) - np.where(kept, t.astype(np.float64), 0), 0)
    weighted = np.where(kept, weight.astype(np.float64), 0) * error
    device_t, device_p = kernels.to_device(t), kernels.to_device(p)
    options = {"sample_weight": kernels.to_device(weight), "mask": kernels.to_device(mask)}
    options["reduction"] = "sum_of_elements"
    total, weight_sum, count = kernels.masked_loss(device_t, device_p, **options)
    precision = "float64" if p.dtype == np.float64 else "float32"
    assert_close(total.numpy(), np.sum(weighted * error), precision)
    assert_close(weight_sum.numpy(), np.sum(weight, where=kept, dtype=np.float64), precision)
    assert count.numpy() == kept.sum()
    gradient = kernels.masked_loss_gradient(device_t, device_p, **options).numpy()
    assert_close(gradient, 2 * weighted, p.dtype.name)


def check_long(kernels, t, p, valid, weight):
    """Weights of 1 take the general way and must not change the gradient's bits."""
    device_t, device_p = kernels.to_device(t), kernels.to_device(p)
    plain = kernels.masked_loss_gradient(device_t, device_p).numpy()
    general = kernels.masked_loss_gradient(
        device_t, device_p, sample_weight=kernels.to_device(weight)
    ).numpy()
    assert plain.tobytes() == general.tobytes()


@pytest.mark.parametrize("size", [2**20 + 1, 2048 * 4096 - 1, 2048 * 4096 + 4097, 2**25 + 3])
@pytest.mark.parametrize("dtype", TYPES)
def test_large_sizes(kernels, emulated, rng, size, dtype):
    if emulated:
        pytest.skip("takes too long in the emulator")
    t, p, valid = example(kernels, "squared_error", (size,), dtype, rng)
    check(kernels, "squared_error", t, p, valid, dtype, "mean")
    check_long(kernels, t, p, valid, np.ones((size,), computing_type(dtype)))


@pytest.mark.sanitize
@pytest.mark.parametrize(
    "row_size", [1, 2, 3, 4, 15, 16, 17, 31, 32, 33, 64, 1000, 2047, 2048, 2049, 5000]
)
@pytest.mark.parametrize("num_rows", [1, 2, 9, 300])
def test_rows_of_every_length(kernels, emulated, rng, num_rows, row_size):
    if emulated and num_rows * row_size > 50_000:
        pytest.skip("takes too long in the emulator")
    t, p, valid = example(kernels, "squared_error", (num_rows, row_size), "float32", rng)
    valid[0], t[0] = False, np.nan  # a row without labels
    weight = rng.random((num_rows, 1)).astype(np.float32)
    for reduction in ("none", "sum"):
        check_rows(kernels, t, p, valid, weight, reduction)


def check_rows(kernels, t, p, valid, weight, reduction):
    device_t, device_p = kernels.to_device(t), kernels.to_device(p)
    device_weight = kernels.to_device(weight)
    want, want_gradient = expected("squared_error", t, p, valid, weight, reduction)
    options = {"sample_weight": device_weight, "reduction": reduction}
    found, _, count = kernels.masked_loss(device_t, device_p, **options)
    assert count.numpy() == valid.sum()
    assert_close(found.numpy(), want, "float32")
    gradient = kernels.masked_loss_gradient(device_t, device_p, **options).numpy()
    assert_close(gradient, want_gradient, "float32")


def test_more_elements_than_32_bits_count(kernels, emulated):
    if emulated:
        pytest.skip("takes too much memory for the emulator")
    size = 2**31 + 6
    t = np.zeros(size, ml_dtypes.bfloat16)
    t[::2] = np.nan
    p = np.ones(size, ml_dtypes.bfloat16)
    p[-1] = 3  # the last one is valid
    try:
        arrays = [kernels.to_device(x) for x in (t, p)]
        gradient = kernels.masked_loss_gradient(*arrays, reduction="sum_of_elements")
    except RuntimeError as error:
        if "cudaErrorMemoryAllocation" not in str(error):
            raise
        pytest.skip("this GPU has not the memory")
    total, _, count = kernels.masked_loss(*arrays, reduction="sum_of_elements")
    assert count.numpy() == size // 2
    assert total.numpy() == size // 2 + 8
    np.testing.assert_array_equal(gradient.numpy()[-4:].astype(np.float32), [0, 2, 0, 6])
    del gradient, arrays
    columns = [kernels.to_device(x.reshape(-1, 2)) for x in (t, p)]
    weight = kernels.to_device(np.array([[5, 2]], np.float32))
    options = {"sample_weight": weight, "reduction": "sum_of_elements"}
    assert kernels.masked_loss(*columns, **options)[0].numpy() == 2 * (size // 2 + 8)
    gradient = kernels.masked_loss_gradient(*columns, out=columns[1], **options)
    np.testing.assert_array_equal(gradient.numpy()[-2:].astype(np.float32), [[0, 4], [0, 12]])


@pytest.mark.parametrize("shape", [(0,), (0, 3), (3, 0), (2, 0, 3)], ids=str)
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_empty_arrays(kernels, shape, reduction):
    empty = kernels.to_device(np.zeros(shape, np.float32))
    loss, _, count = kernels.masked_loss(empty, empty, reduction=reduction)
    np.testing.assert_array_equal(loss.numpy(), np.zeros(shape[:-1] if reduction == "none" else ()))
    assert count.numpy() == 0
    assert kernels.masked_loss_gradient(empty, empty, reduction=reduction).shape == shape
    if len(shape) > 1:
        sums = kernels.masked_group_sums(empty, empty, balance="feature")
        np.testing.assert_array_equal(sums[2].numpy(), np.zeros(shape[-1]))
