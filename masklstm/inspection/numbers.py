"""`masklstm.inspect`: how many labels are missing, where, and in what gaps."""

import base64
import html
import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from os import PathLike
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from masklstm._core.labels import leaves, name_of, read_labels
from masklstm._core.optional import needed
from masklstm._core.sentinels import sentinel_text, suspected_sentinels
from masklstm._core.terminal import shown
from masklstm.inspection import table
from masklstm.inspection.runs import find_runs

AXES = ("sample", "timestep", "feature")
_USUAL_AXES = {1: ("timestep",), 2: ("timestep", "feature")}


@dataclass(frozen=True)
class Gap:
    """A run of missing labels: `length` of them, from step `start` on."""

    length: int
    sample: int
    feature: int
    start: int


class Inspection:
    """What `masklstm.inspect` found of one output. Printed, it is a table; a notebook that shows
    it shows the picture as well, where matplotlib is installed.

    Attributes:
        shape: Number of samples, of steps and of features.
        features: Names of the features.
        labels: Number of labels, missing ones included.
        missing: Number of missing labels.
        share: Missing labels per label.
        share_by_sample, share_by_timestep, share_by_feature: The share for each of them; arrays.
        samples_without_label: Which samples (windows) have no label at all; an array of indices.
        gap_lengths: The length of every gap, a run of missing labels along the steps; an array.
        longest_gap_by_feature: The length of the longest gap of each feature; an array.
        suspects: Numbers that look like a forgotten sentinel, as text, and how often they occur:
            `{"-999": 1203}`. They are counted as labels.
        times: The times of the steps, if they were given.
    """

    def __init__(
        self,
        is_missing: NDArray[np.bool_],
        features: Sequence[str],
        suspects: dict[str, int] | None = None,
        times: NDArray[Any] | None = None,
    ) -> None:
        """`is_missing` has the axes sample, timestep and feature."""
        self._is_missing = is_missing
        self.suspects = suspects or {}
        self.times = times
        self.shape: tuple[int, int, int] = is_missing.shape
        self.features = list(features)
        self.labels = is_missing.size
        self.missing = int(np.count_nonzero(is_missing))
        self.share = self.missing / self.labels
        self.share_by_sample, self.share_by_timestep, self.share_by_feature = (
            np.count_nonzero(is_missing, axis=others) * self.shape[kept] / self.labels
            for kept, others in enumerate(((1, 2), (0, 2), (0, 1)))
        )
        self.samples_without_label = np.flatnonzero(self.share_by_sample == 1)

    @property
    def gap_lengths(self) -> NDArray[np.int64]:
        return self._gaps[:, 2] - self._gaps[:, 1]

    @cached_property
    def _gaps(self) -> NDArray[np.int64]:
        """Rows of (series, start, stop)."""
        return find_runs(self._by_series())

    def _by_series(self) -> NDArray[np.bool_]:
        """Series `s * features + f` is feature f of sample s."""
        _, steps, _ = self.shape
        return self._is_missing.swapaxes(1, 2).reshape(-1, steps)

    @cached_property
    def longest_gap_by_feature(self) -> NDArray[np.int64]:
        longest = np.zeros(self.shape[2], np.int64)
        np.maximum.at(longest, self._gaps[:, 0] % self.shape[2], self.gap_lengths)
        return longest

    def longest_gaps(self, count: int = 8) -> list[Gap]:
        """The longest gaps, the longest first; of equal ones the first comes first."""
        lengths = self.gap_lengths
        features = self.shape[2]
        return [
            Gap(int(lengths[i]), int(series // features), int(series % features), int(start))
            for i in np.argsort(-lengths, kind="stable")[:count]
            for series, start, _ in [self._gaps[i]]
        ]

    def plot(self, path: str | PathLike[str] | None = None) -> Any:
        """Draws the share that is missing over the steps, the gaps' lengths, and a map of the gaps.

        A row of the map is one series: a feature of a sample. Where there is not room for all, a
        row is the worst of several samples, and of several features only if there is not room for
        those; columns of several steps show the share of them that is missing. The titles say so.
        Rows that lack any label at all are coloured, however small their share.

        Args:
            path: Where to save the picture, whole or not at all; its suffix is the format, such as
                `.png` or `.svg`; without one it is a PNG.

        Returns:
            A `matplotlib.figure.Figure`, which notebooks show.

        Raises:
            ImportError: Where matplotlib is not installed.
            ValueError: For a suffix that is not the name of a format.
            OSError: Where `path` cannot be written.
        """
        with needed("The picture", "matplotlib", "demo"):
            from masklstm.inspection import picture
        target = None if path is None else picture.check_path(path)
        figure = picture.draw(self._is_missing, self.features, self.gap_lengths, self.times)
        if target is not None:
            picture.save(figure, target)
        return figure

    def __repr__(self) -> str:
        lengths = dict(zip(("sample", "step", "feature"), self.shape, strict=True))
        blocks = [table.summary(self, lengths)]
        if lengths["feature"] > 1:
            blocks.append(table.features(self))
        if lengths["step"] > 1 and self.missing:
            blocks.append(table.longest_gaps(self, lengths))
        return "\n\n".join("\n".join(lines) for lines in blocks)

    def _repr_html_(self) -> str:
        style = "white-space: pre; overflow-x: auto"  # on a narrow screen, too
        table = f'<pre style="{style}">{html.escape(repr(self))}</pre>'
        try:
            picture = base64.b64encode(self.plot()._repr_png_()).decode("ascii")
        except ImportError:
            return table
        return f'{table}<img style="max-width: 100%" src="data:image/png;base64,{picture}">'


class SeveralOutputsError(AttributeError, ValueError):
    """A number was asked of several outputs."""


class Inspections(dict[Any, Any]):
    """What `masklstm.inspect` found of several outputs: an `Inspection` for each, by its key.

    The outputs of a tuple are counted from 0. An output with outputs of its own is `Inspections`
    again. Printed, it is their tables.

    Raises:
        SeveralOutputsError: An AttributeError and ValueError, for a number that only one output
            has, as `found.missing`; it is `found["level"].missing`.
    """

    def reports(self, keys: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Inspection]]:
        """Each output's report, and the keys that lead to it."""
        for key, found in self.items():
            if isinstance(found, Inspections):
                yield from found.reports((*keys, key))
            else:
                yield (*keys, key), found

    def __getattr__(self, name: str) -> Any:
        keys, first = next(self.reports())
        if name.startswith("_") or not hasattr(first, name):
            raise AttributeError(f"'Inspections' object has no attribute {name!r}")
        raise SeveralOutputsError(
            f"Expected one output to take {name!r} of, as by: found{name_of(keys)[1:]}.{name}. "
            f"Received: outputs with the keys {list(self)}"
        )

    def __repr__(self) -> str:
        return "\n\n".join(f"{_title(keys)}\n{found}" for keys, found in self.reports())

    def _repr_html_(self) -> str:
        return "".join(
            f"<b>{html.escape(_title(keys))}</b>{found._repr_html_()}"
            for keys, found in self.reports()
        )


def _title(keys: tuple[Any, ...]) -> str:
    return f"output {' / '.join(map(shown, keys))}"


def inspect(
    y: Any,
    missing: Any = float("nan"),
    axes: Sequence[str] | None = None,
    times: Any = None,
) -> Inspection | Inspections:
    """Counts missing labels and gaps: look at labels before training on them.

    Formula: a share is missing labels over labels; a gap is a run of missing labels along the
    steps of one feature of one sample.

    Args:
        y: Labels: an array, tensor, data frame or list, floating point, integer or bool; or a
            finite `tf.data.Dataset` of batches of `y`, `(x, y)` or `(x, y, sample_weight)`, whose
            batches are joined along their first axis. A dataset is read once, and its labels are
            kept meanwhile. None and pandas' NA are missing, and so is what NumPy masks.

            Several outputs, as `model.fit` takes them: a dict, tuple or list of such labels, also
            in a dataset, as in `(x, {"level": y1, "flow": y2})`. A list of numbers or of rows of
            numbers is one table, but a list of arrays is one output for each, whatever their
            shapes: rows that are arrays become a table by `numpy.stack`.
        missing: A number that means "no label" in addition to NaN, such as -999, or -1 for classes;
            or `"nonfinite"` for the infinities.
        axes: What the axes of `y` are: `"sample"` (windows, or series) and `"timestep"`, each at
            most once, and `"feature"`. By default `("timestep",)` for one axis, `("timestep",
            "feature")` for two and `("sample", "timestep", "feature")` for three; say
            `("sample", "timestep")` for windows of a single feature. All axes from the third on
            are features: maps `(batch, time, lat, lon, channels)` have a feature for each place and
            channel, named by its indices, such as `"2,3,0"`; `("timestep", "feature", "feature")`
            is for one series of maps.
        times: The times of the steps, as many as there are: gaps are then named and drawn by them.
            By default the index of a data frame, if it holds dates.

    Returns:
        An `Inspection`: `print` shows it as a table, its attributes are the numbers, and
        `plot("gaps.png")` draws it. Samples, steps and features are counted from 0. For several
        outputs `Inspections`, a dict with an `Inspection` for each.

    Raises:
        ValueError: For labels that are not numbers, are ragged, or none at all; axes that do not
            fit; a dataset that does not end.

    Example:

    >>> import masklstm, numpy as np
    >>> nan = np.nan
    >>> print(masklstm.inspect([1.0, nan, nan, 4.0, nan]))
    labels   5 steps
    missing  3 (60.0%)
    gaps     2; the longest is 2 steps long
    <BLANKLINE>
    longest gaps
      length  first step  last step
           2           1          2
           1           4          4

    >>> windows = np.array([[[1, nan], [2, nan]], [[nan, nan], [nan, nan]]])
    >>> found = masklstm.inspect(windows)
    >>> found.missing, found.share_by_feature, found.samples_without_label
    (6, array([0.5, 1. ]), array([1]))
    >>> found.longest_gaps(1)
    [Gap(length=2, sample=0, feature=1, start=0)]

    >>> found = masklstm.inspect({"level": windows, "flow": [1.0, nan]})
    >>> found["level"].missing, found["flow"].missing
    (6, 1)
    """
    if isinstance(y, tf.data.Dataset):
        parts: dict[tuple[Any, ...], list[_Labels]] = {}
        for batch in _labels_of_batches(y):
            for keys, labels in leaves(batch):
                parts.setdefault(keys, []).append(_read(labels, missing, name_of(keys)))
        read = {keys: _join(of_one, name_of(keys)) for keys, of_one in parts.items()}
        read = read or {(): _join([], "y")}
    else:
        read = {keys: _read(labels, missing, name_of(keys)) for keys, labels in leaves(y)}
        if not read:
            raise ValueError(f"Expected 'y' to hold labels. Received: an empty {type(y).__name__}")
    if list(read) == [()]:
        return _inspect_one(read[()], axes, "y", times)
    found = Inspections()
    for keys, labels in read.items():
        place = found
        for key in keys[:-1]:
            place = place.setdefault(key, Inspections())
        place[keys[-1]] = _inspect_one(labels, axes, name_of(keys), times)
    return found


@dataclass(frozen=True)
class _Labels:
    """One output's labels, which of them are missing, and the names of its columns, if any."""

    values: NDArray[Any]
    is_missing: NDArray[np.bool_]
    columns: tuple[str, ...] = ()
    times: NDArray[Any] | None = None


def _read(y: Any, missing: Any, name: str) -> _Labels:
    labels, observed = read_labels(y, missing, name)
    columns = tuple(str(column) for column in getattr(y, "columns", ()))
    index = np.asarray(getattr(y, "index", None))
    times = index if index.dtype.kind == "M" and index.shape == labels.shape[:1] else None
    return _Labels(labels.numpy(), ~observed.numpy(), columns, times)


def _inspect_one(labels: _Labels, axes: Sequence[str] | None, name: str, times: Any) -> Inspection:
    is_missing = labels.is_missing
    axes = _standardize_axes(axes, is_missing.ndim, name)
    if is_missing.size == 0:
        raise ValueError(
            f"Expected '{name}' to hold a label or a gap. "
            f"Received: {name} with shape {is_missing.shape}"
        )
    order = [place for axis in AXES for place, own in enumerate(axes) if own == axis]
    lengths = [is_missing.shape[place] for place in order if axes[place] == "feature"]
    samples, steps = (
        is_missing.shape[axes.index(axis)] if axis in axes else 1 for axis in ("sample", "timestep")
    )
    by_axis = (samples, steps, -1)
    is_missing = is_missing.transpose(order).reshape(by_axis)
    features = labels.columns
    if len(features) != is_missing.shape[2] or axes[-1] != "feature":
        indices = itertools.product(*(map(str, range(length)) for length in lengths))
        features = tuple(map(",".join, indices)) if lengths else ("0",)
    if times is not None:
        times = np.asarray(times)
        if times.shape != (steps,):
            raise ValueError(
                f"Expected 'times' to have the time of each of the {steps:,} steps of '{name}'. "
                f"Received: times with shape {times.shape}"
            )
    elif labels.times is not None and axes[0] == "timestep":
        times = labels.times
    return Inspection(is_missing, features, _suspects(labels, order, by_axis), times)


def _suspects(labels: _Labels, order: list[int], by_axis: tuple[int, int, int]) -> dict[str, int]:
    values = labels.values
    if values.dtype == np.bool_:
        return {}
    kind = values.dtype
    values = np.where(labels.is_missing, np.nan, values.astype(np.float64))
    found = suspected_sentinels(values.transpose(order).reshape(by_axis))
    return {sentinel_text(number, kind): count for number, count in found.items()}


def _labels_of_batches(dataset: tf.data.Dataset) -> Iterable[Any]:
    if dataset.cardinality() == tf.data.INFINITE_CARDINALITY:
        raise ValueError(
            "Expected 'y' to be a dataset that ends, as dataset.take(100) does. Received: one that "
            "repeats for ever"
        )
    for element in dataset:
        if isinstance(element, (tuple, list)):  # as model.fit takes it
            if not 1 < len(element) < 4:
                raise ValueError(
                    "Expected 'y' to be a dataset of y, (x, y) or (x, y, sample_weight). Received: "
                    f"a dataset of tuples of {len(element)}"
                )
            yield element[1]
        else:
            yield element


def _join(batches: list[_Labels], name: str) -> _Labels:
    shapes = [batch.is_missing.shape for batch in batches]
    for shape in shapes:
        if not shape or shape[1:] != shapes[0][1:]:
            both = shape if shape == shapes[0] else f"{shapes[0]} and {shape}"
            raise ValueError(
                f"Expected '{name}' to be a dataset of batches whose shapes differ along the first "
                "axis alone; batch(n) makes batches, and padded_batch(n, padded_shapes, "
                "padding_values) gives all of them one length (NaN is missing; integers take NaN "
                f"after tf.cast({name}, 'float64')). Received: labels with shape {both}"
            )
    if not batches:
        return _Labels(np.zeros(0), np.zeros(0, np.bool_))
    return _Labels(
        np.concatenate([batch.values for batch in batches]),
        np.concatenate([batch.is_missing for batch in batches]),
    )


def _standardize_axes(axes: Sequence[str] | None, rank: int, name: str) -> tuple[str, ...]:
    if axes is None:
        if rank == 0:
            raise ValueError(
                f"Expected '{name}' to have axes: steps; samples and features as well. "
                f"Received: {name} with 0 axes"
            )
        return _USUAL_AXES.get(rank, (*AXES, *["feature"] * (rank - 3)))
    given = (axes,) if isinstance(axes, str) else tuple(axes)
    twice = {axis for axis in given if given.count(axis) > 1}
    if len(given) != rank or not twice <= {"feature"} or not set(given) <= set(AXES):
        raise ValueError(
            f"Invalid value for argument 'axes'. Expected one of {AXES} for each of the {rank} "
            f"axes of '{name}', none of them twice but 'feature'. Received: axes={axes!r}"
        )
    return given
