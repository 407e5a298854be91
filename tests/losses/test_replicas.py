"""Training on several replicas is training on one device, whatever the gaps of each replica."""

import json
from pathlib import Path

import pytest
from support import prepared

SCRIPT = Path(__file__).parents[1] / "support" / "replica_training.py"


def rows(output, errors, returncode):
    assert returncode == 0, errors[-2000:]
    lines = [line.split(maxsplit=1)[1] for line in output.splitlines() if line[:6] == "RESULT"]
    return {row["name"]: row for row in map(json.loads, lines)}


def assert_same(row):
    print(row)
    for part in ("weights", "losses"):
        assert row[part]["size"] > 0.01
        assert row[part]["difference"] < 2e-6 * max(1.0, row[part]["size"])


@pytest.mark.parametrize("number", [2, 3, 4])
def test_replicas_of_one_process(number):
    """Weights after training, reported losses and `evaluate`; at three replicas Keras's own too."""
    process = prepared.run_file(SCRIPT, str(number))
    results = rows(process.stdout, process.stderr, process.returncode)
    keras_own = {name: row for name, row in results.items() if name.startswith("Keras")}
    assert len(results) - len(keras_own) == (11 if number == 2 else 2)
    for name, row in results.items():
        if name not in keras_own:
            assert_same(row)
    if number == 3:
        # Averaging the replicas' own means: other weights than on one device, other losses too.
        assert len(keras_own) == 2
        for row in keras_own.values():
            print(row)
            assert row["weights"]["difference"] > 1e-3
            assert row["losses"]["difference"] > 1e-3
