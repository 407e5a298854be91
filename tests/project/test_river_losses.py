"""examples/river_losses.py: five steps by hand."""

import importlib
from math import sqrt
from pathlib import Path

import pytest
import tensorflow as tf

from masklstm import metrics

EXAMPLES = Path(__file__).parents[2] / "examples"

pytestmark = pytest.mark.skipif(
    not EXAMPLES.exists(), reason="the tests run away from the source tree"
)


@pytest.fixture
def example(monkeypatch):
    monkeypatch.syspath_prepend(EXAMPLES)
    return importlib.import_module("river_losses")


# Flow: errors 0, 1, 0, -1 of the labels 1, 2, 4, 5, whose mean is 3 and whose squared distances add
# up to 10. Temperature: errors 2, 0, 0 of the labels 10, 12, 14, which add up to 8.
FLOW_AND_TEMPERATURE = {
    "rmse": sqrt((2 + 4) / 7),
    "multitask_rmse": sqrt(2 / 4) + 0.5 * sqrt(4 / 3),
    # The squares of all seven labels add up to 486, the labels to 48: 486 - 48^2 / 7 = 1098 / 7.
    "nnse_loss": 1 - 1 / (1 + 6 / (1098 / 7)),
    "samplewise_nnse_loss": 1
    - 1 / (1 + (2 / (4 * (sqrt(10 / 4) + 0.1) ** 2) + 4 / (3 * (sqrt(8 / 3) + 0.1) ** 2)) / 2),
}
# Predictions 1, 3, 4, 4 have the mean 3 as well; their squared distances add up to 6, and the
# products with those of the labels to 7.
FLOW = {
    "rmse": sqrt(2 / 4),
    "nnse_loss": 1 / 6,
    "samplewise_nnse_loss": 1 - 1 / (1 + 2 / (4 * (sqrt(10 / 4) + 0.1) ** 2)),
    "kge_loss": sqrt((7 / sqrt(60) - 1) ** 2 + (sqrt(6 / 10) - 1) ** 2) - 1,
}


def test_values(example):
    y_true, y_pred = example.five_steps()
    for expected, arrays in (
        (FLOW_AND_TEMPERATURE, (y_true, y_pred)),
        (FLOW, (y_true[..., :1], y_pred[..., :1])),
    ):
        for name, value in expected.items():
            assert float(example.LOSSES[name](*arrays)) == pytest.approx(value, rel=1e-6), name


def test_the_classes_are_metrics_of_an_epoch(example):
    y_true, y_pred = (tf.transpose(x, [1, 0, 2]) for x in example.five_steps())
    for name in ("rmse", "multitask_rmse"):
        metric = metrics.Loss(example.LOSSES[name])
        metric.update_state(y_true[:2], y_pred[:2])
        metric.update_state(y_true[2:], y_pred[2:])
        assert float(metric.result()) == pytest.approx(FLOW_AND_TEMPERATURE[name], rel=1e-6)


def test_gradients_are_finite_and_0_at_a_fit(example):
    y_true, y_pred = example.five_steps()
    gaps = tf.math.is_nan(y_true)
    for predictions in (tf.where(gaps, float("inf"), y_pred), tf.where(gaps, y_pred, y_true)):
        for name, loss in example.LOSSES.items():
            with tf.GradientTape() as tape:
                tape.watch(predictions)
                value = loss(y_true, predictions)
            gradient = tape.gradient(value, predictions).numpy()
            assert not gradient[gaps].any(), name
            assert tf.reduce_all(tf.math.is_finite(gradient)), name
            is_met = bool(tf.reduce_all(tf.math.is_finite(predictions)))
            assert gradient.any() != is_met, name


def test_the_command(example, capsys):
    example.main()
    printed = capsys.readouterr().out
    assert "multitask_rmse          1.28446" in printed
    assert "flow" in printed.splitlines()[-1]
