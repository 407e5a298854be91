"""Faults of the world: a full disk, an impatient user, missing rights, too little memory.

Nothing half written stands under its final name, and each is an error that says what was wrong.
"""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from support import prepared
from support.markers import needs_native

from masklstm import data, distributed, scoring
from masklstm.commands.demo import options
from masklstm.commands.errors import CommandError

ROOT = Path(__file__).parents[2]
needs_sources = pytest.mark.skipif(
    not (ROOT / "bench").exists(), reason="the tests run away from the source tree"
)
NOBODY = 65534


def scores():
    rng = np.random.default_rng(0)
    labels = rng.random((400, 20))
    groups = np.repeat([f"station {i}" for i in range(200)], 2)
    return scoring.scores(labels, labels + 0.1, groups=groups, metrics=["rmse", "mae"])


def save_scores(folder):
    scores().to_csv(folder / "result")


def save_columns(folder):
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow", exc_type=ImportError)
    source = folder / "source.parquet"
    if not source.exists():
        pandas.DataFrame({"flow": np.arange(9000.0)}).to_parquet(source)
    data.on_disk(source, folder / "result", verbose=False)


def save_backup(folder):
    import keras

    model = keras.Sequential([keras.Input((300,)), keras.layers.Dense(9)])
    model.compile("adam", "mse")
    backup = distributed.BackupAndRestore(folder / "result")
    backup.set_model(model)
    (folder / "result").mkdir(exist_ok=True)
    try:
        backup.on_epoch_end(0)
    finally:
        if not list((folder / "result").iterdir()):
            (folder / "result").rmdir()


def save_benchmark(folder):
    sys.path.insert(0, str(ROOT))
    from bench.saving import save_text

    save_text(folder / "result", "[" + "1, " * 4000)


SAVERS = [save_scores, save_columns, save_backup, pytest.param(save_benchmark, marks=needs_sources)]


# NumPy before 2 closes the file that it could not write late, and then says so.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("save", SAVERS)
class TestAFullDisk:
    def test_leaves_nothing(self, save, tmp_path, full_disk):
        with pytest.MonkeyPatch.context() as patch:
            # Parquet's own file is the source, which is there.
            if save is save_columns:
                save(tmp_path)
                for file in (tmp_path / "result").iterdir():
                    file.unlink()
                (tmp_path / "result").rmdir()
            before = sorted(tmp_path.iterdir())
            patch.setattr(sys, "dont_write_bytecode", True)
            with full_disk(), pytest.raises((OSError, ValueError)):
                save(tmp_path)
        assert sorted(tmp_path.iterdir()) == before

    def test_with_room_again_it_is_saved(self, save, tmp_path):
        save(tmp_path)
        assert (tmp_path / "result").exists()
        hidden = [each for each in tmp_path.rglob("*") if each.name.startswith(".")]
        assert hidden == []


def as_another_user(function, *arguments):
    """What it raises in a process that has no rights."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            if os.getuid() == 0:
                os.setuid(NOBODY)
            function(*arguments)
            found = "nothing"
        except BaseException as error:  # it ends here, whatever it is
            found = f"{type(error).__name__}: {error}"
        os.write(write, found.encode()[:4000])
        os._exit(0)
    os.close(write)
    os.waitpid(child, 0)
    with os.fdopen(read) as pipe:
        return pipe.read()


class TestNoPermission:
    @pytest.fixture
    def folder(self, tmp_path):
        """That this process can write to, and others cannot."""
        for parent in (tmp_path, *tmp_path.parents):
            if parent.stat().st_uid == os.getuid():
                parent.chmod(parent.stat().st_mode | 0o555)
        folder = tmp_path / "closed"
        folder.mkdir()
        folder.chmod(0o755 if os.getuid() == 0 else 0o555)
        yield folder
        folder.chmod(0o755)

    def test_a_file(self, folder):
        found = as_another_user(save_scores, folder)
        assert found == f"PermissionError: the folder {folder} cannot be written to"

    def test_a_file_that_may_not_be_changed(self, folder, tmp_path):
        tmp_path.chmod(0o777)
        (tmp_path / "result").write_text("kept")
        (tmp_path / "result").chmod(0o444)
        found = as_another_user(save_scores, tmp_path)
        assert found == f"PermissionError: {tmp_path / 'result'} may not be changed"
        assert (tmp_path / "result").read_text() == "kept"

    def test_a_folder(self, folder):
        class Arguments:
            out = folder / "new"

        found = as_another_user(options.make_output_folder, Arguments)
        assert found.startswith(f"{CommandError.__name__}: ")
        assert str(folder / "new") in found


# A shell that starts this in the background makes all that is started here deaf to Ctrl-C.
HEARING = [
    *(sys.executable, "-c"),
    "import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_DFL); "
    "os.execv(sys.executable, [sys.executable, *sys.argv[1:]])",
]


def test_ctrl_c_ends_the_demo_and_leaves_nothing(tmp_path):
    """In mid-training; the message is one line."""
    rows = [f"{i},{10 + i % 7},{i % 5}" for i in range(400)]
    (tmp_path / "river.csv").write_text("\n".join(["time,flow,rain", *rows, ""]))
    command = [
        *(*HEARING, "-m", "masklstm", "demo", "--csv", str(tmp_path / "river.csv")),
        *("--target", "flow", "--horizon", "3", "--window", "6", "--units", "4"),
        *("--epochs", "400", "--out", str(tmp_path / "out")),
    ]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if "seed" in line:  # of the first training
                break
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGINT
    assert errors.splitlines()[-1] == "masklstm demo: interrupted"
    assert "Traceback" not in errors
    assert list((tmp_path / "out").iterdir()) == []


def test_a_reader_that_goes_away_is_no_error():
    program = "import sys, _masklstm_command; sys.exit(_masklstm_command.main(['info']))"
    command = f'{sys.executable} -c "{program}" | head -c 1'
    process = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    assert "Error" not in process.stderr  # BrokenPipeError, be it ignored or not


@needs_sources
def test_ctrl_c_leaves_whole_results_of_a_benchmark(tmp_path):
    """Those of the experiments that were over."""
    out = tmp_path / "result.json"
    command = [
        *(*HEARING, "-m", "bench.run", "--only", "^(mean|kernels|squared)", "--rounds", "3"),
        *("--out", str(out)),
    ]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    ) as process:
        try:
            process.wait(8)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGINT)
        process.communicate(timeout=60)
    assert [file for file in tmp_path.iterdir() if file.suffix == ".json" and file != out] == []
    if out.exists():
        assert json.loads(out.read_text())["experiments"]


@needs_native
def test_too_little_memory_is_an_error():
    """Of the module on NumPy arrays and of the recurrent op; test_native.py has the losses."""
    code = """
import re, resource
import numpy as np, tensorflow as tf
from masklstm import kernels, layers
y = np.zeros((2**24, 1), np.float32)
kernels.masked_loss_gradient(y[:100], y[:100])
layer = layers.LSTM(256, return_sequences=True)
x = tf.zeros([64, 1024, 8])
layer(x[:1, :2])
used = int(re.search(r"VmSize:\\s+(\\d+)", open("/proc/self/status").read()).group(1)) << 10
resource.setrlimit(resource.RLIMIT_AS, (used + (30 << 20), resource.RLIM_INFINITY))
for call in (lambda: kernels.masked_loss_gradient(y, y), lambda: layer(x)):
    try:
        call()
    except (MemoryError, tf.errors.ResourceExhaustedError) as error:
        print("refused", type(error).__name__)
resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
print("goes on", kernels.masked_loss(y, y)[0], float(tf.reduce_sum(layer(x[:1]))))
"""
    process = prepared.run(code)
    assert process.returncode == 0, process.stderr[-2000:]
    assert process.stdout.count("refused") == 2
    assert "goes on 0.0" in process.stdout
