"""masklstm.kernels: the kernels on NumPy arrays, and the bits that must never change."""

import doctest
import inspect
import os
import re
import shutil
import subprocess
import sys
import types
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from gpu import stub
from support.cases import KERNEL_REDUCTIONS, LOSSES, example, labels_and_predictions
from support.digests import all_results
from support.native import kernels

ROOT = Path(__file__).parents[2]


def misaligned(array, offset):
    """A copy of the array whose first byte lies `offset` bytes behind a 64-byte border."""
    buffer = np.zeros(array.nbytes + 128, np.uint8)
    start = -buffer.ctypes.data % 64 + offset
    view = buffer[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
    view[...] = array
    return view


@pytest.mark.parametrize("name", kernels.types())
def test_the_table_of_types_is_numpy_s(name):
    entry = kernels.types()[name]
    dtype = np.dtype(getattr(ml_dtypes, name, name))
    assert (dtype.name, dtype.str) == (name, entry["typestr"])
    assert dtype.itemsize == entry["bytes"]
    assert entry["floating_point"] == ("float" in name)
    y, p = np.ones(3, dtype), np.full(3, 2, "float32")
    assert kernels.masked_loss(y, p) == (1.0, 3.0, 3)
    if entry["prediction"]:
        assert kernels.masked_loss_gradient(p, y).dtype == dtype
    else:
        with pytest.raises(TypeError, match="y_pred"):
            kernels.masked_loss_gradient(p, y)


@pytest.mark.parametrize("shape", [(70000, 1), (700, 101), (9000, 7)], ids=str)
def test_same_bits_for_every_number_of_threads(dtype, shape):
    arrays = example(dtype, shape)
    expected = all_results(*arrays, threads=1)
    for threads in (2, 3, 8):
        assert all_results(*arrays, threads=threads) == expected


def test_same_bits_for_every_alignment(dtype):
    arrays = example(dtype, (130, 17))
    expected = all_results(*arrays)
    for offset in range(64):
        shifted = [misaligned(a, offset if a.dtype != bool else 0) for a in arrays]
        assert all_results(*shifted) == expected, offset
    # Labels and predictions at different offsets.
    y_true, y_pred, weight, mask = arrays
    assert all_results(misaligned(y_true, 3), misaligned(y_pred, 20), weight, mask) == expected


def kernels_process(code, instruction_set, *arguments):
    """Runs code on `kernels` under a forced instruction set.

    The extension is loaded by its path, since importing masklstm takes TensorFlow's seconds.
    """
    load = (
        "import importlib.util, sys\n"
        f"spec = importlib.util.spec_from_file_location('kernels', {kernels.__file__!r})\n"
        "kernels = importlib.util.module_from_spec(spec)\n"
        "spec.loader.exec_module(kernels)\n"
    )
    return subprocess.run(
        [sys.executable, "-c", load + code, *arguments],
        env={**os.environ, "MASKLSTM_ISA": instruction_set},
        capture_output=True,
        text=True,
    )


def test_same_bits_for_every_instruction_set(dtype, tmp_path):
    shape = (3000, 7)
    y_true, y_pred, weight, mask = example(dtype, shape)
    np.savez(tmp_path / "arrays.npz", y_true=y_true, y_pred=y_pred, w=weight, mask=mask)
    code = (
        "import hashlib, inspect, numpy as np, ml_dtypes\n"
        f"LOSSES = {LOSSES!r}\nKERNEL_REDUCTIONS = {KERNEL_REDUCTIONS!r}\n"
        + inspect.getsource(all_results)
        + "arrays = np.load(sys.argv[1])\n"
        "print(kernels.instruction_set(), all_results(*(arrays[name] for name in arrays)))\n"
    )
    expected = all_results(y_true, y_pred, weight, mask)
    ran = []
    # Those that were built and that this processor has.
    known = re.search(r"one of \{(.*)\}", kernels_process("", "none").stderr)
    for name in known[1].split(", "):
        process = kernels_process(code, name, str(tmp_path / "arrays.npz"))
        assert process.stdout.split() == [name, expected], process.stderr
        ran.append(name)
    assert "baseline" in ran
    assert kernels.instruction_set() in ran


def test_an_unknown_instruction_set_is_refused():
    process = kernels_process("", "sse9")
    assert process.returncode != 0
    assert "ImportError: Invalid value for the environment variable MASKLSTM_ISA" in process.stderr
    assert "baseline" in process.stderr
    assert "Received: sse9" in process.stderr


def test_gradient_equals_finite_differences(loss_case):
    loss, parameters = loss_case
    y_true, y_pred, weight, mask = example("float64", (6, 3), loss, parameters)
    arguments = {"loss": loss, "sample_weight": weight, "mask": mask, **parameters}
    gradient = kernels.masked_loss_gradient(y_true, y_pred, **arguments)
    for index in np.ndindex(y_pred.shape):
        values = []
        for step in (1e-6, -1e-6):
            moved = y_pred.copy()
            moved[index] += step
            values.append(kernels.masked_loss(y_true, moved, **arguments)[0])
        slope = (values[0] - values[1]) / 2e-6
        np.testing.assert_allclose(gradient[index], slope, rtol=1e-6, atol=1e-7)


def test_read_only_arrays_and_out(dtype):
    y_true, y_pred, *_ = example(dtype, (20, 3))
    y_true.setflags(write=False)
    y_pred.setflags(write=False)
    out = np.full_like(y_pred, 7)
    gradient = kernels.masked_loss_gradient(y_true, y_pred, out=out)
    assert gradient is out
    np.testing.assert_array_equal(out, kernels.masked_loss_gradient(y_true, y_pred))
    with pytest.raises(ValueError, match="'out' to be writeable"):
        kernels.masked_loss_gradient(y_true, y_pred, out=y_pred)


def test_denormal_numbers_are_kept_outside_of_tensorflow():
    y_true = np.array([np.nan, 0.0, 0.0], "float32")
    y_pred = np.array([1.0, 1e-40, -3e-45], "float32")
    loss, _, _ = kernels.masked_loss(y_true, y_pred, "absolute_error", reduction="sum_of_elements")
    assert loss == float(y_pred[1]) - float(y_pred[2])
    assert loss > 0


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16"])
def test_a_large_gradient_is_written_past_the_caches_with_the_same_bits(dtype):
    """Above 32 MiB other instructions write it; a shifted `out` takes the ordinary ones."""
    itemsize = kernels.types()[dtype]["bytes"]
    size = 2**25 // itemsize + 5
    rng = np.random.default_rng(1)
    y_true, y_pred = labels_and_predictions(rng, (size,), "float32")
    y_true, y_pred = y_true.astype(dtype), y_pred.astype(dtype)
    gradient = kernels.masked_loss_gradient(y_true, y_pred, reduction="sum_of_elements", threads=2)
    shifted = misaligned(np.zeros_like(y_pred), itemsize)
    kernels.masked_loss_gradient(y_true, y_pred, reduction="sum_of_elements", out=shifted)
    assert gradient.tobytes() == shifted.tobytes()
    wide = np.float64 if dtype == "float64" else np.float32
    error = y_pred.astype(wide) - y_true.astype(wide)
    expected = np.where(np.isnan(error), 0, 2 * error).astype(dtype)
    np.testing.assert_array_equal(gradient, expected)


@pytest.mark.parametrize("features", [2, 3, 7, 8, 9, 1000, 1024, 1025])
@pytest.mark.parametrize("repeats", ["rows", "columns"])
def test_weights_that_repeat_are_as_good_as_the_whole_array(dtype, features, repeats):
    y_true, y_pred, _, _ = example(dtype, (20_000 // features, features))
    shape = (1, features) if repeats == "rows" else (len(y_true), 1)
    row = np.random.default_rng(2).random(shape).astype(dtype)
    whole = np.ascontiguousarray(np.broadcast_to(row, y_true.shape))
    for reduction in KERNEL_REDUCTIONS:
        for function in (kernels.masked_loss, kernels.masked_loss_gradient):
            found, expected = (
                function(y_true, y_pred, sample_weight=weight, reduction=reduction)
                for weight in (row, whole)
            )
            if function is kernels.masked_loss:
                found, expected = found[0], expected[0]
            assert np.asarray(found).tobytes() == np.asarray(expected).tobytes()


@pytest.mark.parametrize("row_size", range(1, 71))
def test_sums_of_short_rows(row_size):
    """Against NumPy: none is left out where chunks meet, whether or not rows divide a chunk."""
    rng = np.random.default_rng(row_size)
    shape = (3 * 1024 // row_size + 5, row_size)
    y_true = rng.integers(-9, 10, shape).astype("float32")
    y_true[rng.random(shape) < 0.3] = np.nan
    y_true[:, 0] = 10  # each row counts
    y_pred = rng.integers(-9, 10, shape).astype("float32")
    weight = rng.integers(1, 9, shape).astype("float32")
    valid = ~np.isnan(y_true)
    count = valid.sum(axis=1)
    error = np.where(valid, y_pred - y_true, 0).astype("float64")
    for w, use in ((1, {}), (weight, {"sample_weight": weight})):
        means = (w * error**2).sum(axis=1) / count
        gradient = 2 * w * error / count[:, None]
        found = kernels.masked_loss(y_true, y_pred, reduction="none", **use)
        np.testing.assert_allclose(found[0], means, rtol=1e-6)
        assert found[2] == valid.sum()
        found = kernels.masked_loss(y_true, y_pred, reduction="sum", **use)
        np.testing.assert_allclose(found[0], means.sum(), rtol=1e-12)
        for reduction in ("none", "sum"):
            found = kernels.masked_loss_gradient(y_true, y_pred, reduction=reduction, **use)
            np.testing.assert_allclose(found, gradient, rtol=1e-6)
        found = kernels.masked_group_sums(y_true, y_pred, balance="sample", **use)
        np.testing.assert_array_equal(found[0], (w * error**2).sum(axis=1))
        np.testing.assert_array_equal(found[1], (w * valid).sum(axis=1))
        np.testing.assert_array_equal(found[2], count)


@pytest.mark.parametrize("shape", [(5, 65), (3, 101), (4, 1500), (2, 40_003)], ids=str)
def test_sums_of_long_rows(dtype, shape):
    """Against NumPy: each row is divided by its own count, to its last element."""
    y_true, y_pred, _, _ = example(dtype, shape)
    y_true[:, -1] = 0
    y_pred[:, -1] = 1000  # none may be left out
    valid = ~np.isnan(y_true)
    count = valid.sum(axis=1, keepdims=True)
    error = np.where(valid, y_pred - y_true, 0).astype(np.float64)
    found = kernels.masked_loss(y_true, y_pred, reduction="none")[0]
    np.testing.assert_allclose(found, (error**2).sum(axis=1) / count[:, 0], rtol=1e-6)
    gradient = kernels.masked_loss_gradient(y_true, y_pred, reduction="sum")
    np.testing.assert_allclose(gradient, 2 * error / count, rtol=1e-6)


@pytest.mark.parametrize("reduction", ["none", "sum"])
def test_one_long_row_is_a_mean(dtype, reduction):
    """It is cut into blocks, like an array of many rows."""
    y_true, y_pred, _, _ = example(dtype, (50_001,))
    found = kernels.masked_loss(y_true, y_pred, reduction=reduction)
    mean = kernels.masked_loss(y_true, y_pred, reduction="mean")
    assert np.asarray(found[0]).astype(dtype) == np.asarray(mean[0]).astype(dtype)
    assert found[2] == mean[2]
    gradients = [
        kernels.masked_loss_gradient(y_true, y_pred, reduction=name) for name in (reduction, "mean")
    ]
    assert np.array_equal(*gradients)
    empty = np.full_like(y_true, np.nan)
    assert kernels.masked_loss(empty, y_pred, reduction=reduction)[0] == 0
    assert not np.any(kernels.masked_loss_gradient(empty, y_pred, reduction=reduction))


class TestErrors:
    one = np.ones((2, 3), "float32")

    def test_not_contiguous(self):
        for name in ("y_true", "y_pred", "sample_weight"):
            arrays = {"y_true": self.one, "y_pred": self.one, "sample_weight": self.one}
            arrays[name] = np.ones((3, 2), "float32").T
            with pytest.raises(ValueError, match=rf"'{name}' to be C-contig.*ascontiguousarray"):
                kernels.masked_loss(**arrays)

    def test_masked_arrays(self):
        masked = np.ma.masked_array(self.one, self.one > 0)
        for name in ("y_true", "y_pred", "sample_weight"):
            arrays = {"y_true": self.one, "y_pred": self.one, name: masked}
            with pytest.raises(ValueError, match=rf"'{name}' to be a plain array"):
                kernels.masked_loss(**arrays)

    def test_dtypes(self):
        with pytest.raises(TypeError, match=r"'y_true' to have one of.*bool, int8.*complex64"):
            kernels.masked_loss(self.one.astype("complex64"), self.one)
        with pytest.raises(TypeError, match=r"'y_pred' to have one of.* float16, b.*: int64"):
            kernels.masked_loss(self.one, self.one.astype("int64"))
        with pytest.raises(TypeError, match=r"'y_pred' to have one of.*>f4"):
            kernels.masked_loss(self.one, self.one.astype(">f4"))
        with pytest.raises(TypeError, match=r"'sample_weight' to have dtype float32.*float64"):
            kernels.masked_loss(self.one, self.one, sample_weight=np.ones(2))
        with pytest.raises(TypeError, match=r"'mask' to have dtype bool.*int8"):
            kernels.masked_loss(self.one, self.one, mask=np.ones(2, "int8"))

    def test_shapes(self):
        with pytest.raises(ValueError, match=r"same shape.*\(2, 3\).*\(3,\)"):
            kernels.masked_loss(self.one, self.one[0])
        with pytest.raises(ValueError, match=r"'sample_weight'.*\(2, 3\).*\(3,\)"):
            kernels.masked_loss(self.one, self.one, sample_weight=np.ones(3, "float32"))

    def test_too_many_separate_axes(self):
        y_true = np.ones((2,) * 18, "float32")
        weight = np.ones((2, 1) * 9, "float32")
        with pytest.raises(ValueError, match="too many separate axes"):
            kernels.masked_loss(y_true, y_true, sample_weight=weight)

    def test_names_and_numbers(self):
        for argument, value, message in (
            ("loss", "mse", "'squared_error'.*loss='mse'"),
            ("reduction", "avg", "'mean'.*reduction='avg'"),
            ("missing", "soon", "'nonfinite' or a number.*'soon'"),
            ("missing", "-999", "'nonfinite' or a number.*'-999'"),
            ("missing", True, "'nonfinite' or a number.*True"),
            ("missing", np.bool_(True), "'nonfinite' or a number.*True"),
            ("missing", 1j, "'nonfinite' or a number.*1j"),
            ("missing", 2**1100, "'nonfinite' or a number"),
            ("missing", np.ones(2), "'nonfinite' or a number"),
            ("threads", 0, "at least 1.*0"),
        ):
            with pytest.raises(ValueError, match=message):
                kernels.masked_loss(self.one, self.one, **{argument: value})
        for delta in (-1.0, 1j, 2**1100, np.ones(2), "wide", None):
            with pytest.raises(ValueError, match=r"'delta'. Expected a number in \(0, inf\)"):
                kernels.masked_loss(self.one, self.one, loss="huber", delta=delta)
        with pytest.raises(TypeError, match=r"unexpected parameters.*delta"):
            kernels.masked_loss(self.one, self.one, delta=1.0)
        with pytest.raises(ValueError, match=r"'timestep'.*balance='row'"):
            kernels.masked_group_sums(self.one, self.one, balance="row")
        with pytest.raises(ValueError, match=r"\(2,\) has no axis for balance='feature'"):
            kernels.masked_group_sums(
                self.one[:, 0].copy(), self.one[:, 0].copy(), balance="feature"
            )


def test_the_examples_in_the_docstrings(monkeypatch):
    # Those that are tested, and where there is no TensorFlow, too.
    package = types.ModuleType("masklstm")
    package.kernels = kernels
    monkeypatch.setitem(sys.modules, "masklstm", package)
    finder = doctest.DocTestFinder()
    runner = doctest.DocTestRunner()
    examples = 0
    for function in (kernels.masked_loss, kernels.masked_loss_gradient):
        (test,) = finder.find(function, function.__name__, module=False, globs={})
        examples += len(test.examples)
        assert runner.run(test).failed == 0
    assert examples > 0


def test_the_channels_of_each_loss():
    for loss, about in kernels.descriptions().items():
        components = 2 if "mixture" in loss else 1
        assert kernels.num_channels(loss) == components * len(about["channels"])


UNDEFINED = """
#include <initializer_list>
#include "csrc/cpu/simd_math.h"
namespace masklstm {
namespace {
template <typename T>
int NumbersOf() {
  using Limits = std::numeric_limits<T>;
  int numbers = 0;
  for (const T x : {T(0), T(-0.0), T(1), T(-1), T(3), T(1e30), T(-1e30), Limits::min(),
                    Limits::max(), -Limits::max(), Limits::infinity(), -Limits::infinity(),
                    Limits::quiet_NaN()}) {
    volatile T hidden = x;
    const Vec<T> v = Vec<T>::Broadcast(hidden);
    for (const Vec<T> y : {Exp(v), Expm1(v), Log(v), Log1p(v), Logistic(v), Tanh(v), Pow(v, v)}) {
      T lanes[Vec<T>::kLanes];
      y.Store(lanes);
      numbers += lanes[0] == lanes[0];
    }
  }
  return numbers;
}
}  // namespace
}  // namespace masklstm
int main() { return masklstm::NumbersOf<float>() + masklstm::NumbersOf<double>() > 100 ? 0 : 1; }
"""


@pytest.mark.skipif(not (ROOT / "csrc").exists(), reason="the sources are not here")
@pytest.mark.skipif(shutil.which("c++") is None, reason="there is no C++ compiler")
def test_lanes_that_are_thrown_away_are_defined_too(tmp_path):
    """By the compiler's sanitizer of undefined behaviour."""
    flags = ["-std=c++17", "-ffp-contract=off", f"-I{ROOT}", "-fsanitize=undefined"]
    compiled = subprocess.run(
        ["c++", *flags, "-xc++", "-", "-o", tmp_path / "program"],
        input=UNDEFINED,
        capture_output=True,
        text=True,
    )
    if compiled.returncode and "ubsan" in compiled.stderr:
        pytest.skip("the compiler has no sanitizer")
    assert compiled.returncode == 0, compiled.stderr
    process = subprocess.run([tmp_path / "program"], capture_output=True, text=True)
    assert (process.stderr, process.returncode) == ("", 0)


class TestStub:
    """masklstm/kernels.pyi; tests/gpu has the same for a build with CUDA."""

    def test_stubtest_finds_nothing(self, tmp_path):
        allowed = frozenset() if stub.has_cuda(kernels) else stub.with_cuda_alone()
        assert stub.differences(kernels, tmp_path, allowed=allowed) == ""

    def test_has_every_argument(self):
        in_stub = stub.arguments(stub.signatures_in_stub())
        for name, signatures in stub.arguments(stub.signatures_at_runtime(kernels)).items():
            assert signatures == in_stub[name], name

    def test_stubtest_notices_what_is_wrong(self, tmp_path):
        """A function and an argument that are missing, those that are not there, and a default."""
        altered = tmp_path / "altered.pyi"
        text = stub.STUB.read_text()
        for old, new in (
            ("def instruction_set()", "def other()"),
            ("def losses()", "def losses(sorted: bool = False)"),
            ("    threads: int = 1,\n    out: np", "    out: np"),
            ('    balance: str = "sample",', '    balance: str = "feature",'),
        ):
            assert old in text
            text = text.replace(old, new)
        altered.write_text(text)
        differing = stub.differences(kernels, tmp_path, altered).splitlines()
        assert {line.split(" is ")[0] for line in differing} - stub.with_cuda_alone() == {
            "kernels.instruction_set",
            "kernels.other",
            *(f"signatures.{name}" for name in ("instruction_set", "other", "losses")),
            "signatures.masked_loss_gradient",
            "signatures.masked_group_sums",
        }
