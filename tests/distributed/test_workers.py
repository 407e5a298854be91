"""Training on several workers is training in one process, by TF_CONFIG and by Ray."""

import importlib.util
import json
import re
import subprocess
import sys

import numpy as np
import pytest
from support.worker_training import EPOCHS, STEPS, cases
from support.workers import TESTS, finished, workers

NAMES = sorted(cases())
# What is added up differs between the cases, not how many workers add it up, nor who started them.
FEW = ["mean", "weighted"]
WAYS = [(2, "TF_CONFIG", NAMES), (3, "TF_CONFIG", FEW), (2, "Ray", FEW), (3, "Ray", FEW)]
needs_ray = pytest.mark.skipif(
    importlib.util.find_spec("ray") is None, reason="Ray is not installed: masklstm[distributed]"
)


def run_alone(module, folder, count, names):
    process = subprocess.run(
        [sys.executable, "-m", f"support.{module}", str(folder), str(count), *names],
        cwd=TESTS,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert process.returncode == 0, process.stderr[-4000:]


@pytest.mark.parametrize(
    ("count", "way", "names"),
    [
        pytest.param(*each, id=f"{each[1]}-{each[0]}", marks=needs_ray if each[1] == "Ray" else ())
        for each in WAYS
    ],
)
def test_weights_and_reports_are_those_of_one_process(tmp_path, count, way, names):
    """20 steps, unequal gaps, one worker without any label."""
    if way == "Ray":
        run_alone("ray_training", tmp_path, count, names)
    else:
        with workers(["-m", "support.worker_training", tmp_path, count, *names], count) as started:
            finished(started)
    run_alone("worker_training", tmp_path, count, names)
    one = json.loads((tmp_path / "worker-0-of-1.json").read_text())
    for index in range(count):
        own = json.loads((tmp_path / f"worker-{index}-of-{count}.json").read_text())
        assert own.keys() == one.keys() == set(names)
        for name in names:
            a, b = one[name], own[name]
            assert a["steps"] == b["steps"] == STEPS * EPOCHS == 20
            np.testing.assert_allclose(b["weights"], a["weights"], rtol=0, atol=1e-6)
            for part in ("history", "evaluated"):
                assert a[part].keys() == b[part].keys()
                for key, value in a[part].items():
                    np.testing.assert_allclose(b[part][key], value, rtol=1e-6, err_msg=key)
                    assert np.all(np.isfinite(value))
    assert 0 < one["mean"]["history"]["valid_share"][0] < 1  # of MissingLabels


def test_what_holds_on_each_worker(tmp_path):
    """support/worker_checks.py, of which every check must have passed on both of two workers."""
    text = (TESTS / "support" / "worker_checks.py").read_text()
    names = re.findall(r"^def check_(\w+)", text, re.MULTILINE)
    with workers(["-m", "support.worker_checks", tmp_path], 2) as started:
        for printed in finished(started):
            assert re.findall(r"^passed (\w+)", printed, re.MULTILINE) == names
