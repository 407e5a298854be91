"""Prints docs/masked.md: what counts for each loss and metric of Keras within `Masked`.

python docs/scripts/masked.py > docs/masked.md
"""

import inspect
import os
import sys
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).parents[2]))

import keras
import numpy as np

import masklstm

ROWS, ENTRIES = 12, 4
CLASS_LABELS = (
    "SparseCategoricalCrossentropy",
    "CategoricalGeneralizedCrossEntropy",
    "Circle",
    "SparseCategoricalAccuracy",
    "SparseTopKCategoricalAccuracy",
)
ONE_HOT = (
    "CategoricalAccuracy",
    "CategoricalCrossentropy",
    "CategoricalFocalCrossentropy",
    "CategoricalHinge",
    "OneHotIoU",
    "OneHotMeanIoU",
    "TopKCategoricalAccuracy",
)
CLASS_ELEMENTS = ("Accuracy", "IoU", "MeanIoU")
NUMBERS = (
    "ConcordanceCorrelation",
    "CosineSimilarity",
    "MeanAbsolutePercentageError",
    "PearsonCorrelation",
    "R2Score",
)
# Required arguments; and variants that count something else.
ARGUMENTS: dict[str, list[dict[str, Any]]] = {
    "AUC": [{}, {"multi_label": True}],
    "CategoricalGeneralizedCrossEntropy": [{"q": 0.5}],
    "F1Score": [{}, {"threshold": 0.5}, {"threshold": 0.5, "average": "macro"}],
    "FBetaScore": [{"beta": 2.0}, {"beta": 2.0, "threshold": 0.5}],
    "IoU": [{"num_classes": ENTRIES, "target_class_ids": [0, 2]}],
    "MeanIoU": [{"num_classes": ENTRIES}],
    "MeanMetricWrapper": [],  # not a metric by itself
    "OneHotIoU": [{"num_classes": ENTRIES, "target_class_ids": [0, 2]}],
    "OneHotMeanIoU": [{"num_classes": ENTRIES}],
    "Precision": [{}, {"class_id": 1}, {"top_k": 2}],
    "PrecisionAtRecall": [{"recall": 0.5}],
    "Recall": [{}, {"class_id": 1}, {"top_k": 2}],
    "RecallAtPrecision": [{"precision": 0.5}],
    "SensitivityAtSpecificity": [{"specificity": 0.5}],
    "SpecificityAtSensitivity": [{"sensitivity": 0.5}],
    "SparseTopKCategoricalAccuracy": [{"k": 2}],
    "TopKCategoricalAccuracy": [{"k": 2}],
}

TEXT = """\
# What counts within Masked

`losses.Masked` and `metrics.Masked` make any loss or metric of Keras skip what has no label.
They count whatever it treats as one unit:

- **element**: a label. It counts if it is there and not masked out.
- **row**: the entries of the last axis, or of the loss's own axis. A row with any label missing
  does not count at all.
- **class label**: one label for a row of predictions; missing where it is NaN, -1 or `missing`.
- **sequence**: a label of several entries for many frames. Missing entries at its end make it
  shorter; if all are missing, or one before its end, it does not count. Frames masked by a Keras
  mask are left out.
- **task**: a label; each entry of the last axis has a score of its own, over its own labels. A
  macro average leaves out the tasks without a label, and for an AUC also those with labels of only
  one class.
- **pair**: a label and its prediction; each row is a series with a coefficient of its own, over its
  own pairs. A series with fewer than two does not count.

A mean is one mean over everything that counts. The attribute `counts` of a `Masked` is one of these
words.

Losses and metrics of your own are tried on a few made-up numbers: one that returns a number for
each label, or for a row the mean of its numbers for single labels, counts elements; all others
count rows. Predictions may have more entries than labels (likelihoods). `per="element"`,
`per="row"` and `class_labels=True` say what is counted without a trial.

Below, {rows} rows of {entries} labels have gaps: {labels} labels are there, {complete} rows are
complete. Of {rows} class labels {classes} are there, and of {rows} sequences {sequences}. The
columns say what is counted, how many were counted, and the value.
"""


def example(name):
    """Labels with gaps and predictions for this loss or metric."""
    rng = np.random.default_rng(3)
    gaps = rng.random((ROWS, ENTRIES)) < 0.15
    classes = rng.integers(0, ENTRIES, ROWS)
    y_pred = 0.05 + 0.9 * rng.random((ROWS, ENTRIES))
    y_pred /= y_pred.sum(axis=-1, keepdims=True) if name in ONE_HOT + CLASS_LABELS else 1
    if name in CLASS_LABELS:
        return np.where(gaps[:, 0], [np.nan, -1.0] * (ROWS // 2), classes), y_pred
    if name == "CTC":
        y_true = rng.integers(1, ENTRIES, (ROWS, 3)).astype(float)
        y_true[gaps[:, 0], 2] = np.nan  # a shorter label
        y_true[gaps[:, 1], 0] = np.nan  # no label
        return y_true, rng.normal(size=(ROWS, 8, ENTRIES))
    if name in ONE_HOT:
        y_true = np.eye(ENTRIES)[classes]
    elif name in CLASS_ELEMENTS:
        y_true, y_pred = rng.integers(0, ENTRIES, (2, ROWS, ENTRIES)).astype(float)
    elif name in NUMBERS:
        y_true = np.abs(y_pred + rng.normal(size=y_pred.shape))
    else:
        y_true = np.round(rng.random((ROWS, ENTRIES)))
    return np.where(gaps, np.nan, y_true), y_pred


def classes(module: Any) -> list[tuple[str, Any]]:
    return [(name, cls) for name, cls in sorted(vars(module).items()) if inspect.isclass(cls)]


def losses():
    """Name, arguments, and the masked loss."""
    for name, cls in classes(keras.losses):
        if cls is not keras.losses.Loss:
            for arguments in ARGUMENTS.get(name, [{}]):
                yield name, arguments, masklstm.losses.Masked(cls(**arguments, dtype="float64"))


def metrics():
    """Name, arguments, and the masked metric."""
    for name, cls in classes(keras.metrics):
        if {"y_true", "sample_weight"} <= set(inspect.signature(cls.update_state).parameters):
            for arguments in ARGUMENTS.get(name, [{}]):
                yield name, arguments, masklstm.metrics.Masked(cls(**arguments, dtype="float32"))


def loss_row(name, loss):
    """What counts, how many of them, and the value."""
    y_true, y_pred = example(name)
    counted = np.count_nonzero(loss.counted(y_true, y_pred))
    if name in ("Dice", "Tversky"):
        counted = np.count_nonzero(~np.isnan(y_true).any(axis=-1))
    return loss.counts, counted, np.asarray(loss(y_true, y_pred))


def metric_row(name, metric):
    """What counts, how many of them, and the value."""
    y_true, y_pred = example(name)
    metric.update_state(y_true, y_pred.astype("float32"))
    counted = int(metric.valid_count.numpy())
    if metric.counts == "pair":
        there = ~np.isnan(y_true)
        counted = int(np.count_nonzero(there[there.sum(axis=-1) >= 2]))
    return metric.counts, counted, np.asarray(metric.result())


def line(name, arguments, row):
    counts, counted, value = row
    given = ", ".join(f"{key}={argument!r}" for key, argument in arguments.items())
    numbers = " ".join(f"{number:.5f}" for number in np.ravel(value))
    return f"| `{name}({given})` | {counts} | {counted} | {numbers} |"


def main():
    y_true, _ = example("Hinge")
    classes, _ = example("SparseCategoricalCrossentropy")
    sequences, _ = example("CTC")
    print(
        TEXT.format(
            rows=ROWS,
            entries=ENTRIES,
            labels=np.count_nonzero(~np.isnan(y_true)),
            complete=np.count_nonzero(~np.isnan(y_true).any(axis=-1)),
            classes=np.count_nonzero(classes >= 0),
            sequences=np.count_nonzero(~np.isnan(sequences[:, 0])),
        )
    )
    for title, members, row in (("Losses", losses, loss_row), ("Metrics", metrics, metric_row)):
        print(f"## {title}\n\n| | counts | counted | value |\n| --- | --- | ---: | ---: |")
        for name, arguments, masked in members():
            print(line(name, arguments, row(name, masked)))
        print()


if __name__ == "__main__":
    main()
