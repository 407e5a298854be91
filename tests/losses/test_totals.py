"""A loss is totals that add up and a function of them, whatever the function."""

import json
from pathlib import Path

import numpy as np
import tensorflow as tf
from support import prepared

from masklstm._core.totals import divided

SCRIPT = Path(__file__).parents[1] / "support" / "own_totals.py"


def test_own_totals_over_three_unequal_replicas_and_over_an_epoch():
    process = prepared.run_file(SCRIPT)
    assert process.returncode == 0, process.stderr[-2000:]
    lines = [line for line in process.stdout.splitlines() if line.startswith("RESULT")]
    rows = [json.loads(line.removeprefix("RESULT ")) for line in lines]
    assert [row["name"] for row in rows] == [
        "root_mean_squared_error",
        "inefficiency",
        "huber_loss",
        "rmse",
        "nash_sutcliffe_efficiency",
        "kling_gupta_efficiency",
        "concordance_correlation",
        "negative_log_likelihood",
        "quantiles",
        "crps",
    ]
    for row in rows:
        assert np.all(np.abs(row["one"]) > 1e-3), "nothing to compare"
        np.testing.assert_allclose(row["several"], row["one"], rtol=1e-12)
        np.testing.assert_allclose(row["epoch"], row["one"][0], rtol=1e-12)


def test_nothing_to_divide_by_is_0_and_hides_no_divergence():
    values = tf.constant([0.0, 3.0, np.inf, -np.inf, np.nan])
    np.testing.assert_array_equal(divided(values, 0.0 * values[:1]), [0, 0, *[np.nan] * 3])
    np.testing.assert_array_equal(divided(values, tf.constant(2.0)), values / 2)
