"""The CUDA kernels against NumPy in float64, and against the CPU kernels."""

import ml_dtypes
import numpy as np
import pytest

from . import formulas

TYPES = {
    "float16": np.float16,
    "bfloat16": ml_dtypes.bfloat16,
    "float32": np.float32,
    "float64": np.float64,
}
RELATIVE = {"float16": 2e-3, "bfloat16": 1.6e-2, "float32": 4e-6, "float64": 1e-13}
REDUCTIONS = ("sum_of_elements", "mean", "mean_with_sample_weight", "none", "sum")
# Formulas of additions, multiplications, divisions and comparisons: rounded alike everywhere.
ARITHMETIC = ("squared_error", "absolute_error", "huber", "absolute_percentage_error", "pinball")
SHAPE = (7, 5, 3)
WEIGHT_SHAPES = (None, (), (7,), (7, 5), (7, 5, 1), (7, 5, 3), (1, 1, 3), (7, 1, 3), (1, 5, 1))


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


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def computing_type(dtype):
    return np.float64 if dtype == "float64" else np.float32


def example(loss, shape, dtype, rng, missing_share=0.3):
    """Labels with gaps and predictions, as stored; and which labels are there."""
    t, p = formulas.numbers(loss, shape, rng)
    valid = rng.random(shape) >= missing_share
    return np.where(valid, t, np.nan).astype(TYPES[dtype]), p.astype(TYPES[dtype]), valid


def expected(loss, t, p, valid, weight, reduction):
    value, derivative = formulas.LOSSES[loss]
    t = np.where(valid, t.astype(np.float64), 0.5)
    p = np.where(valid, p.astype(np.float64), 0.5)
    return (
        formulas.reduced(value(t, p), valid, weight, reduction),
        formulas.gradient(derivative(t, p), valid, weight, reduction),
    )


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


def test_the_formulas_are_those_of_all_losses(kernels):
    assert list(formulas.LOSSES) == list(kernels.losses())


@pytest.mark.sanitize
@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("loss", formulas.LOSSES)
def test_every_loss(kernels, rng, loss, dtype, reduction):
    t, p, valid = example(loss, SHAPE, dtype, rng)
    check(kernels, loss, t, p, valid, dtype, reduction)


OTHER_PARAMETERS = [
    ("huber", {"delta": 0.3}),
    ("pinball", {"quantile": 0.9}),
    ("poisson", {"epsilon": 0.01}),
    ("absolute_percentage_error", {"epsilon": 0.4}),
    ("squared_logarithmic_error", {"epsilon": 0.4}),
    ("binary_crossentropy", {"label_smoothing": 0.2, "epsilon": 0.1}),
    ("binary_crossentropy_from_logits", {"label_smoothing": 0.2}),
    ("binary_focal_crossentropy", {"gamma": 1.7, "alpha": 0.4, "apply_class_balancing": True}),
    ("binary_focal_crossentropy", {"from_logits": True, "gamma": 3.0, "label_smoothing": 0.1}),
    ("binary_focal_crossentropy", {"gamma": 0.0}),
]


@pytest.mark.parametrize(("loss", "parameters"), OTHER_PARAMETERS, ids=str)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_other_parameters_as_on_the_cpu(kernels, rng, loss, parameters, dtype):
    t, p, _ = example(loss, (200, 3), dtype, rng)
    arrays = [kernels.to_device(x) for x in (t, p)]
    found = kernels.masked_loss(*arrays, loss=loss, **parameters)[0].numpy()
    want = kernels.masked_loss(t, p, loss=loss, **parameters)[0]
    assert want != kernels.masked_loss(t, p, loss=loss)[0]
    assert_close(found, want, dtype)
    found = kernels.masked_loss_gradient(*arrays, loss=loss, **parameters).numpy()
    want = kernels.masked_loss_gradient(t, p, loss=loss, **parameters)
    assert_close(found, want.astype(np.float64), dtype)


def test_every_parameter_was_given_another_value(kernels):
    given = {(loss, name) for loss, parameters in OTHER_PARAMETERS for name in parameters}
    known = {(loss, entry["name"]) for loss, of in kernels.losses().items() for entry in of}
    assert known - given <= {("binary_focal_crossentropy", "epsilon")}


@pytest.mark.sanitize
@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16"])
@pytest.mark.parametrize("shape", WEIGHT_SHAPES, ids=str)
def test_weights_and_masks_of_every_shape(kernels, rng, shape, dtype, reduction):
    t, p, valid = example("squared_error", SHAPE, dtype, rng)
    weight = None if shape is None else rng.random(shape).astype(computing_type(dtype))
    mask_shape = () if shape is None else shape
    mask = np.array(rng.random(mask_shape) < 0.7)
    check(kernels, "squared_error", t, p, valid, dtype, reduction, weight)
    valid = valid & np.broadcast_to(align(mask), SHAPE)
    check(kernels, "squared_error", t, p, valid, dtype, reduction, weight, mask)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize(
    "label_type",
    ["bool", *(f"{kind}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64)), *TYPES],
)
def test_labels_of_every_type_with_a_sentinel(kernels, rng, label_type, dtype):
    label_type = np.dtype(TYPES.get(label_type, label_type))
    numbers = rng.integers(0, 2 if label_type.kind == "b" else 5, SHAPE)
    t = numbers.astype(label_type)
    p = rng.standard_normal(SHAPE).astype(TYPES[dtype])
    found = kernels.masked_loss(kernels.to_device(t), kernels.to_device(p), missing=1)
    want = kernels.masked_loss(t, p, missing=1)
    assert found[2].numpy() == want[2] == np.sum(numbers != 1)
    np.testing.assert_allclose(found[0].numpy(), want[0], rtol=1e-12)


@pytest.mark.parametrize("label_type", ["int64", "uint64", "float64", "float16", "bfloat16"])
@pytest.mark.parametrize("missing", [-999.0, 2.0**53, 65504.0, 65520.0, 0.1, 1e300, "nonfinite"])
def test_the_same_labels_are_missing_as_on_the_cpu(kernels, label_type, missing):
    values = [0, 1, 0.1, 65504, 65519, 2.0**53, np.inf, -np.inf, np.nan, -999, 3e38]
    if label_type.endswith("int64"):
        values = [0, 1, 65504, 65520, 2**53, 2**53 + 1, 2**62]
        values += [2**64 - 999] if label_type == "uint64" else [-999]
    with np.errstate(all="ignore"):
        t = np.array(values, TYPES.get(label_type, label_type))
    p = np.zeros(t.shape, np.float32)
    found = kernels.masked_loss(kernels.to_device(t), kernels.to_device(p), missing=missing)
    assert found[2].numpy() == kernels.masked_loss(t, p, missing=missing)[2]


@pytest.mark.parametrize("missing_share", [0.0, 1.0])
@pytest.mark.parametrize("dtype", TYPES)
def test_nothing_or_everything_is_missing(kernels, rng, dtype, missing_share):
    t, p, valid = example("squared_error", SHAPE, dtype, rng, missing_share)
    for reduction in REDUCTIONS:
        check(kernels, "squared_error", t, p, valid, dtype, reduction)


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


# A block's share at once is 256 threads' 4 vectors of 16 bytes (2 for halves), 4,096 elements; or
# 512 elements, where they are not read as vectors.
SIZES = (
    1,
    2,
    3,
    5,
    7,
    8,
    9,
    255,
    256,
    257,
    511,
    512,
    513,
    1023,
    1025,
    2047,
    2048,
    2049,
    4095,
    4096,
    4097,
)
SIZES += (8191, 8192, 8193, 12_289, 33_333)


@pytest.mark.sanitize
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("dtype", TYPES)
def test_sizes_around_the_borders_of_vectors_and_blocks(kernels, rng, size, dtype):
    t, p, valid = example("squared_error", (size,), dtype, rng)
    check(kernels, "squared_error", t, p, valid, dtype, "mean")
    weight = np.ones((size,), computing_type(dtype))
    check_long(kernels, t, p, valid, weight)


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
    t, p, valid = example("squared_error", (size,), dtype, rng)
    check(kernels, "squared_error", t, p, valid, dtype, "mean")
    check_long(kernels, t, p, valid, np.ones((size,), computing_type(dtype)))


@pytest.mark.parametrize("shift", [1, 2, 3, 5])
@pytest.mark.parametrize("dtype", TYPES)
def test_arrays_of_any_alignment(kernels, rng, dtype, shift):
    t, p, _ = example("squared_error", (5000,), dtype, rng)
    device_t, device_p = kernels.to_device(t), kernels.to_device(p)
    shifted = [Shifted(array, shift) for array in (device_t, device_p)]
    aligned = [kernels.to_device(array[shift:].copy()) for array in (t, p)]
    losses = [kernels.masked_loss(*arrays)[0].numpy() for arrays in (shifted, aligned)]
    assert losses[0].tobytes() == losses[1].tobytes()
    gradients = [kernels.masked_loss_gradient(*arrays).numpy() for arrays in (shifted, aligned)]
    assert gradients[0].tobytes() == gradients[1].tobytes()
    out = kernels.to_device(p)  # aligned inputs, an output that is not
    kernels.masked_loss_gradient(*aligned, out=Shifted(out, shift))
    assert out.numpy()[shift:].tobytes() == gradients[0].tobytes()
    assert out.numpy()[:shift].tobytes() == p[:shift].tobytes()


@pytest.mark.sanitize
@pytest.mark.parametrize(
    "row_size", [1, 2, 3, 4, 15, 16, 17, 31, 32, 33, 64, 1000, 2047, 2048, 2049, 5000]
)
@pytest.mark.parametrize("num_rows", [1, 2, 9, 300])
def test_rows_of_every_length(kernels, emulated, rng, num_rows, row_size):
    if emulated and num_rows * row_size > 50_000:
        pytest.skip("takes too long in the emulator")
    t, p, valid = example("squared_error", (num_rows, row_size), "float32", rng)
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


@pytest.mark.sanitize
@pytest.mark.parametrize("balance", ["sample", "timestep", "feature"])
@pytest.mark.parametrize(
    "shape",
    [
        (7, 5, 3),
        (300, 4, 8),
        (5, 3000, 1),
        (2, 3, 2500),
        (1, 1, 1),
        (4000, 2),
        (3, 700),
        (50, 3, 7),
    ],
    ids=str,
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_sums_of_groups(kernels, rng, shape, balance, dtype):
    t, p, valid = example("squared_error", shape, dtype, rng)
    weight = rng.random(shape).astype(computing_type(dtype))
    axis = {"sample": 0, "timestep": 1, "feature": len(shape) - 1}[balance]
    others = tuple(other for other in range(len(shape)) if other != axis)
    found = kernels.masked_group_sums(
        *map(kernels.to_device, (t, p)), sample_weight=kernels.to_device(weight), balance=balance
    )
    error = np.where(valid, p.astype(np.float64) - t.astype(np.float64), 0)
    weight = np.where(valid, weight.astype(np.float64), 0)
    for sums, want in zip(found, (error**2 * weight, weight, valid), strict=True):
        np.testing.assert_allclose(sums.numpy(), want.sum(axis=others), rtol=1e-6)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("loss", ARITHMETIC)
def test_the_same_gradient_as_the_cpu_bit_by_bit(kernels, rng, loss, dtype):
    t, p, _ = example(loss, SHAPE, dtype, rng)
    weight = rng.random((7, 5)).astype(computing_type(dtype))
    for reduction in ("sum_of_elements", "mean", "none", "sum"):
        for given in (None, weight):
            options = {"loss": loss, "reduction": reduction}
            want = kernels.masked_loss_gradient(t, p, sample_weight=given, **options)
            if given is not None:
                options["sample_weight"] = kernels.to_device(given)
            found = kernels.masked_loss_gradient(*map(kernels.to_device, (t, p)), **options)
            assert found.numpy().tobytes() == want.tobytes()


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("loss", formulas.LOSSES)
def test_an_invalid_element_contributes_nothing(kernels, rng, loss, dtype):
    t, p, valid = example(loss, (40, 3), dtype, rng)
    bad = p.copy()
    bad[~valid] = rng.choice([np.nan, np.inf, -np.inf], np.sum(~valid))
    weight = rng.random((40, 3)).astype(computing_type(dtype))
    bad_weight = weight.copy()
    bad_weight[~valid] = np.nan
    for reduction in REDUCTIONS:
        results = []
        for predictions, weights in ((p, weight), (bad, bad_weight)):
            arguments = [kernels.to_device(x) for x in (t, predictions)]
            options = {
                "loss": loss,
                "reduction": reduction,
                "sample_weight": kernels.to_device(weights),
            }
            results.append(
                [x.numpy().tobytes() for x in kernels.masked_loss(*arguments, **options)]
                + [kernels.masked_loss_gradient(*arguments, **options).numpy().tobytes()]
            )
        assert results[0] == results[1]


@pytest.mark.parametrize("number", [np.nan, np.inf])
@pytest.mark.parametrize("loss", formulas.LOSSES)
def test_divergence_is_not_hidden(kernels, rng, loss, number):
    t, p, valid = example(loss, (50,), "float32", rng)
    p[np.flatnonzero(valid)[7]] = number
    found = kernels.masked_loss(*map(kernels.to_device, (t, p)), loss=loss)[0].numpy()
    assert not np.isfinite(found)


def test_the_same_bits_on_every_run(kernels, emulated, rng):
    size = 30_000 if emulated else 10_000_000
    t, p, _ = example("log_cosh", (size // 10, 10), "float32", rng)
    weight = rng.random((size // 10, 1)).astype(np.float32)
    arrays = [kernels.to_device(x) for x in (t, p, weight)]
    results = set()
    for _ in range(3 if emulated else 100):
        found = []
        for reduction in REDUCTIONS:
            options = {"loss": "log_cosh", "reduction": reduction}
            found += kernels.masked_loss(*arrays[:2], **options)
            found += kernels.masked_loss(*arrays[:2], sample_weight=arrays[2], **options)
        found += kernels.masked_group_sums(*arrays[:2], balance="feature")
        results.add(b"".join(x.numpy().tobytes() for x in found))
    assert len(results) == 1


def test_many_streams_at_once(kernels, emulated, rng):
    """Nothing is shared between streams, and nothing runs on another one than it was given."""
    if emulated:
        pytest.skip("the emulator has no streams")
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("this PyTorch sees no GPU")
    streams = [torch.cuda.Stream() for _ in range(16)]
    t, p, _ = example("squared_error", (100_003,), "float32", rng)
    host_t, host_p = (torch.from_numpy(x).pin_memory() for x in (t, p))
    options = {"reduction": "sum_of_elements"}
    want = kernels.masked_loss(t, p, **options)[0]
    want_gradient = kernels.masked_loss_gradient(t, p, **options)
    for _ in range(20):
        found = []
        for number, stream in enumerate(streams):
            factor = 2.0 ** (number % 4)  # of exact products
            with torch.cuda.stream(stream):
                # Slow work first: a kernel on another stream would read what is not there yet.
                torch.cuda._sleep(200_000)
                arrays = [x.to("cuda", non_blocking=True) * factor for x in (host_t, host_p)]
                on_stream = {**options, "stream": stream.cuda_stream}
                loss = kernels.masked_loss(*arrays, **on_stream)[0]
                gradient = kernels.masked_loss_gradient(*arrays, **on_stream)
            found.append((factor, loss, gradient, arrays))
        for factor, loss, gradient, _ in found:
            np.testing.assert_allclose(loss.numpy(), want * factor**2, rtol=1e-12)
            assert gradient.numpy().tobytes() == (want_gradient * np.float32(factor)).tobytes()


def test_arrays_of_one_stream_may_be_used_on_another_and_forgotten(kernels, emulated, rng):
    if emulated:
        pytest.skip("the emulator has no streams")
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("this PyTorch sees no GPU")
    stream = torch.cuda.Stream()
    t, p, _ = example("squared_error", (1_000_003,), "float32", rng)
    want = kernels.masked_loss(t, p)[0]
    for _ in range(20):
        with torch.cuda.stream(stream):
            torch.cuda._sleep(1_000_000)
        options = {"stream": stream.cuda_stream}
        found = kernels.masked_loss(kernels.to_device(t), kernels.to_device(p), **options)[0]
        others = [kernels.to_device(np.zeros_like(t)) for _ in range(3)]  # in the same memory?
        np.testing.assert_allclose(found.numpy(), want, rtol=1e-12)
        del others


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


@pytest.mark.sanitize
@pytest.mark.parametrize("over", ["y_true", "y_pred"])
@pytest.mark.parametrize("reduction", ["mean", "none"])
@pytest.mark.parametrize("weighted", [False, True])
def test_a_gradient_in_the_memory_of_an_input(kernels, rng, over, reduction, weighted):
    t, p, _ = example("squared_error", (900, 7), "float32", rng)
    arrays = {"y_true": kernels.to_device(t), "y_pred": kernels.to_device(p)}
    options = {"reduction": reduction}
    if weighted:
        options["sample_weight"] = kernels.to_device(np.full((900, 1), 2, np.float32))
    want = kernels.masked_loss_gradient(**arrays, **options).numpy()
    kernels.masked_loss_gradient(**arrays, out=arrays[over], **options)
    assert arrays[over].numpy().tobytes() == want.tobytes()


def test_the_number_of_launches(kernels, rng):
    t, p, _ = example("squared_error", (5000, 3), "float32", rng)
    arrays = [kernels.to_device(x) for x in (t, p)]
    for function, options, most in (
        (kernels.masked_loss, {}, 2),
        (kernels.masked_loss, {"reduction": "none"}, 2),
        (kernels.masked_loss_gradient, {"reduction": "sum_of_elements"}, 1),
        (kernels.masked_loss_gradient, {"reduction": "none"}, 1),
        (kernels.masked_group_sums, {"balance": "feature"}, 2),
    ):
        before = kernels.cuda_launches()
        function(*arrays, **options)
        assert 1 <= kernels.cuda_launches() - before <= most, (function, options)


def test_a_tiny_scale_keeps_its_digits(kernels):
    """1 / count times a derivative beyond float32's range, as on the CPU."""
    t = np.array([[0.0, np.nan]], np.float32)
    p = np.array([[1e30, 0.0]], np.float32)
    weight = np.array([1e-38], np.float32)
    options = {"reduction": "mean_with_sample_weight"}
    want = kernels.masked_loss_gradient(t, p, sample_weight=weight, **options)
    found = kernels.masked_loss_gradient(
        *map(kernels.to_device, (t, p)), sample_weight=kernels.to_device(weight), **options
    )
    assert found.numpy().tobytes() == want.tobytes()


def test_arguments_that_do_not_fit_are_refused(kernels, rng):
    t, p, _ = example("squared_error", (6, 3), "float32", rng)
    device_t, device_p = kernels.to_device(t), kernels.to_device(p)
    with pytest.raises(TypeError, match=r"Expected 'y_pred' to be in a GPU's memory.*ndarray"):
        kernels.masked_loss(device_t, p)
    with pytest.raises(TypeError, match=r"Expected 'sample_weight' to have dtype float32.*float64"):
        kernels.masked_loss(device_t, device_p, sample_weight=kernels.to_device(np.ones((6, 1))))
    with pytest.raises(ValueError, match=r"same shape.*\(6, 3\).*\(3, 6\)"):
        kernels.masked_loss(device_t, kernels.to_device(p.T.copy()))
    with pytest.raises(ValueError, match=r"Invalid value for argument 'reduction'.*'avg'"):
        kernels.masked_loss(device_t, device_p, reduction="avg")
    flat, zeros = (kernels.to_device(np.zeros(size, np.float32)) for size in (10, 9))
    with pytest.raises(ValueError, match="share no memory"):
        kernels.masked_loss_gradient(Shifted(flat, 1), zeros, out=short(flat, 9))
    strided = Shifted(kernels.to_device(p.ravel()), 0)
    strided.__cuda_array_interface__ |= {"shape": (9,), "strides": (8,)}
    with pytest.raises(ValueError, match="Expected 'y_pred' to be C-contiguous"):
        kernels.masked_loss(kernels.to_device(np.zeros(9, np.float32)), strided)


def short(array, length):
    result = Shifted(array, 0)
    result.__cuda_array_interface__["shape"] = (length,)
    return result


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (
            209,
            r"compute capability 0\.0; the kernels were built for the architectures none\. Rebuild",
        ),
        (222, "by a CUDA toolkit that the driver supports"),
        (35, "The driver is older than the CUDA emulated that masklstm was built with: update it"),
    ],
)
def test_a_launch_that_fails_is_reported(kernels, emulated, monkeypatch, error, advice):
    if not emulated:
        pytest.skip("only the emulator fails on request")
    array = kernels.to_device(np.zeros(3, np.float32))
    monkeypatch.setenv("CUDA_EMULATOR_LAUNCH_ERROR", str(error))
    for function in (kernels.masked_loss, kernels.masked_loss_gradient):
        with pytest.raises(RuntimeError, match=f"CUDA kernels could not run: .*{advice}"):
            function(array, array)
