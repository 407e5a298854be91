"""Loading: what does not fit is refused before anything is loaded, in words that help."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from support import prepared
from support.markers import needs_native

import masklstm
from masklstm._core import library

PACKAGE = Path(masklstm.__file__).parent


@pytest.fixture
def copy(tmp_path):
    """A copy of the installed package that a test may damage."""
    shutil.copytree(PACKAGE, tmp_path / "masklstm", ignore=shutil.ignore_patterns("demo"))
    return tmp_path / "masklstm"


def python(code, folder, **environment):
    """Runs code with the package in `folder` before all others."""
    return prepared.run(
        f"import sys; sys.path.insert(0, {str(folder)!r})\n{code}",
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", **environment},
    )


@needs_native
def test_a_build_for_another_tensorflow_is_refused(copy):
    build = json.loads((copy / "_build.json").read_text())
    (copy / "_build.json").write_text(json.dumps(build | {"tensorflow": "2.5.1"}))
    # If it were loaded, this would fail in another way.
    (copy / "_masklstm_ops.so").write_bytes(b"not a library")
    process = python("import masklstm", copy.parent)
    assert process.returncode != 0
    message = process.stderr.strip().split("\n")[-1]
    assert message.startswith("ImportError: masklstm was built for TensorFlow 2.5.1")
    assert tf.__version__ in message
    assert "set MASKLSTM_BACKEND=reference" in message
    assert "an environment of its own, with TensorFlow 2.5" in message
    assert "pip" not in message  # which would put another TensorFlow over the one that is here


@needs_native
def test_a_build_for_another_patch_of_the_same_minor_is_loaded(copy):
    minor = ".".join(tf.__version__.split(".")[:2])
    build = json.loads((copy / "_build.json").read_text())
    (copy / "_build.json").write_text(json.dumps(build | {"tensorflow": f"{minor}.99"}))
    process = python("import masklstm; print(masklstm._core.library.backend)", copy.parent)
    assert process.stdout == "native\n", process.stderr


@needs_native
def test_the_reference_is_a_way_out_of_another_tensorflow(copy):
    build = json.loads((copy / "_build.json").read_text())
    (copy / "_build.json").write_text(json.dumps(build | {"tensorflow": "2.5.1"}))
    code = "import masklstm; print(float(masklstm.ops.masked_loss([1.0], [3.0])))"
    process = python(code, copy.parent, MASKLSTM_BACKEND="reference")
    assert process.stdout == "4.0\n", process.stderr


@pytest.mark.parametrize("content", ["", "{}"])
def test_a_damaged_file_is_named(copy, content):
    (copy / "_build.json").write_text(content)
    process = python("import masklstm", copy.parent)
    message = process.stderr.strip().split("\n")[-1]
    assert message.startswith(f"ImportError: {copy / '_build.json'} is damaged")
    assert "MASKLSTM_BACKEND=reference" in message
    assert_no_advice_replaces_tensorflow(message)


def assert_no_advice_replaces_tensorflow(message):
    """A plain `pip install` of masklstm, or of TensorFlow, would."""
    commands = re.findall(r"pip install[^`]*", message)
    assert all("--no-deps" in command for command in commands), message
    assert not any(word in message for word in ("force-reinstall", "tensorflow==", "no-binary"))


@pytest.mark.parametrize(
    "file", [pytest.param("_masklstm_ops.so", marks=needs_native), "_build.json"]
)
def test_a_missing_file_is_named(copy, file):
    (copy / file).unlink()
    process = python("import masklstm", copy.parent)
    message = process.stderr.strip().split("\n")[-1]
    assert message.startswith("ImportError: masklstm's native library is incomplete")
    assert str(copy / file) in message
    assert "MASKLSTM_BACKEND=reference" in message
    assert_no_advice_replaces_tensorflow(message)


@needs_native
def test_a_broken_library_gives_an_import_error(copy):
    (copy / "_masklstm_ops.so").write_bytes(b"not a library")
    process = python("import masklstm", copy.parent)
    assert "ImportError: masklstm's native library" in process.stderr
    assert "could not be loaded" in process.stderr


def test_the_reference_runs_without_native_files_and_says_so_once(copy):
    for file in [*copy.glob("*.so"), copy / "_build.json"]:
        file.unlink()
    code = """
import masklstm, keras, numpy as np
assert masklstm.build_summary()["backend"] == "reference"
assert not masklstm._core.library.build["native"]
loss = masklstm.losses.Huber()
assert float(loss([[1.0], [float("nan")]], [[4.0], [1.0]])) == 2.5
assert float(masklstm.ops.masked_loss([1.0, float("nan")], [3.0, 1.0])) == 4.0
assert int(masklstm.ops.masked_sums([1.0, float("nan")], [3.0, 1.0]).valid_count) == 1
model = keras.Sequential([keras.layers.LSTM(2)])
model.compile("sgd", loss=loss)
model.fit(np.ones((4, 3, 1)), np.array([[1.0, np.nan]] * 4), verbose=0)
assert all(np.all(np.isfinite(w)) for w in model.get_weights())
print(masklstm.__file__)
"""
    process = python(code, copy.parent, MASKLSTM_BACKEND="reference")
    assert process.returncode == 0, process.stderr
    assert str(copy) in process.stdout
    assert process.stderr.count("pure-TensorFlow reference") == 1


def test_a_package_without_native_part_says_so_once(copy):
    for file in copy.glob("*.so"):
        file.unlink()
    (copy / "_build.json").write_text('{"masklstm": "0", "native": false}')
    code = "import masklstm; print(float(masklstm.ops.masked_loss([1.0], [3.0])))"
    process = python(code, copy.parent)
    assert process.stdout == "4.0\n", process.stderr
    assert process.stderr.count("installed without its native part") == 1
    process = python(code, copy.parent, MASKLSTM_BACKEND="native")
    assert "ImportError: MASKLSTM_BACKEND=native, but" in process.stderr
    process = python(code, copy.parent, MASKLSTM_BACKEND="reference")
    assert "as MASKLSTM_BACKEND=reference asks" in process.stderr


def test_an_unknown_backend_is_refused():
    process = python("import masklstm", ".", MASKLSTM_BACKEND="gpu")
    message = process.stderr.strip().split("\n")[-1]
    assert "MASKLSTM_BACKEND" in message
    assert "'native'" in message
    assert "'gpu'" in message


@needs_native
def test_an_unusable_instruction_set_is_refused():
    process = python("import masklstm", ".", MASKLSTM_ISA="sse9")
    assert "ImportError: Invalid value for the environment variable MASKLSTM_ISA" in process.stderr


def test_another_keras_backend_is_refused():
    # As if, since no other backend is installed.
    code = "import keras; keras.backend.backend = lambda: 'jax'; import masklstm"
    process = python(code, ".")
    assert "masklstm needs Keras's TensorFlow backend" in process.stderr


@needs_native
def test_import_prints_nothing():
    quiet, process = (
        subprocess.run([sys.executable, "-c", f"import {name}"], capture_output=True, text=True)
        for name in ("tensorflow", "masklstm")
    )
    assert process.returncode == 0
    assert process.stdout == ""
    assert len(process.stderr.splitlines()) <= len(quiet.stderr.splitlines())


SAME_BITS = """
import hashlib, numpy as np, tensorflow as tf
tf.config.threading.set_intra_op_parallelism_threads(int(sys.argv[1]))
from masklstm import losses, ops
rng = np.random.default_rng(0)
digest = hashlib.sha256()
for shape in ((300000, 1), (40000, 7), (900, 300)):
    y_true = rng.normal(size=shape).astype("float32")
    y_true[rng.random(shape) < 0.3] = np.nan
    y_pred = tf.constant(rng.normal(size=shape), tf.float32)
    weight = tf.constant(0.6)
    for options in (
        {}, {"reduction": "sum"}, {"reduction": "none"}, {"reduction": "mean_with_sample_weight"},
        {"balance": "sample"}, {"balance": "feature"}, {"normalizer": 3.0},
    ):
        with tf.GradientTape() as tape:
            tape.watch([y_pred, weight])
            loss = ops.masked_loss(y_true, y_pred, "huber", sample_weight=weight, **options)
        for result in (loss, *tape.gradient(loss, [y_pred, weight])):
            digest.update(result.numpy().tobytes())
    rows = losses.Masked("mse")(y_true, y_pred, tf.abs(y_pred[:, 0]))
    digest.update(rows.numpy().tobytes())

# By weights, and of gradients; in graphs that know no shape as well, where they are those of the
# eager mode.
t = rng.normal(size=(40000, 5))
t[rng.random(t.shape) < 0.3] = np.nan
p = rng.normal(size=t.shape)
for options in (
    {}, {"reduction": "mean_with_sample_weight"}, {"reduction": "sum"},
    {"reduction": "none"}, {"balance": "feature"},
):
    def results(t, p, w, u):
        with tf.GradientTape(persistent=True) as outer:
            outer.watch([p, w, u])
            with tf.GradientTape() as inner:
                inner.watch([p, w])
                loss = ops.masked_loss(t, p, "log_cosh", sample_weight=w, **options)
                loss = loss * u
            by_p, by_w = inner.gradient(loss, [p, w])
        return [by_p, by_w, *outer.gradient(by_p, [p, w, u]), outer.gradient(by_w, w),
                outer.gradient(by_w, u)]
    graphs = {}  # one for weights of each rank
    for shape in ((), (1, 5), (40000, 1)):
        tensors = [tf.constant(x, tf.float64) for x in (t, p, np.full(shape, 0.7), 1.3)]
        by_axes = [tf.TensorSpec([None] * len(x.shape), tf.float64) for x in tensors]
        if len(shape) not in graphs:
            graphs[len(shape)] = tf.function(results, input_signature=by_axes)
        found = []
        modes = (results, graphs[len(shape)])[: 1 + (int(sys.argv[1]) == 3)]  # tracing takes long
        for function in modes:
            found.append([x if x is None else x.numpy() for x in function(*tensors)])
        for mode in found:
            pairs = zip(mode, found[0], strict=True)
            same = [a is b is None or a.tobytes() == b.tobytes() for a, b in pairs]
            assert all(same), (shape, options, same)
        for x in found[0]:
            digest.update(b"" if x is None else x.tobytes())
print(digest.hexdigest())
"""


@needs_native
def test_same_bits_for_every_number_of_tensorflow_threads():
    """Of losses and first derivatives, and of composed gradients."""
    outputs = set()
    for threads in ("1", "2", "3", "8"):
        process = prepared.run("import sys\n" + SAME_BITS, threads)
        assert process.returncode == 0, process.stderr
        outputs.add(process.stdout)
    assert len(outputs) == 1


@needs_native
def test_the_native_path_does_without_the_reference(monkeypatch):
    from masklstm import losses, ops, reference

    def refuse(*arguments, **options):
        raise AssertionError("the reference was used")

    for name, value in vars(reference).items():
        if callable(value):
            monkeypatch.setattr(reference, name, refuse)
    y_true, y_pred = [[1.0, float("nan")]], [[3.0, 5.0]]
    for options in ({}, {"balance": "sample"}, {"reduction": "none"}, {"normalizer": 2.0}):
        assert np.all(np.isfinite(ops.masked_loss(y_true, y_pred, **options)))
    assert float(losses.Huber()(y_true, y_pred)) == 1.5
    assert float(losses.Masked("mean_squared_error")(y_true, y_pred)) == 4.0
    with pytest.raises(AssertionError, match="was used"):
        reference.masked_loss(y_true, y_pred)


@needs_native
def test_a_lack_of_memory_is_an_error():
    """Not the end of the process: there is no room for the results, or for sums beside them."""
    code = """
import re, resource
import tensorflow as tf
from masklstm import ops
y = tf.zeros([2**24, 1])
ops.masked_loss(y[:100], y[:100], balance="sample")
used = int(re.search(r"VmSize:\\s+(\\d+)", open("/proc/self/status").read()).group(1)) << 10
for more in ((24 << 24) - (100 << 20), (24 << 24) + (100 << 20)):
    resource.setrlimit(resource.RLIMIT_AS, (used + more, resource.RLIM_INFINITY))
    try:
        ops.masked_loss(y, y, balance="sample")
    except tf.errors.ResourceExhaustedError:
        print("refused")
"""
    process = prepared.run(code)
    assert process.returncode == 0, process.stderr[-2000:]
    assert process.stdout.count("refused") == 2


def test_the_summary_says_for_which_cards(monkeypatch):
    about = {"cuda": True, "cuda_version": "13.0", "cuda_architectures": ["75", "90", "120"]}
    monkeypatch.setattr(library, "build", library.build | about)
    assert library._cuda() == "13.0, for compute capability 7.5, 9.0, 12.0"
    monkeypatch.setattr(library, "build", library.build | {"cuda": False})
    assert library._cuda() == "no"
