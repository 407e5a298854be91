"""`masklstm.inspect`: how much of the labels is missing, where, and in what pieces."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from os import PathLike
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from masklstm import _inspection_table
from masklstm._gaps import find_runs
from masklstm._labels import read_labels

AXES = ("sample", "timestep", "feature")
_USUAL_AXES = {1: ("timestep",), 2: ("timestep", "feature"), 3: AXES}


@dataclass(frozen=True)
class Gap:
    """A run of missing labels: `length` of them, from step `start` on."""

    length: int
    sample: int
    feature: int
    start: int


class Inspection:
    """What `masklstm.inspect` found. Printed, it is a table.

    Attributes:
        shape: Number of samples, of steps and of features.
        features: Names of the features.
        labels: Number of labels, missing ones included.
        missing: Number of missing labels.
        share: Missing labels per label.
        share_by_sample, share_by_timestep, share_by_feature: The same for each of them; arrays.
        samples_without_label: Which samples (windows) have no label at all; an array of indices.
        gap_lengths: The length of every gap, a run of missing labels along the steps; an array.
        longest_gap_by_feature: The length of the longest gap of each feature; an array.
    """

    def __init__(self, is_missing: NDArray[np.bool_], features: Sequence[str]) -> None:
        """`is_missing` has the axes sample, timestep and feature."""
        self._is_missing = is_missing
        self.shape: tuple[int, int, int] = is_missing.shape
        self.features = list(features)
        self.labels = is_missing.size
        self.missing = int(np.count_nonzero(is_missing))
        self.share = self.missing / self.labels
        self.share_by_sample = is_missing.mean(axis=(1, 2))
        self.share_by_timestep = is_missing.mean(axis=(0, 2))
        self.share_by_feature = is_missing.mean(axis=(0, 1))
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

        Args:
            path: Where to save the picture; its suffix is the format, as `.png` or `.svg`.

        Returns:
            A `matplotlib.figure.Figure`, which notebooks show.

        Raises:
            ImportError: Where matplotlib is not installed.
        """
        try:
            from masklstm import _inspection_picture
        except ImportError as error:
            raise ImportError(
                "The picture needs matplotlib. Expected it to be installed, as by: "
                f'pip install "masklstm[demo]". Received: {error}'
            ) from error
        figure = _inspection_picture.draw(self._by_series(), self.features, self.gap_lengths)
        if path is not None:
            figure.savefig(path)
        return figure

    def __repr__(self) -> str:
        lengths = dict(zip(("sample", "step", "feature"), self.shape, strict=True))
        blocks = [_inspection_table.summary(self, lengths)]
        if lengths["feature"] > 1:
            blocks.append(_inspection_table.features(self))
        if lengths["step"] > 1 and self.missing:
            blocks.append(_inspection_table.longest_gaps(self, lengths))
        return "\n\n".join("\n".join(lines) for lines in blocks)


def inspect(y: Any, missing: Any = float("nan"), axes: Sequence[str] | None = None) -> Inspection:
    """Counts missing labels and gaps: look at labels before training on them.

    Formula: a share is missing labels over labels; a gap is a run of missing labels along the
    steps of one feature of one sample.

    Args:
        y: Labels: an array, tensor, data frame or list, floating point, integer or bool; or a
            finite `tf.data.Dataset` of batches of `y`, `(x, y)` or `(x, y, sample_weight)`, whose
            batches are joined along their first axis. A dataset is read once; a byte is kept for
            each label.
        missing: A number that means "no label" besides NaN, such as -999, or -1 for classes; or
            `"nonfinite"` for the infinities.
        axes: What the axes of `y` are: `"sample"` (windows, or series), `"timestep"` and
            `"feature"`, each at most once. By default `("timestep",)` for one axis, `("timestep",
            "feature")` for two and `("sample", "timestep", "feature")` for three; say
            `("sample", "timestep")` for windows of a single feature.

    Returns:
        An `Inspection`: `print` shows it as a table, its attributes are the numbers, and
        `plot("gaps.png")` draws it. Samples, steps and features are counted from 0.

    Raises:
        ValueError: For labels that are no numbers, or none at all; axes that do not fit; a dataset
            that does not end, or that has labels of several outputs.

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
    """
    if isinstance(y, tf.data.Dataset):
        is_missing = _join(_labels_of_batches(y), missing)
        names = None
    else:
        is_missing = _find_missing(y, missing)
        names = [str(name) for name in getattr(y, "columns", ())]
    axes = _standardize_axes(axes, is_missing.ndim)
    if is_missing.size == 0:
        raise ValueError(
            f"Expected 'y' to hold a label or a gap. Received: y with shape {is_missing.shape}"
        )
    order = [axes.index(axis) for axis in AXES if axis in axes]
    lacking = [position for position, axis in enumerate(AXES) if axis not in axes]
    is_missing = np.expand_dims(is_missing.transpose(order), lacking)
    if not names or axes[-1] != "feature":
        names = [str(index) for index in range(is_missing.shape[2])]
    return Inspection(is_missing, names)


def _find_missing(y: Any, missing: Any) -> NDArray[np.bool_]:
    _, observed = read_labels(y, missing)
    is_missing: NDArray[np.bool_] = ~observed.numpy()
    return is_missing


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


def _join(batches: Iterable[Any], missing: Any) -> NDArray[np.bool_]:
    parts: list[NDArray[np.bool_]] = []
    for batch in batches:
        part = _find_missing(batch, missing)
        first = parts[0] if parts else part
        if part.ndim == 0 or part.shape[1:] != first.shape[1:]:
            shapes = first.shape if first is part else f"{first.shape} and {part.shape}"
            raise ValueError(
                "Expected 'y' to be a dataset of batches whose shapes differ along the first axis "
                "alone; batch(n) makes batches, and padded_batch(n, padding_values=nan) gives them "
                f"one length. Received: labels with shape {shapes}"
            )
        parts.append(part)
    return np.concatenate(parts) if parts else np.zeros((0,), np.bool_)


def _standardize_axes(axes: Sequence[str] | None, rank: int) -> tuple[str, ...]:
    if axes is None:
        if rank not in _USUAL_AXES:
            raise ValueError(
                "Expected 'y' to have one to three axes: samples, steps and features. "
                f"Received: y with {rank} axes"
            )
        return _USUAL_AXES[rank]
    given = (axes,) if isinstance(axes, str) else tuple(axes)
    if len(given) != rank or len(set(given)) != rank or not set(given) <= set(AXES):
        raise ValueError(
            f"Invalid value for argument 'axes'. Expected one of {AXES} for each of the {rank} "
            f"axes of 'y', none of them twice. Received: axes={axes!r}"
        )
    return given
