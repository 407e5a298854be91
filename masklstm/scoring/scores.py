"""`masklstm.scores`: labels and predictions sorted into groups, and each group scored."""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from masklstm._core.keras_compat import get_keras_mask
from masklstm._core.labels import read_labels
from masklstm._core.refusals import number_or_nan, out_of_domain
from masklstm._core.terminal import listed
from masklstm.scoring.chosen import measures_of
from masklstm.scoring.groups import sorted_into_groups
from masklstm.scoring.selection import Part
from masklstm.scoring.table import Scores
from masklstm.scoring.transforms import transform_of

Floats = NDArray[np.float64]


def scores(
    y_true: Any,
    y_pred: Any,
    metrics: Any = ("nse", "kge", "rmse", "percent_bias"),
    groups: Any = None,
    transform: str | Callable[[Floats], Any] | None = None,
    above: float | None = None,
    below: float | None = None,
    missing: Any = float("nan"),
) -> Scores:
    """Scores of predictions, group by group: a table with a row for each station, task or step.

    Formula: each metric's, over the valid labels of a group; the row `"all"` is over those of all
    groups together. The short names are

    - `"nse"`, `"kge"`, `"kge_modified"`, `"pearson"`, `"concordance"`, `"bias"`, `"percent_bias"`
      (or `"pbias"`), `"wape"`, `"rmse"`, `"mse"`, `"mae"`: the metrics that `masklstm.metrics` has
      under their long names, which may be given as well. A score for which labels have to vary is
      NaN where they do not;
    - `"fhv"`, `"flv"`: `masklstm.scoring.FlowDurationBias` of the highest 2% and the lowest 30%.

    Args:
        y_true: Labels, shape `(n, ...)`: an array, tensor, data frame or list. NaN means missing,
            and so do None, pandas' NA and what NumPy masks.
        y_pred: Predictions of the same shape (an axis of length 1 at the end may be lacking).
        metrics: A short name, the name of a class of `masklstm.metrics`, a metric such as
            `masklstm.metrics.Masked("AUC")` or Keras's, a function of labels and predictions
            (float64 vectors without gaps) that returns a number; a list of these, or a dict that
            names them.
        groups: To which group each label belongs: an array, list or column, such as station ids, of
            the labels' shape, or of axes that match theirs from the left or are 1; or `"feature"`
            or `"timestep"`, for the last or the second axis. By default all labels are one group.
        transform: `"log"`, the logarithm of x + e, where e is a hundredth of the mean of the
            group's valid labels, if that is above 0; or a function of an array. Labels that then
            are not finite (a logarithm of what is not above 0) are left out and counted;
            predictions that are not finite make a score NaN, with a warning.
        above: Only labels above this quantile of their group's valid labels count, as 0.9 for the
            highest tenth. Labels are chosen before they are transformed.
        below: Only labels below this quantile count. With `above`, those between the two.
        missing: A number that means "no label" in addition to NaN, or `"nonfinite"`.

    Returns:
        `Scores`: `print` shows it as a table, `scores["station"]["nse"]` is a number, and there are
        `to_csv(path)`, `to_markdown()` and `plot(path)`. What is not defined is NaN, and takes no
        part in `mean()` and `median()` over the groups.

    Raises:
        ValueError: For shapes that do not fit, groups that are missing for a label that is there,
            unknown names, a metric that is no single number, quantiles outside of (0, 1).

    Example:

    >>> import masklstm, numpy as np
    >>> flow = np.array([1.0, 2.0, np.nan, 4.0, 5.0, 8.0])
    >>> forecast = np.array([1.0, 2.5, 9.0, 3.5, 6.0, 7.0])
    >>> stations = ["Ems", "Ems", "Ems", "Ems", "Oder", "Oder"]
    >>> found = masklstm.scores(flow, forecast, ["nse", "rmse"], groups=stations)
    >>> print(found)
    group   labels     nse    rmse
    Ems          3  0.8929  0.4082
    Oder         2  0.5556       1
    <BLANKLINE>
    median          0.7242  0.7041
    mean            0.7242  0.7041
    all          5  0.9167  0.7071
    >>> round(found["Oder"]["nse"], 4)
    0.5556

    Source: the log of low flows: R. Pushpalatha, C. Perrin, N. Le Moine, V. Andreassian, "A review
    of efficiency criteria suitable for evaluating low-flow simulations", 2012.
    """
    measures = measures_of(metrics)
    change = transform_of(transform)
    _check_quantiles(above, below)
    labels, predictions, is_valid = _read(y_true, y_pred, missing)
    columns = getattr(y_true, "columns", ())
    found = sorted_into_groups(labels, predictions, is_valid, groups, columns)
    parts = [Part.of(group, above, below, change) for group in found]
    everything = Part.together("all", parts)
    if everything.lost_predictions:
        of_groups = [part.name for part in parts if part.lost_predictions]
        warnings.warn(
            f"{everything.lost_predictions:,} predictions are not finite once transformed, so the "
            f"scores of these groups are NaN: {listed(of_groups)}. Expected predictions for which "
            "the transformation is defined, such as numpy.maximum(y_pred, 0)",
            stacklevel=2,
        )
    rows = [part.row(measures) for part in (parts if groups is not None else [])]
    return Scores(list(measures), rows, everything.row(measures))


def _check_quantiles(above: float | None, below: float | None) -> None:
    for name, value in (("above", above), ("below", below)):
        if value is not None and not 0 < number_or_nan(value) < 1:
            raise out_of_domain(name, "(0, 1)", value)
    if above is not None and below is not None and above >= below:
        raise ValueError(
            "Expected 'above' to be less than 'below', so that labels are left between the two. "
            f"Received: above={above}, below={below}"
        )


def _read(
    y_true: Any, y_pred: Any, missing: Any
) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.bool_]]:
    """Labels and predictions of one shape, in float64, and which of them are valid."""
    read, observed = read_labels(y_true, missing, "y_true")
    labels, is_valid = read.numpy().astype(np.float64), observed.numpy()
    mask = get_keras_mask(y_pred)
    try:
        predictions = np.asarray(y_pred, np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(
            "Expected 'y_pred' to be an array of numbers. Received: y_pred of type "
            f"{type(y_pred).__name__} ({error})"
        ) from error
    if abs(labels.ndim - predictions.ndim) == 1:
        if labels.ndim > predictions.ndim and labels.shape[-1] == 1:
            predictions = predictions[..., None]
        elif predictions.shape[-1:] == (1,):
            predictions = predictions[..., 0]
    if labels.shape != predictions.shape or not labels.ndim:
        raise ValueError(
            "Expected 'y_true' and 'y_pred' to have the same shape, with an axis or more. "
            f"Received: y_true with shape {tuple(read.shape)}, y_pred with shape "
            f"{np.shape(y_pred)}"
        )
    if mask is not None:
        mask = np.asarray(mask, bool)
        is_valid = is_valid & mask.reshape(mask.shape + (1,) * (labels.ndim - mask.ndim))
    return labels, predictions, is_valid
