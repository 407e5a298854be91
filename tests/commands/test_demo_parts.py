"""What the demo computes and trains, part by part."""

import argparse
import dataclasses
import math
import types

import numpy as np
import pytest
import scipy.stats

from masklstm.commands.demo import fan, forecast, options, report, speed
from masklstm.commands.demo.examples import forecast_windows, prepare
from masklstm.commands.demo.intervals import Interval, interval
from masklstm.commands.demo.options import Settings
from masklstm.commands.table import CommandError, Table

SETTINGS = Settings(horizon=2, window=4, epochs=3, units=2, seed=7)


@pytest.mark.parametrize("count", range(2, 22))
def test_intervals_are_those_of_student_s_t(count, rng):
    values = rng.normal(size=count).tolist()
    low, high = scipy.stats.t.interval(
        0.95, count - 1, np.mean(values), scipy.stats.sem(values, ddof=1)
    )
    found = interval(values)
    assert found.mean - found.half_width == pytest.approx(low, rel=1e-3, abs=1e-3)
    assert found.mean + found.half_width == pytest.approx(high, rel=1e-3, abs=1e-3)


def test_the_interval_of_one_value_is_not_known():
    found = interval([3.0])
    assert found.mean == 3.0
    assert math.isnan(found.half_width)
    assert not found.above_zero
    assert not found.below_zero


@pytest.mark.parametrize(
    ("mean", "half_width", "above", "below"),
    [(2, 1, True, False), (1, 1, False, False), (-1, 1, False, False), (-2, 1, False, True)],
)
def test_which_side_of_zero(mean, half_width, above, below):
    assert Interval(mean, half_width).above_zero is above
    assert Interval(mean, half_width).below_zero is below


@pytest.mark.parametrize(
    ("mean", "half_width", "words"),
    [
        (-2.0, 1.0, "2.0 below that of mean-filled (± 1.0: 95% interval, paired by seed): more"),
        (2.0, 1.0, "2.0 above that of mean-filled (± 1.0: 95% interval, paired by seed): more"),
        (2.0, 3.0, "(± 3.0: 95% interval, paired by seed): which may be chance"),
    ],
)
def test_what_is_said_of_a_difference(mean, half_width, words):
    outcome = types.SimpleNamespace(difference=Interval(mean, half_width))
    assert words in report._verdict(outcome, 1, 5)
    assert "one seed, which says little" in report._verdict(outcome, 1, 1)


@pytest.fixture
def series(rng):
    columns = {"y": rng.normal(size=60), "x": rng.normal(size=60)}
    return prepare(Table(columns, {}), "y", SETTINGS.window, SETTINGS.horizon)


class LastInputs:
    """Forecasts the first input of each row of a window."""

    def predict_on_batch(self, windows):
        assert len(windows) <= 5
        return np.asarray(windows)[:, :, :1]


def test_a_forecast_is_made_from_the_last_row_of_a_window(series, monkeypatch):
    monkeypatch.setattr(forecast, "_FORECASTS_AT_ONCE", 5)
    rows = series.split.parts["test"]
    found = forecast.forecast(LastInputs(), series, rows, SETTINGS)
    windows = forecast_windows(series, rows, SETTINGS.window, SETTINGS.horizon)
    np.testing.assert_allclose(found, series.scale.restore(windows[:, -1, 0]))


def test_a_fan_of_the_test_part(series, capsys, monkeypatch):
    epochs = []
    fit = fan.keras.Model.fit

    def watched(self, *args, **options):
        epochs.append(options["epochs"])
        return fit(self, *args, **options)

    monkeypatch.setattr(fan.keras.Model, "fit", watched)
    monkeypatch.setattr(fan, "_AT_ONCE", 5)
    monkeypatch.setattr(fan, "LEVELS", (0.01, 0.02, 0.5, 0.98))  # of which no two mean the same
    found = fan.forecast_distributions(series, SETTINGS)
    observed = series.target[series.split.parts["test"]]
    assert capsys.readouterr().out == ""
    assert epochs == [2]
    assert found.quantiles.shape == (len(observed), len(fan.LEVELS))
    assert (np.diff(found.quantiles, axis=1) > 0).all()
    low, high = found.quantiles[:, 0], found.quantiles[:, -1]
    assert found.coverage == pytest.approx(np.mean((low <= observed) & (observed <= high)))


LIMITS = {
    "horizon": (1, 1_000_000),
    "window": (1, 1_000_000),
    "epochs": (1, 1_000_000),
    "units": (1, 1024),
    "seed": (0, 2**32 - 1),
    "seeds": (1, 21),
    "block": (1, 1_000_000),
}


DEFAULTS = dict(horizon=24, window=48, epochs=15, units=32, seed=0, seeds=5, block=168)


def settings(*given):
    parser = argparse.ArgumentParser()
    options.add_arguments(parser)
    return options.read_settings(parser.parse_args(given))


@pytest.mark.parametrize("option", LIMITS)
def test_the_limits_of_options(option):
    least, most = LIMITS[option]
    for number in (least, most):
        assert getattr(settings(f"--{option}={number}"), option) == number
    for text in (str(least - 1), str(most + 1), "1.5", "one", ""):
        with pytest.raises(CommandError, match=rf"--{option}.*{least}.*{most}.*Received: {text}"):
            settings(f"--{option}={text}")
    assert getattr(settings(), option) == DEFAULTS[option]


@pytest.mark.parametrize("text", ["-0.1", "1", "1.5", "nan", "much", ""])
def test_a_share_that_is_none(text):
    with pytest.raises(CommandError, match=f"--remove.*Received: {text}"):
        settings(f"--remove={text}")


@pytest.mark.parametrize(
    ("given", "share"),
    [
        ([], options.SHIPPED_REMOVAL),
        (["--csv", "file", "--target", "y"], 0.0),
        (["--remove", "0"], 0.0),
        (["--remove", "0.999"], 0.999),
    ],
    ids=str,
)
def test_the_share_of_labels_that_is_removed(given, share):
    assert settings(*given).remove == share


def test_the_speed_of_an_epoch(series, capsys, monkeypatch):
    fit = speed.keras.Model.fit
    calls = []

    def watched(self, *args, **options):
        calls.append(self)
        return fit(self, *args, **options)

    monkeypatch.setattr(speed.keras.Model, "fit", watched)
    found = speed.time_epochs(series, SETTINGS)
    assert 0 < found.ours < math.inf
    assert 0 < found.keras < math.inf
    assert len(calls) == 2 * (1 + speed._ROUNDS)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("value", [SETTINGS, options.shipped_source(), interval([1.0, 2.0])])
def test_what_was_chosen_or_found_cannot_be_changed(value):
    field = next(iter(dataclasses.fields(value)))
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(value, field.name, None)
