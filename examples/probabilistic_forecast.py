"""Forecasts of whole distributions, learnt from labels with gaps

An LSTM reads two days of weather and fine dust in Beijing hour by hour, and after every hour a
`masklstm.layers.Distribution` says what the dust a day later may be: not one number, but the
parameters of a distribution. The loss is the negative log-likelihood of the labels that are there.
Several families are trained alike; of each the epoch with the best likelihood of the validation
part is kept, and the family with the lowest CRPS there is drawn. The test part chooses nothing.
"""

import argparse
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure

from masklstm import distributions, layers, losses, metrics
from masklstm.commands.demo.examples import Series, forecast_windows, prepare, training_windows
from masklstm.commands.demo.gaps import find_gaps
from masklstm.commands.demo.options import SHIPPED_DATA, SHIPPED_TARGET
from masklstm.commands.demo.picture import choose_period
from masklstm.commands.table import read_table

WINDOW, HORIZON = 48, 24
EPOCHS, PATIENCE, UNITS, SEED = 40, 4, 32, 0
MEMBERS = 200
LEVELS = (0.5, 0.8, 0.9)
BANDS = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95)
# Family and number of components.
HEADS = (
    ("gaussian", 1),
    ("student_t", 1),
    ("gamma", 1),
    ("gaussian", 3),
    ("asymmetric_laplace", 3),
)


def load() -> Series:
    return prepare(read_table(SHIPPED_DATA), SHIPPED_TARGET, WINDOW, HORIZON)


@dataclass
class Unit:
    """Labels are amounts in units of their mean, 1 more than measured: some are 0, which a gamma
    distribution never is. So they fit every family, and likelihoods can be compared.
    """

    mean: float

    def of_dust(self, dust: Any) -> Any:
        return ((dust + 1.0) / self.mean).astype("float32")

    def to_dust(self, labels: Any) -> Any:
        return labels * self.mean - 1.0


def training_part(series: Series, unit: Unit) -> tuple[Any, Any]:
    inputs, labels = training_windows(series, WINDOW, HORIZON)
    return inputs, unit.of_dust(series.scale.restore(labels))


def part(series: Series, unit: Unit, name: str) -> tuple[Any, Any]:
    """Windows that end a day before each hour of a part; all labels but the last are missing."""
    rows = series.split.parts[name]
    inputs = np.ascontiguousarray(forecast_windows(series, rows, WINDOW, HORIZON))
    labels = np.full((len(inputs), WINDOW, 1), np.nan, "float32")
    labels[:, -1, 0] = unit.of_dust(series.target[rows])
    return inputs, labels


def build_model(features: int, family: str, components: int) -> keras.Model:
    keras.utils.set_random_seed(SEED)
    return keras.Sequential(
        [
            keras.Input((WINDOW, features)),
            layers.LSTM(UNITS, return_sequences=True),
            layers.Distribution(family, components=components),
        ]
    )


def train(
    training: tuple[Any, Any],
    validation: tuple[Any, Any],
    family: str,
    components: int,
    epochs: int = EPOCHS,
) -> tuple[keras.Model, float]:
    """The model with the weights of its best epoch, and the likelihood of the validation part."""
    model = build_model(training[0].shape[-1], family, components)
    loss = losses.NegativeLogLikelihood(family, components)
    model.compile(keras.optimizers.Adam(1e-3), loss=loss, metrics=[metrics.Loss(loss, name="nll")])
    best = keras.callbacks.EarlyStopping(
        "val_nll", patience=PATIENCE, mode="min", restore_best_weights=True
    )
    history = model.fit(
        *training,
        validation_data=validation,
        validation_batch_size=1024,
        epochs=epochs,
        verbose=0,
        callbacks=[best],
    ).history
    return model, min(history["val_nll"])


@dataclass
class Scores:
    """How good the forecasts of one part are."""

    crps: float
    """In the dust's unit."""
    coverage: list[float]
    """Shares of the observed hours within the central intervals of `LEVELS`."""
    width: float
    """Mean width of the widest interval, in the dust's unit."""


def predict(model: keras.Model, inputs: Any) -> Any:
    """The parameters for the hour that each window is about: `(hours, k)`."""
    return model.predict(inputs, batch_size=1024, verbose=0)[:, -1, 0]


def judge(parameters: Any, labels: Any, unit: Unit, family: str, components: int) -> Scores:
    y_true = labels[:, -1, 0]
    members = distributions.sample(family, parameters, MEMBERS, SEED, components)
    crps = metrics.CRPS("ensemble")
    crps.update_state(y_true, members)
    coverage = []
    for level in LEVELS:
        metric = metrics.Coverage(level, family, components)
        metric.update_state(y_true, parameters)
        coverage.append(float(metric.result()))
    ends = distributions.quantile(family, parameters, [BANDS[0], BANDS[-1]], components).numpy()
    width = float(np.mean(ends[:, 1] - ends[:, 0]))
    return Scores(float(crps.result()) * unit.mean, coverage, width * unit.mean)


@dataclass
class Outcome:
    """What became of one head."""

    family: str
    components: int
    nll: float
    """Of the validation part."""
    validation: Scores
    test: Scores
    parameters: Any
    """Those of the test part."""

    @property
    def name(self) -> str:
        return self.family if self.components == 1 else f"{self.components} x {self.family}"


def run(
    series: Series, heads: Sequence[tuple[str, int]] = HEADS, epochs: int = EPOCHS
) -> list[Outcome]:
    """Trains every head."""
    unit = Unit(series.scale.mean)
    training = training_part(series, unit)
    validation, test = part(series, unit, "validation"), part(series, unit, "test")
    outcomes = []
    for family, components in heads:
        model, nll = train(training, validation, family, components, epochs)
        predicted = predict(model, test[0])
        outcomes.append(
            Outcome(
                family,
                components,
                nll,
                judge(predict(model, validation[0]), validation[1], unit, family, components),
                judge(predicted, test[1], unit, family, components),
                predicted,
            )
        )
    return outcomes


def chosen(outcomes: Sequence[Outcome]) -> Outcome:
    """The head with the lowest CRPS of the validation part."""
    return min(outcomes, key=lambda outcome: outcome.validation.crps)


def table(outcomes: Sequence[Outcome]) -> str:
    """In Markdown."""
    levels = " | ".join(f"in {level:.0%}" for level in LEVELS)
    lines = [
        f"| head | validation: NLL | CRPS | in 90% | test: CRPS | {levels} | width of 90% |",
        f"| --- |{' ---: |' * (5 + len(LEVELS))}",
    ]
    for outcome in outcomes:
        validation, test = outcome.validation, outcome.test
        shares = " | ".join(f"{share:.1%}" for share in test.coverage)
        lines.append(
            f"| {outcome.name} | {outcome.nll:.3f} | {validation.crps:.1f} "
            f"| {validation.coverage[-1]:.1%} | {test.crps:.1f} | {shares} | {test.width:.0f} |"
        )
    return "\n".join(lines)


def hours(rows: Any) -> Any:
    """The times of data rows."""
    return [datetime(2010, 1, 1) + timedelta(hours=float(row)) for row in rows]


def draw(path: Path, series: Series, outcome: Outcome) -> None:
    """The fan chart around the longest gap of the test part."""
    rows = series.split.parts["test"]
    observed = series.target[rows]
    period = choose_period(observed, HORIZON)
    quantiles = distributions.quantile(
        outcome.family, outcome.parameters[period], BANDS, outcome.components
    )
    quantiles = Unit(series.scale.mean).to_dust(quantiles.numpy())
    first = rows.start + period.start
    times = hours(first + np.arange(period.stop - period.start))
    figure = Figure(figsize=(10, 4), dpi=100, layout="constrained")
    axes = figure.subplots()
    for number, gap in enumerate(find_gaps(observed[period])):
        axes.axvspan(
            *hours(first + np.array([gap.start - 0.5, gap.stop - 0.5])),
            color="#CC79A7",
            alpha=0.2,
            linewidth=0,
            label="no label" if number == 0 else None,
        )
    for place, (level, alpha) in enumerate(zip(reversed(LEVELS), (0.2, 0.3, 0.45), strict=True)):
        low, high = quantiles[:, place], quantiles[:, -1 - place]
        label = f"{level:.0%} interval"
        axes.fill_between(times, low, high, color="#0072B2", alpha=alpha, linewidth=0, label=label)
    axes.plot(times, quantiles[:, len(BANDS) // 2], color="#0072B2", linewidth=1.2, label="median")
    axes.plot(times, observed[period], ".", color="black", markersize=3, label="observed")
    axes.set_title(f"PM2.5, forecast a day ahead ({outcome.name})", loc="left")
    axes.set_ylabel("PM2.5 (µg/m³)")
    locator = AutoDateLocator()
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))
    axes.margins(x=0)
    axes.set_ylim(0, 1.25 * axes.get_ylim()[1])  # room for the legend
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(ncols=3, frameon=False)
    figure.savefig(path)


def main(arguments: list[str] | None = None) -> None:
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=formatter)
    parser.add_argument("--plot", type=Path, help="a file for the fan chart")
    options = parser.parse_args(arguments)
    series = load()
    outcomes = run(series)
    best = chosen(outcomes)
    print(table(outcomes))
    print(
        f"\nlowest CRPS of the validation part: {best.name}; its 90% intervals cover "
        f"{best.test.coverage[-1]:.1%} of the observed test hours"
    )
    if options.plot:
        draw(options.plot, series, best)


if __name__ == "__main__":
    main()
