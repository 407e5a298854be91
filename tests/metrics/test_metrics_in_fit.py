"""Metrics where Keras drives them: fit, evaluate, callbacks, files, replicas, the other backend."""

import json
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from support import prepared
from support.metric_models import (
    NAN,
    OF_ONE_PREDICTION,
    all_metrics,
    compiled,
    data,
    figures,
    named,
)

from masklstm import losses, metrics
from masklstm._core import library


def expected(made, y, y_pred, weight=None):
    """What the metrics say of the whole as one batch."""
    results = {}
    for metric in made:
        again = type(metric).from_config(metric.get_config())
        again.update_state(y, y_pred, weight)
        results |= {name: np.asarray(value) for name, value in named(again).items()}
    return results


def assert_close(logs, results):
    for name, value in results.items():
        np.testing.assert_allclose(logs[name], value, rtol=1e-5, atol=1e-6, err_msg=name)


@pytest.mark.parametrize("mode", ["graph", "run_eagerly", "jit_compile"])
def test_fit_and_evaluate(mode, rng):
    if mode == "jit_compile" and not library.build["xla"]:
        pytest.skip("built without XLA")
    x, y, weight = data(rng)
    made = all_metrics()
    model = compiled(
        made,
        weighted_metrics=[metrics.R2Score(name="weighted")],
        **{mode: True} if mode != "graph" else {},
    )
    history = model.fit(x, y, sample_weight=weight, epochs=1, batch_size=8, verbose=0).history
    logs = model.evaluate(x, y, sample_weight=weight, batch_size=6, verbose=0, return_dict=True)
    y_pred = model.predict(x, verbose=0)
    results = expected(made, y, y_pred)
    results |= expected([metrics.R2Score(name="weighted")], y, y_pred, weight)
    assert_close(logs, results)
    assert history.keys() == logs.keys()
    assert np.all(
        np.isfinite([values[-1] for name, values in history.items() if name != "of_keras"])
    )


def test_the_figure_of_an_epoch_does_not_depend_on_the_batch_size(rng):
    """Keras's own does: batches count by their size, whatever their gaps."""
    x, y, _ = data(rng)
    made = [metrics.Loss(losses.MeanSquaredError()), metrics.RootMeanSquaredError()]
    model = compiled(made)
    logs = [
        model.evaluate(x, y, batch_size=size, verbose=0, return_dict=True) for size in (1, 5, 24)
    ]
    for one in logs[:-1]:
        for name in ("mean_squared_error", "root_mean_squared_error"):
            assert one[name] == pytest.approx(logs[-1][name], rel=1e-7)
        assert abs(one["loss"] - logs[-1]["loss"]) > 1e-3
    assert logs[-1]["mean_squared_error"] == pytest.approx(logs[-1]["loss"], rel=1e-6)


def test_save_and_load(rng, tmp_path):
    x, y, _ = data(rng)
    model = compiled(all_metrics())
    model.fit(x, y, verbose=0)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    logs = [one.evaluate(x, y, verbose=0, return_dict=True) for one in (model, again)]
    assert type(again.loss) is losses.MeanSquaredError
    loaded, made = ([metric for metric in one.metrics[1].metrics] for one in (again, model))
    assert [type(metric) for metric in loaded] == [type(metric) for metric in made]
    assert [metric.get_config() for metric in loaded] == [metric.get_config() for metric in made]
    assert_close(logs[1], logs[0])


def test_mixed_precision(rng):
    keras.config.set_dtype_policy("mixed_float16")
    try:
        x, y, _ = data(rng)
        made = all_metrics()
        model = compiled(made)
        model.fit(x, y, epochs=1, verbose=0)
        logs = model.evaluate(x, y, batch_size=5, verbose=0, return_dict=True)
        y_pred = model.predict(x, verbose=0)
        assert y_pred.dtype == "float16"
    finally:
        keras.config.set_dtype_policy("float32")
    results = expected(made, y, y_pred)
    for name, value in results.items():
        # A threshold can fall between what predict and evaluate round to.
        np.testing.assert_allclose(logs[name], value, rtol=5e-3, atol=1e-3, err_msg=name)
    for metric in made:
        if not isinstance(metric, metrics.Masked):  # whose inner metric chooses itself
            assert {variable.dtype for variable in metric.variables} <= {"float64", "int64"}


@pytest.mark.parametrize(
    ("create", "is_better"),
    [
        (metrics.RootMeanSquaredError, "less"),
        (metrics.R2Score, "greater"),
        (metrics.BinaryAccuracy, "greater"),
        (lambda name: metrics.Loss(losses.MeanSquaredError(), name), "less"),
        (lambda name: metrics.Masked("AUC", name), "greater"),
    ],
    ids=["RootMeanSquaredError", "R2Score", "BinaryAccuracy", "Loss", "Masked"],
)
def test_callbacks_know_which_way_is_better(create, is_better, rng):
    x, y, _ = data(rng)
    stop = keras.callbacks.EarlyStopping(monitor="figure", patience=3)
    compiled([create(name="figure")]).fit(x, y, verbose=0, callbacks=[stop])
    assert stop.monitor_op is getattr(keras.ops, is_better)


def test_a_masking_layer_reaches_the_metrics(rng):
    """A masked step does not count, though its label is there."""
    x, y = rng.normal(size=(2, 6, 4, 2)).astype("float32")
    x[:, 2:] = 0.0
    model = keras.Sequential([keras.layers.Masking(), keras.layers.LSTM(2, return_sequences=True)])
    made = [
        metrics.MeanSquaredError(),
        metrics.R2Score(),
        metrics.Masked("MeanAbsoluteError"),
        metrics.Loss(losses.MeanSquaredError(), name="of_loss"),
    ]
    model.compile("sgd", losses.MeanSquaredError(), metrics=[*made, metrics.ValidFraction()])
    logs = model.evaluate(x, y, verbose=0, return_dict=True)
    y_pred = model.predict(x, verbose=0)
    assert_close(logs, {**expected(made, y[:, :2], y_pred[:, :2]), "valid_fraction": 0.5})


TESTS = Path(__file__).parents[1]


def test_replicas_report_what_one_device_does():
    process = prepared.run_file(TESTS / "support" / "replica_metrics.py")
    assert process.returncode == 0, process.stderr[-3000:]
    rows = [json.loads(line[7:]) for line in process.stdout.splitlines() if line[:6] == "RESULT"]
    assert {row["metric"] for row in rows} >= set(OF_ONE_PREDICTION)
    for row in rows:
        print(row)
        np.testing.assert_allclose(row["several"], row["one"], rtol=1e-5, atol=1e-6)


def test_the_reference_has_the_same_numbers(rng):
    y_true = np.where(rng.random((9, 3)) < 0.3, NAN, np.round(rng.random((9, 3))))
    arrays = [y_true, rng.random((9, 3)), rng.random(9)]
    code = "import json, sys, numpy as np; from support.metric_models import figures\n"
    code += "print('RESULT', json.dumps(figures([np.array(x) for x in json.load(sys.stdin)])))"
    process = subprocess.run(
        [sys.executable, "-c", code],
        cwd=TESTS,
        env={**os.environ, "MASKLSTM_BACKEND": "reference"},
        input=json.dumps([array.tolist() for array in arrays]),
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stderr[-2000:]
    (line,) = [line for line in process.stdout.splitlines() if line[:6] == "RESULT"]
    ours, theirs = figures(arrays), json.loads(line[7:])
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        np.testing.assert_allclose(theirs[name], value, rtol=1e-12, err_msg=name)
