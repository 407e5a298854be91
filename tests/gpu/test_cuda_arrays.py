"""Arrays in device memory, streams and launches."""

import numpy as np
import pytest

from .checks import TYPES, Shifted, example, short


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


def test_many_streams_at_once(kernels, torch, rng):
    """Nothing is shared between streams, and nothing runs on another one than it was given."""
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


def test_arrays_of_one_stream_may_be_used_on_another_and_forgotten(kernels, torch, rng):
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
