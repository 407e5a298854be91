"""`Windows`: the data set that `windows` returns."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from os import PathLike
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from masklstm._core.optional import needed
from masklstm._core.terminal import counted
from masklstm.data.grid import Grid
from masklstm.data.source import Source
from masklstm.data.splitting import Part
from masklstm.data.times import Steps


@dataclass(frozen=True)
class Labels:
    """Where the labels of a window are, in steps from its first one."""

    length: int
    horizons: NDArray[np.int64]
    is_one: bool
    for_every_step: bool

    @property
    def places(self) -> NDArray[np.int64]:
        if self.for_every_step:
            return np.asarray(np.arange(self.length) + self.horizons[0])
        return np.asarray(self.length - 1 + self.horizons)

    def shape(self, windows: int, targets: int) -> tuple[int, ...]:
        if self.is_one and not self.for_every_step:
            return windows, targets
        return windows, len(self.places), targets


class Windows(keras.utils.PyDataset):  # type: ignore[misc]  # Keras has no types
    """Batches of windows: `windows[i]` is the i-th, a pair of inputs and labels.

    Attributes:
        times: The time of each label, shape `(windows,)`, or `(windows, horizons)` or `(windows,
            length)`; without a time column the number of the step within its series.
        groups: The group of each window; an array of names.
        left_out: Why windows were left out, and how many.
        shard: Which share of the windows these are: index and count.

    What depends on the order of the windows (`times`, `groups`, `labels()`, `frame(...)`) is in
    that of the batches, and refused where that changes with each epoch.
    """

    def __init__(
        self,
        source: Source,
        grid: Grid,
        steps: Steps | None,
        names: list[Any],
        group: str,
        inputs: int,
        labels: Labels,
        part: Part | None,
        skip_unlabelled: bool,
        max_missing: float | None,
        stride: int,
        shard: tuple[int, int],
        batch_size: int,
        shuffle: bool,
        seed: int | None,
        **kwargs: Any,
    ) -> None:
        """What each of them is, `masklstm.data.windows` says."""
        super().__init__(**kwargs)
        self._source, self._grid, self._names = source, grid, names
        self._steps = steps and replace(steps, numbers=np.zeros(0, np.int64))  # in the grid by now
        self._group = group
        self._labels, self.batch_size, self.shuffle = labels, batch_size, shuffle
        self._input_places = range(inputs)
        self._target_places = range(inputs, len(source.names))
        self.left_out: dict[str, int] = {}
        self._starts, self._series = self._all_starts(stride)
        if part is not None:
            self._keep(self._in_part(part), "of another part")
        if skip_unlabelled:
            self._keep(self._labelled(), "without a label")
        if max_missing is not None:
            self._keep(self._observed(max_missing), f"with over {max_missing:.0%} missing inputs")
        everything = len(self._starts)
        self.shard = index, count = shard
        self._starts, self._series = self._starts[index::count], self._series[index::count]
        if len(self._starts) < everything:
            self.left_out["of other shards"] = everything - len(self._starts)
        if not len(self._starts):
            raise ValueError(f"Expected a window or more. Received: {self!r}")
        self._order = np.arange(len(self._starts) if shuffle else 0, dtype=self._starts.dtype)
        self._random = np.random.default_rng(seed)
        self.on_epoch_end()

    def _all_starts(self, stride: int) -> tuple[NDArray[Any], NDArray[np.int32]]:
        """The first places of the windows of all series, and the numbers of their series."""
        reach = int(max(self._labels.length - 1, self._labels.places[-1]))
        counts = np.maximum(self._grid.lengths - reach, 0)
        short = np.count_nonzero(counts == 0)
        if short:
            self.left_out[f"all of {short:,} series shorter than {reach + 1:,} steps"] = 0
        chosen = -(-counts // stride)
        series = np.repeat(np.arange(len(counts), dtype=np.int32), chosen)
        within = np.arange(len(series)) - np.repeat(np.cumsum(chosen) - chosen, chosen)
        first = np.where(counts > 0, (counts - 1) % stride, 0)
        starts = (self._grid.starts + first)[series] + within * stride
        return starts.astype(self._grid.rows.dtype), series

    def _keep(self, chosen: NDArray[np.bool_], others: str) -> None:
        if not chosen.all():
            self.left_out[others] = int(np.count_nonzero(~chosen))
            self._starts, self._series = self._starts[chosen], self._series[chosen]

    def _in_part(self, part: Part) -> NDArray[np.bool_]:
        chosen = part.has_groups(self._names)[self._grid.groups[self._series]]
        if part.start is None and part.stop is None:
            return chosen
        if self._steps is None:
            raise ValueError(
                "Expected 'time' with a part by time: the name of the column with the times"
            )
        for place in self._labels.places[[0, -1]]:
            chosen &= part.has_times(self._times_of(place))
        return chosen

    def _times_of(self, place: int) -> NDArray[Any]:
        """The times of a step of all windows."""
        numbers: NDArray[Any] = self._grid.first_numbers[self._series]
        numbers = numbers + self._starts - self._grid.starts[self._series] + place
        if self._steps is None:
            return numbers
        return self._steps.times(self._grid.groups[self._series], numbers)

    def _by_place(self, of_rows: NDArray[Any], of_none: Any) -> NDArray[Any]:
        rows = self._grid.rows
        return np.asarray(np.where(rows < 0, of_none, of_rows[rows]))

    def _labelled(self) -> NDArray[np.bool_]:
        targets = self._target_places
        has_any = self._by_place(self._source.count_missing(targets) < len(targets), False)
        places = self._labels.places
        if self._labels.for_every_step:
            return _sums(has_any, self._starts + places[0], len(places)) > 0
        chosen = np.zeros(len(self._starts), bool)
        for place in places:
            chosen |= has_any[self._starts + place]
        return chosen

    def _observed(self, max_missing: float) -> NDArray[np.bool_]:
        if not 0 <= max_missing <= 1:
            raise ValueError(
                "Invalid value for argument 'max_missing'. Expected a share from 0 to 1. "
                f"Received: max_missing={max_missing!r}"
            )
        inputs = len(self._input_places)
        missing = self._by_place(self._source.count_missing(self._input_places), inputs)
        length = self._labels.length
        return _sums(missing, self._starts, length) <= max_missing * inputs * length

    def __len__(self) -> int:
        """How many batches."""
        return math.ceil(len(self._starts) / self.batch_size)

    def __getitem__(self, index: int) -> tuple[NDArray[Any], NDArray[Any]]:
        if not -len(self) <= index < len(self):
            raise IndexError(f"Expected a batch from 0 to {len(self) - 1}. Received: {index}")
        index %= len(self)
        chosen: Any = slice(index * self.batch_size, (index + 1) * self.batch_size)
        starts = self._starts[self._order[chosen] if self.shuffle else chosen, None]
        inputs = self._take(starts + np.arange(self._labels.length), self._input_places)
        return inputs, self._labels_at(starts)

    def _take(self, places: NDArray[np.int64], columns: range) -> NDArray[Any]:
        return self._source.take(self._grid.rows[places], columns)

    def _labels_at(self, starts: NDArray[np.int64]) -> NDArray[Any]:
        labels = self._take(starts + self._labels.places, self._target_places)
        return labels.reshape(self._labels.shape(len(starts), len(self._target_places)))

    def on_epoch_end(self) -> None:
        """Draws the order of the next epoch."""
        if self.shuffle:
            self._random.shuffle(self._order)

    def labels(self) -> NDArray[Any]:
        """The labels of all windows."""
        self._check_order()
        return self._labels_at(self._starts[:, None])

    @property
    def times(self) -> NDArray[Any]:
        self._check_order()
        times = np.stack([self._times_of(place) for place in self._labels.places], axis=1)
        return times[:, 0] if self._labels.is_one and not self._labels.for_every_step else times

    @property
    def groups(self) -> NDArray[Any]:
        self._check_order()
        names = np.empty(len(self._names), object)
        names[:] = self._names
        return names[self._grid.groups[self._series]]

    def frame(self, y_pred: Any) -> Any:
        """Labels and predictions as a pandas DataFrame, a row for each time that was forecast.

        Args:
            y_pred: Of all windows, as `model.predict(windows)` returns them: the labels' shape, in
                which a last axis of 1 may lack.

        Returns:
            Columns `group` (the group's name, under the name of its column), `time`, `horizon` if
            there are several, and for each target `name` and `name_predicted`.

        Raises:
            ValueError: For another shape, or where the batches are shuffled.
        """
        import pandas

        labels, predictions = self._labels_and(y_pred)
        times = self.times
        per_window = 1 if times.ndim == 1 else times.shape[1]
        columns: dict[Any, Any] = {}
        if self._names != [None]:
            columns[self._group] = np.repeat(self.groups, per_window)
        columns["time"] = times.reshape(-1)
        if not self._labels.is_one:
            columns["horizon"] = np.tile(self._labels.horizons, len(self._starts))
        for place, column in enumerate(self._target_places):
            name = self._source.names[column]
            columns[name] = labels[..., place].reshape(-1)
            columns[f"{name}_predicted"] = predictions[..., place].reshape(-1)
        return pandas.DataFrame(columns)

    def _labels_and(self, y_pred: Any) -> tuple[NDArray[Any], NDArray[Any]]:
        """The labels of all windows, and predictions of their shape."""
        self._check_order()
        labels = self.labels()
        predictions = np.asarray(y_pred)
        if predictions.shape != labels.shape:
            if (*predictions.shape, 1) != labels.shape:
                raise ValueError(
                    f"Expected 'y_pred' to have the labels' shape, {labels.shape}, as "
                    "model.predict(windows) returns it. "
                    f"Received: y_pred with shape {predictions.shape}"
                )
            predictions = predictions[..., None]
        return labels, predictions

    def plot(
        self,
        y_pred: Any,
        path: str | PathLike[str] | None = None,
        *,
        between: tuple[Any, Any] = (None, None),
        groups: Sequence[Any] | None = None,
        target: int = 0,
    ) -> Any:
        """Draws labels and predictions over time, a panel for each series, gaps shaded.

        Args:
            y_pred: As for `frame`.
            path: Where to save the picture; its suffix is the format.
            between: The first time that is drawn, and the first one behind.
            groups: Which series; by default the first eight.
            target: Which target, counted from 0. Of several horizons the first is drawn, of
                sequences the last step.

        Returns:
            A `matplotlib.figure.Figure`, which notebooks show.

        Raises:
            ImportError: Where matplotlib is not installed.
            ValueError: As `frame`; for groups that there are not, and where nothing is between.
        """
        with needed("The picture", "matplotlib", "demo"):
            from masklstm.data import picture
            from masklstm.inspection.picture import check_path, save
        file = None if path is None else check_path(path)
        labels, predictions = self._labels_and(y_pred)
        times = self.times
        if times.ndim == 2:
            place = -1 if self._labels.for_every_step else 0
            times, labels, predictions = times[:, place], labels[:, place], predictions[:, place]
        of_window = self.groups
        known = list(dict.fromkeys(of_window))
        chosen = known[: picture.MOST_SERIES] if groups is None else list(groups)
        name = str(self._source.names[self._target_places[target]])
        inside = Part(*between).has_times(times)
        series = []
        for group in chosen:
            rows = inside & (of_window == group)
            if not rows.any():
                raise ValueError(
                    f"Expected windows of group {group!r} between {between[0]} and {between[1]}. "
                    "Received: none"
                )
            drawn = self._without_holes(
                times[rows], labels[rows, target], predictions[rows, target]
            )
            series.append((name if group is None else str(group), *drawn))
        rest = len(known) - len(chosen)
        title = name if rest <= 0 or groups is not None else f"{name}; {rest:,} more series"
        figure = picture.draw(series, title)
        if file is not None:
            save(figure, file)
        return figure

    def _without_holes(
        self, times: NDArray[Any], labels: NDArray[Any], predictions: NDArray[Any]
    ) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
        """With NaN for the times of windows that were left out, so that no line crosses them."""
        step = 1 if self._steps is None else self._steps.step
        if isinstance(step, np.timedelta64) and np.datetime_data(step)[0] == "M":
            return times, labels, predictions
        numbers = np.rint((times - times[0]) / step).astype(np.int64)
        whole = np.arange(numbers[-1] + 1)
        filled = np.full((2, len(whole)), np.nan)
        filled[:, numbers] = labels, predictions
        return times[0] + whole * step, *filled

    def _check_order(self) -> None:
        if self.shuffle:
            raise ValueError(
                "Expected windows in a fixed order: make others with shuffle=False to predict and "
                "to score"
            )

    def __repr__(self) -> str:
        labels, grid = self._labels, self._grid
        step = "" if self._steps is None else f" (a step is {self._steps.text})"
        ahead = [counted(int(h), "step") for h in labels.horizons[[0, -1]]]
        if not labels.is_one:
            where = f"labels {labels.horizons[0]} to {ahead[1]} after each"
        elif labels.for_every_step:
            where = f"labels {ahead[0]} after every step"
        else:
            where = f"label {ahead[0]} after each"
        lines = [
            f"{counted(len(self._starts), 'window')} of {counted(labels.length, 'step')}{step}, "
            f"{where}",
            f"{counted(self._source.rows, 'row')}, {len(grid.starts):,} series; "
            f"{counted(grid.missing, 'step')} {'has' if grid.missing == 1 else 'have'} no row: "
            "missing",
        ]
        if grid.doubled:
            lines.append(f"{counted(grid.doubled, 'row')} with the time of another one")
        out = [
            f"{counted(count, 'window')} {why}" if count else why
            for why, count in self.left_out.items()
        ]
        return "\n".join([*lines, *([f"left out: {'; '.join(out)}"] if out else [])])


def _sums(values: NDArray[Any], first: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """The sums of `count` values from each place on."""
    upto = np.concatenate([[0], np.cumsum(values, dtype=np.int64)])
    return np.asarray(upto[first + count] - upto[first])
