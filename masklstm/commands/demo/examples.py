"""Turns a table into inputs, labels and windows, without a look into the future.

Design:

a) The rows are split in time: the first 60 % train, the next 20 % choose the epoch (validation),
   the last 20 % test.
b) Means and spreads, and which columns are worth having, come from the training part only.
c) A missing *input* becomes the column's last observed value; before the first one it becomes the
   training mean. An indicator column, 1 where the value was missing, tells the model.
d) A missing *label* stays NaN.
e) The label of input row t is the target at row t + horizon. A training window lies with all its
   labels in the training part. A forecast for row t reads the rows t - horizon - window + 1 to
   t - horizon, which are known when it is made, even those in an earlier part.
"""

from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from masklstm.commands.errors import CommandError
from masklstm.commands.table import Floats, Table

Tensor = NDArray[np.float32]


@dataclass(frozen=True)
class Split:
    """Where the training, the validation and the test rows end (exclusive)."""

    train: int
    validation: int
    rows: int

    @property
    def parts(self) -> dict[str, slice]:
        """The rows of every part, by the part's name."""
        return {
            "training": slice(0, self.train),
            "validation": slice(self.train, self.validation),
            "test": slice(self.validation, self.rows),
        }


def split_rows(rows: int, window: int, horizon: int) -> Split:
    """Splits rows in time, 60 : 20 : 20."""
    split = Split(rows * 3 // 5, rows * 4 // 5, rows)
    needed = window + horizon  # the first label of a full window is in row window + horizon - 1
    if split.train < needed:
        raise CommandError(
            f"Too few rows. Expected at least {-(-needed * 5 // 3)} for --window {window} and "
            f"--horizon {horizon}, as 60 % of them are for training. Received: {rows}"
        )
    return split


@dataclass(frozen=True)
class Scale:
    """Mean and standard deviation of a column's observed values."""

    mean: float
    spread: float

    @classmethod
    def of(cls, values: Floats) -> "Scale":
        """The scale of a column; a constant one gets the spread 1, so that it can be divided by."""
        observed = values[~np.isnan(values)]
        # A constant column's standard deviation may be a rounding error instead of 0.
        constant = observed.min() == observed.max()
        return cls(float(observed.mean()), (0.0 if constant else float(observed.std())) or 1.0)

    def standardise(self, values: Floats) -> Floats:
        """To mean 0 and standard deviation 1."""
        return (values - self.mean) / self.spread

    def restore(self, values: NDArray[np.floating]) -> Floats:
        """Back to the data's unit."""
        return values.astype(np.float64) * self.spread + self.mean


def carry_forward(values: Floats, before_first: float) -> Floats:
    """Every missing value becomes the last observed one before it."""
    last_observed = np.maximum.accumulate(np.where(np.isnan(values), -1, np.arange(len(values))))
    return np.where(last_observed < 0, before_first, values[last_observed])


@dataclass(frozen=True)
class Series:
    """One target with its inputs, ready for a model.

    Attributes:
        target: the target in the data's unit, ``(rows,)``, NaN where missing.
        carried: the target with the last observed value in its gaps: what is known at every row.
        labels: the standardised target, ``(rows,)``, NaN where missing.
        inputs: the standardised, filled inputs and the indicators, ``(rows, features)``.
        scales: by input column; the target's is among them.
        left_out: the columns that are not inputs, with the reason.
    """

    name: str
    split: Split
    target: Floats
    carried: Floats
    labels: Tensor
    inputs: Tensor
    features: list[str]
    scales: dict[str, Scale]
    left_out: dict[str, str]

    @property
    def scale(self) -> Scale:
        """The target's scale."""
        return self.scales[self.name]


def prepare(table: Table, name: str, window: int, horizon: int) -> Series:
    """Makes the series of one target column of a table."""
    target = table.target(name)
    split = split_rows(len(target), window, horizon)
    for part, rows in split.parts.items():
        # A row that no full window leads to is never a label.
        first = max(rows.start, horizon)
        if np.isnan(target[first : rows.stop]).all():
            raise CommandError(
                f"No label to learn from or to compare with. Expected an observed {name!r} in "
                f"every part. Received: none in the {part} part, rows {first + 1} to {rows.stop}"
            )
    left_out = {column: "not numeric" for column in table.not_numeric}
    columns = {name: target}
    for column, values in table.numbers.items():
        if column != name and _is_monotone(values[: split.train]):
            # Beyond the training part it holds values that the model has never seen.
            left_out[column] = "constant or a mere counter in the training part"
        else:
            columns[column] = values
    scales = {column: Scale.of(values[: split.train]) for column, values in columns.items()}
    inputs, features = _make_inputs(columns, scales, split.train)
    return Series(
        name=name,
        split=split,
        target=target,
        carried=carry_forward(target, scales[name].mean),
        labels=scales[name].standardise(target).astype(np.float32),
        inputs=inputs,
        features=features,
        scales=scales,
        left_out=left_out,
    )


def _is_monotone(values: Floats) -> bool:
    steps = np.diff(values[~np.isnan(values)])
    return bool((steps >= 0).all() or (steps <= 0).all())


def _make_inputs(
    columns: dict[str, Floats], scales: dict[str, Scale], train: int
) -> tuple[Tensor, list[str]]:
    inputs = []
    features = []
    for column, values in columns.items():
        inputs.append(carry_forward(scales[column].standardise(values), before_first=0.0))
        features.append(column)
    for column, values in columns.items():
        # Where the training part has no gap, an indicator's weights would stay as drawn.
        if np.isnan(values[:train]).any():
            inputs.append(np.isnan(values).astype(np.float64))
            features.append(f"{column} missing")
    return np.stack(inputs, axis=1).astype(np.float32), features


def training_windows(series: Series, window: int, horizon: int) -> tuple[Tensor, Tensor]:
    """Inputs ``(windows, window, features)`` and labels ``(windows, window, 1)`` for training.

    Neighbouring windows share half of their rows, so that most labels are forecast from a short
    past and from a long one. They are counted from the end of the training part; one more begins
    at its first row, so that no label is left out.
    """
    last = series.split.train - horizon - window
    starts = np.unique(np.append(np.arange(last, -1, -max(1, window // 2)), 0))
    rows = starts[:, None] + np.arange(window)
    return series.inputs[rows], series.labels[rows + horizon][:, :, None]


def forecast_windows(series: Series, rows: slice, window: int, horizon: int) -> Tensor:
    """For every row to forecast the ``window`` input rows that end ``horizon`` rows before it.

    The result is a view ``(rows, window, features)``: nothing is copied.
    """
    first = rows.start - horizon - window + 1
    known = series.inputs[first : rows.stop - horizon]
    return sliding_window_view(known, window, axis=0).swapaxes(1, 2)
