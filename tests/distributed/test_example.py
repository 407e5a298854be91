"""examples/several_machines: each way of starting it, and what happens when a worker dies."""

import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import keras
import numpy as np
import pytest
from support.workers import free_ports

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "several_machines"
HAS_RAY = importlib.util.find_spec("ray") is not None
pytestmark = pytest.mark.skipif(not EXAMPLE.exists(), reason="the sources are not here")


def commands():
    """Those of the README that start a training, by the folder of their results."""
    blocks = re.findall(r"```sh\n(.*?)```", (EXAMPLE / "README.md").read_text(), re.DOTALL)
    return {
        re.search(r"--out (\w+)", block)[1]: block for block in blocks if "pip install" not in block
    }


def of_readme():
    if not EXAMPLE.exists():
        return []
    needs_ray = pytest.mark.skipif(not HAS_RAY, reason="Ray is not installed")
    return [pytest.param(out, marks=needs_ray if "ray" in out else ()) for out in commands()]


def environment():
    """`python` is this one."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return {**os.environ, "PATH": path}


@pytest.fixture(scope="module")
def result_of(tmp_path_factory):
    """Runs a command of the README, once; the folder of its results."""
    folders = {}

    def result(out):
        if out in folders:
            return folders[out]
        folder = tmp_path_factory.mktemp(out)
        command = commands()[out].replace(f"--out {out}", f"--out {folder}")
        for port, free in zip(("52101", "52102"), free_ports(2), strict=True):
            command = command.replace(port, str(free))
        process = subprocess.run(
            ["bash", "-ec", command],
            cwd=ROOT,
            env=environment(),
            capture_output=True,
            text=True,
            timeout=180,
        )
        assert process.returncode == 0, process.stdout[-2000:] + process.stderr[-4000:]
        folders[out] = folder
        return folder

    return result


@pytest.mark.parametrize("out", of_readme())
def test_commands_of_the_readme(result_of, out):
    folder = result_of(out)
    history = json.loads((folder / "history.json").read_text())
    assert len(history["loss"]) == 2
    assert history["val_nse"][-1] > 0.7
    assert not list((folder / "backup").iterdir())


class TestKilledWorker:
    """In mid-epoch; the end is that of the README's command, which nobody disturbs."""

    EPOCHS = 2

    def command(self, out):
        arguments = ["--workers", "2", "train.py", "--epochs", str(self.EPOCHS), "--out", str(out)]
        return [sys.executable, str(EXAMPLE / "start.py"), *arguments]

    def test_is_named_and_the_training_goes_on(self, tmp_path, result_of):
        undisturbed, out = result_of("by_hand"), tmp_path / "killed"
        lines, pids = [], {}
        with subprocess.Popen(
            self.command(out), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as process:
            guard = threading.Timer(180, process.kill)
            guard.start()
            for line in process.stdout:
                lines.append(line)
                if started := re.match(r"worker (\d): process (\d+)", line):
                    pids[int(started[1])] = int(started[2])
                if f"Epoch 2/{self.EPOCHS}" in line:
                    # Its steps are on their way; the last epoch that is complete is the first.
                    os.kill(pids[1], signal.SIGKILL)
            guard.cancel()
        assert process.returncode == 1
        printed = "".join(lines)
        assert f"worker 1 (process {pids[1]}) was killed by SIGKILL" in printed
        # The other one does not need start.py to know.
        assert re.search(r"worker 0 \| RuntimeError: worker 1 of 2 .* has stopped", printed), (
            printed
        )
        assert [file.name for file in (out / "backup").iterdir()] == ["epoch-000001.npz"]
        assert not (out / "history.json").exists()

        again = subprocess.run(
            self.command(out), check=True, capture_output=True, text=True, timeout=180
        )
        assert "Epoch 2/" in again.stdout
        assert "Epoch 1/" not in again.stdout
        history, whole = (
            json.loads((each / "history.json").read_text()) for each in (out, undisturbed)
        )
        for name, values in whole.items():
            assert history[name] == pytest.approx(values[1:], rel=1e-6)
        one, other = (
            keras.models.load_model(each / "forecast.keras") for each in (out, undisturbed)
        )
        for a, b in zip(one.get_weights(), other.get_weights(), strict=True):
            np.testing.assert_allclose(a, b, rtol=0, atol=1e-6)
