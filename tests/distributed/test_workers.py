"""Training on several workers is training in one process, by TF_CONFIG and by Ray."""

import importlib.util
import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest
from support.worker_training import EPOCHS, STEPS, cases
from support.workers import TESTS, finished, workers

# What is added up differs between the cases, not how many workers add it up, nor who started them.
FEW = ["mean", "weighted"]
CASES = {2: sorted(cases()), 3: FEW}
# They take minutes: .ci/run takes another number and way each day, as in "3 Ray".
CHOSEN = os.environ.get("MASKLSTM_TEST_WORKERS", "2 3 TF_CONFIG Ray").split()
COUNTS = [int(each) for each in CHOSEN if each.isdigit()]
HAS_RAY = importlib.util.find_spec("ray") is not None
WAYS = [way for way in CHOSEN if way == "TF_CONFIG" or (way == "Ray" and HAS_RAY)]


def run_alone(module, folder, count, names):
    process = subprocess.run(
        [sys.executable, "-m", f"support.{module}", str(folder), str(count), *names],
        cwd=TESTS,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert process.returncode == 0, process.stderr[-4000:]


@pytest.mark.parametrize("count", COUNTS)
def test_weights_and_reports_are_those_of_one_process(tmp_path, count):
    """20 steps, unequal gaps, one worker without any label, another one that starts late; also on
    workers that Ray starts, where it is installed (`masklstm[distributed]`).
    """
    names = CASES[count]
    if not WAYS:
        pytest.skip("Ray is not installed")
    ways = {way: tmp_path / way for way in ("one", *WAYS)}
    for folder in ways.values():
        folder.mkdir()
    run_alone("worker_training", ways["one"], count, names)
    if "TF_CONFIG" in WAYS:
        command = ["-m", "support.worker_training", ways["TF_CONFIG"], count, *names]
        with workers(command, count, late=5.0) as started:
            finished(started)
    if "Ray" in WAYS:
        run_alone("ray_training", ways["Ray"], count, FEW)
    one = json.loads((ways.pop("one") / "worker-0-of-1.json").read_text())
    assert one.keys() == set(names)
    for way, folder in ways.items():
        for index in range(count):
            own = json.loads((folder / f"worker-{index}-of-{count}.json").read_text())
            assert own.keys() == set(FEW if way == "Ray" else names)
            for name, report in own.items():
                assert_same(report, one[name], f"{name}, worker {index} by {way}")
    assert 0 < one["mean"]["history"]["valid_share"][0] < 1  # of MissingLabels


def assert_same(several, one, what):
    assert one["steps"] == several["steps"] == STEPS * EPOCHS == 20
    np.testing.assert_allclose(several["weights"], one["weights"], rtol=0, atol=1e-6, err_msg=what)
    for part in ("history", "evaluated"):
        assert one[part].keys() == several[part].keys()
        for key, value in one[part].items():
            np.testing.assert_allclose(several[part][key], value, rtol=1e-6, err_msg=(what, key))
            assert np.all(np.isfinite(value))


def test_what_holds_on_each_worker(tmp_path):
    """support/worker_checks.py, of which every check must have passed on both of two workers."""
    text = (TESTS / "support" / "worker_checks.py").read_text()
    names = re.findall(r"^def check_(\w+)", text, re.MULTILINE)
    with workers(["-m", "support.worker_checks", tmp_path], 2) as started:
        for printed in finished(started):
            assert re.findall(r"^passed (\w+)", printed, re.MULTILINE) == names
