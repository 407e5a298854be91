"""Training on two replicas is training on one device."""

import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).with_name("replica_training.py")


def test_two_replicas_are_like_one_device():
    # In a process of its own, since logical devices are split before TensorFlow starts.
    process = subprocess.run([sys.executable, SCRIPT], capture_output=True, text=True)
    assert process.returncode == 0, process.stderr[-2000:]
    rows = [line.split()[1:] for line in process.stdout.splitlines() if line.startswith("RESULT")]
    assert [name for name, *_ in rows] == ["train", "gradient_by_weight"] * 2
    for _, difference, size in rows:
        assert float(size) > 0.01
        assert float(difference) < 1e-6 * max(1.0, float(size))
