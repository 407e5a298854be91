"""How many of the labels are there."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from masklstm._core.arguments import align, broadcast_left
from masklstm._core.keras_compat import get_keras_mask
from masklstm._core.labels import read_labels
from masklstm._core.missing import NAN
from masklstm.metrics.groups import GroupedTotals


@keras.saving.register_keras_serializable(package="masklstm.metrics")
class ValidShare(GroupedTotals):
    """Share of the labels that are valid: neither missing nor masked out.

    Formula: `metric = number of valid labels / number of labels`

    Args:
        name, dtype, class_aggregation, by, names, missing: As for
            `masklstm.metrics.MeanSquaredError`.

    Raises:
        ValueError: For a `missing` that is neither a number nor `"nonfinite"`.

    Example:

    >>> import masklstm
    >>> metric = masklstm.metrics.ValidShare()
    >>> metric.update_state([[1.0], [float("nan")], [3.0], [4.0]], [[2.0], [5.0], [5.0], [4.0]])
    >>> float(metric.result())
    0.75

    Source: not in `keras.metrics`. `masklstm.callbacks.MissingLabels` logs it without this metric.
    """

    direction = None

    def __init__(
        self,
        name: str = "valid_share",
        dtype: Any = None,
        *,
        class_aggregation: str | None = "pooled",
        by: str | None = None,
        names: Sequence[Any] | None = None,
        missing: Any = NAN,
    ) -> None:
        super().__init__(name, dtype, missing, class_aggregation, by, names)
        if self.group_axis is None:
            self.build_groups(1)

    @property
    def totals_spec(self) -> "_Counts":
        """Two numbers of labels."""
        return _Counts(tf.TensorSpec((), tf.int64), tf.TensorSpec((), tf.int64))

    def totals(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> "_Counts":
        """Those of a batch.

        Args:
            y_true: Labels of any shape, class labels too; NaN means missing.
            y_pred: Predictions, of which only a Keras mask matters.
            sample_weight: Ignored: labels are counted.
        """
        y_true, valid = read_labels(y_true, self.missing)
        mask = get_keras_mask(y_pred)
        if mask is not None:
            mask = align("mask", tf.cast(mask, tf.bool), y_true)
            valid &= broadcast_left(mask, y_true)
        if self.group_axis is None:
            return _Counts(tf.math.count_nonzero(valid), tf.size(valid, tf.int64))
        if self.group_axis == "feature" and valid.shape.rank == 1:
            valid = valid[:, None]
        self.check_groups(valid.shape)
        columns = self.columns(valid)
        groups = columns.shape[1]
        self.build_groups(groups)
        number = tf.shape(columns, tf.int64)[0]
        return _Counts(tf.math.count_nonzero(columns, 0), tf.fill([groups], number))

    def of_totals(self, totals: "_Counts") -> tf.Tensor:
        """The share; NaN if no label was seen."""
        return tf.cast(totals.valid_count, tf.float64) / tf.cast(totals.label_count, tf.float64)

    def counts(self, totals: "_Counts") -> tf.Tensor:
        return totals.label_count


class _Counts(NamedTuple):
    valid_count: tf.Tensor
    label_count: tf.Tensor


@keras.saving.register_keras_serializable(package="masklstm.metrics")
class ValidFraction(ValidShare):
    """`masklstm.metrics.ValidShare` under its earlier name, for code and files that use it.

    Formula: `metric = number of valid labels / number of labels`

    Args:
        name, dtype, class_aggregation, by, names, missing: As for
            `masklstm.metrics.MeanSquaredError`.

    Raises:
        ValueError: For a `missing` that is neither a number nor `"nonfinite"`.

    Example:

    >>> import masklstm
    >>> masklstm.metrics.ValidFraction().name
    'valid_fraction'

    Source: not in `keras.metrics`.
    """

    def __init__(
        self,
        name: str = "valid_fraction",
        dtype: Any = None,
        *,
        class_aggregation: str | None = "pooled",
        by: str | None = None,
        names: Sequence[Any] | None = None,
        missing: Any = NAN,
    ) -> None:
        super().__init__(
            name,
            dtype,
            class_aggregation=class_aggregation,
            by=by,
            names=names,
            missing=missing,
        )
