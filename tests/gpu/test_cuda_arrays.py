"""Arrays in device memory, streams and launches."""

import copy
import gc
import pickle

import numpy as np
import pytest

from . import stub
from .checks import TYPES, Shifted, computing_type, example, short


@pytest.mark.parametrize("shift", [1, 2, 3, 5])
@pytest.mark.parametrize("dtype", TYPES)
def test_arrays_of_any_alignment(kernels, rng, dtype, shift):
    t, p, _ = example(kernels, "squared_error", (5000,), dtype, rng)
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


@pytest.mark.parametrize("shape", [(5000,), (5003,), (1,), (250, 20)], ids=str)
@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("weighted", [False, True])
def test_nothing_is_written_beyond_the_output(kernels, rng, dtype, shape, weighted):
    t, p, _ = example(kernels, "squared_error", shape, dtype, rng)
    arrays = [kernels.to_device(x) for x in (t, p)]
    options = {}
    if weighted:
        weight = np.full((*shape[:1], *[1] * (len(shape) - 1)), 2, computing_type(dtype))
        options["sample_weight"] = kernels.to_device(weight)
    memory = kernels.to_device(np.full(p.size + 64, 7, p.dtype))
    out = short(memory, p.size)
    out.__cuda_array_interface__["shape"] = shape
    kernels.masked_loss_gradient(*arrays, out=out, **options)
    written, beyond = np.split(memory.numpy(), [p.size])
    assert written.tobytes() == kernels.masked_loss_gradient(*arrays, **options).numpy().tobytes()
    assert (beyond == 7).all()


@pytest.mark.sanitize
@pytest.mark.parametrize("over", ["y_true", "y_pred"])
@pytest.mark.parametrize("reduction", ["mean", "none"])
@pytest.mark.parametrize("weighted", [False, True])
def test_a_gradient_in_the_memory_of_an_input(kernels, rng, over, reduction, weighted):
    t, p, _ = example(kernels, "squared_error", (900, 7), "float32", rng)
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
    t, p, _ = example(kernels, "squared_error", (100_003,), "float32", rng)
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
    t, p, _ = example(kernels, "squared_error", (1_000_003,), "float32", rng)
    want = kernels.masked_loss(t, p)[0]
    for _ in range(20):
        with torch.cuda.stream(stream):
            torch.cuda._sleep(1_000_000)
        options = {"stream": stream.cuda_stream}
        found = kernels.masked_loss(kernels.to_device(t), kernels.to_device(p), **options)[0]
        others = [kernels.to_device(np.zeros_like(t)) for _ in range(3)]  # in the same memory?
        np.testing.assert_allclose(found.numpy(), want, rtol=1e-12)
        del others


class OnStream:
    """An array that says on which stream it is written, or does not."""

    def __init__(self, array, stream):
        self.owner = array
        self.__cuda_array_interface__ = {**array.__cuda_array_interface__, "stream": stream}


@pytest.mark.parametrize("over", ["y_true", "y_pred", "sample_weight"])
def test_what_another_stream_still_writes(kernels, emulated, rng, over):
    """NaN labels, predictions or weights are on their way: that stream is waited for."""
    if not emulated:
        pytest.skip("a GPU may be done by then; test_many_streams_at_once keeps it busy")
    t, p, _ = example(kernels, "squared_error", (5000, 3), "float32", rng)
    before = {"y_true": t, "y_pred": p, "sample_weight": np.full(t.shape, 2, np.float32)}
    later = {**before, over: np.where(rng.random(t.shape) < 0.5, np.nan, 1).astype(np.float32)}
    options = {"reduction": "sum_of_elements"}
    for names_stream, expected in ((True, later), (False, before)):
        arrays = {name: kernels.to_device(array) for name, array in before.items()}
        source = kernels.to_device(later[over])
        kernels.copy(source, OnStream(arrays[over], None), stream=7)
        given = {**arrays, over: OnStream(arrays[over], 7 if names_stream else None)}
        found = kernels.masked_loss(**given, **options)[0].numpy()
        gradient = kernels.masked_loss_gradient(**given, **options).numpy()
        np.testing.assert_allclose(found, kernels.masked_loss(**expected, **options)[0], rtol=1e-12)
        want = kernels.masked_loss_gradient(**expected, **options)
        assert gradient.tobytes() == want.tobytes()
        del source  # which waits for the other stream


def test_the_number_of_launches(kernels, rng):
    t, p, _ = example(kernels, "squared_error", (5000, 3), "float32", rng)
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
    t, p, _ = example(kernels, "squared_error", (6, 3), "float32", rng)
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


class Says:
    """An object that says of its memory what it likes."""

    def __init__(self, interface):
        self.__cuda_array_interface__ = interface


ABSENT = object()


@pytest.mark.parametrize("argument", ["y_true", "y_pred", "sample_weight", "mask", "out"])
@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        *((key, ABSENT, ".*Received: nothing") for key in ("data", "shape", "typestr")),
        *(
            ("data", data, "an address")
            for data in (None, 5, (), (1,), (None, False), ("x", False))
        ),
        ("data", (-8, False), "an address"),
        ("data", (0, False), "an address"),
        ("data", (1.5, False), "an address"),
        *(("shape", shape, "a tuple of lengths") for shape in (None, 9, "9", [9], (9.5,), (None,))),
        *(("shape", shape, "a tuple of lengths") for shape in ((-1,), (2**62, 2**62), (2**70,))),
        *(("typestr", text, r"one of \|b1") for text in (None, 4, "", "f", "<f0", "<f3", "<f16")),
        *(
            ("typestr", text, r"one of \|b1")
            for text in ("float32", ">f4", "<c8", "|O", "<f" + "9" * 30)
        ),
        *(("strides", strides, "as many numbers") for strides in ((), (4, 4), 4, "4", (None,))),
        ("stream", "default", "a CUDA stream as a number"),
        ("stream", 1.5, "a CUDA stream as a number"),
        ("stream", 2**80, "a CUDA stream as a number"),
    ],
)
def test_an_interface_that_lies_is_refused(kernels, argument, key, value, expected):
    arrays = {
        name: kernels.to_device(np.ones(9, bool if name == "mask" else np.float32))
        for name in ("y_true", "y_pred", argument)
    }
    interface = {**arrays[argument].__cuda_array_interface__, key: value}
    if value is ABSENT:
        del interface[key]
    message = rf"Expected __cuda_array_interface__\['{key}'\] of '{argument}' to be.*{expected}"
    function = kernels.masked_loss_gradient if argument == "out" else kernels.masked_loss
    with pytest.raises(ValueError, match=message):
        function(**{**arrays, argument: Says(interface)})


@pytest.mark.parametrize("interface", [None, 5, (), "typestr", [("data", (1, False))]])
def test_an_interface_that_is_no_dict_is_refused(kernels, interface):
    array = kernels.to_device(np.ones(9, np.float32))
    with pytest.raises(TypeError, match=r"of 'y_pred' to be a dict\. Received: "):
        kernels.masked_loss(array, Says(interface))


def test_what_an_interface_may_leave_out(kernels):
    array = kernels.to_device(np.ones(9, np.float32))
    interface = {key: array.__cuda_array_interface__[key] for key in ("shape", "typestr", "data")}
    assert kernels.masked_loss(Says(interface), array)[0].numpy() == 0
    empty = Says({"shape": (0,), "typestr": "<f4", "data": (0, False), "strides": (4,)})
    assert kernels.masked_loss(empty, empty)[2].numpy() == 0


class TestDeviceArray:
    def test_there_is_none_without_memory(self, kernels):
        array_type = kernels.DeviceArray
        for make in (
            array_type,
            lambda: array_type.__new__(array_type),
            lambda: object.__new__(array_type),
            lambda: array_type.__base__.__new__(array_type),
            lambda: type("Derived", (array_type,), {}),
            lambda: kernels.to_device(np.ones(3)).__reduce__(),
            lambda: copy.copy(kernels.to_device(np.ones(3))),
            lambda: copy.deepcopy(kernels.to_device(np.ones(3))),
            *(
                lambda protocol=protocol: pickle.dumps(kernels.to_device(np.ones(3)), protocol)
                for protocol in range(pickle.HIGHEST_PROTOCOL + 1)
            ),
            lambda: kernels.to_device(np.ones(3)).__init__(),
        ):
            with pytest.raises(TypeError):
                make()
        gc.collect()

    @pytest.mark.parametrize("other", [None, 5, object()], ids=["None", "5", "object"])
    def test_methods_of_another_object_are_refused(self, kernels, other):
        array_type = kernels.DeviceArray
        for method in (
            array_type.numpy,
            array_type.__repr__,
            array_type.shape.fget,
            array_type.dtype.fget,
            array_type.__cuda_array_interface__.fget,
        ):
            with pytest.raises(TypeError):
                method(other)


class TestStub:
    def test_stubtest_finds_nothing(self, kernels, tmp_path):
        assert stub.differences(kernels, tmp_path) == ""

    def test_has_every_argument(self, kernels):
        at_runtime = stub.arguments(stub.signatures_at_runtime(kernels))
        assert at_runtime == stub.arguments(stub.signatures_in_stub())

    def test_stubtest_notices_what_is_wrong(self, kernels, tmp_path):
        """A function, a property and an argument that are missing, and one that has moved."""
        altered = tmp_path / "altered.pyi"
        text = stub.STUB.read_text()
        for old, new in (
            ("def cuda_launches() -> int: ...\n", ""),
            ("    @property\n    def dtype(self) -> str: ...\n", ""),
            ("target: _OnDevice, stream: int = 0", "target: _OnDevice, *, stream: int = 0"),
            ("def to_device(array: np.ndarray[Any, Any], ", "def to_device("),
        ):
            assert old in text
            text = text.replace(old, new)
        altered.write_text(text)
        differing = stub.differences(kernels, tmp_path, altered).splitlines()
        assert {line.split(" is ")[0] for line in differing} == {
            "kernels.cuda_launches",
            "kernels.DeviceArray.dtype",
            *(f"signatures.{name}" for name in ("cuda_launches", "copy_on_stream")),
            "signatures.to_device_on_stream",
        }
