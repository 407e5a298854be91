"""How much of the labels' variance predictions explain, by output, over the valid elements.

Design:
    A. The variance is kept as mean and sum of squared deviations from it, and batches are merged
       by Chan's formula. A sum of squares would lose the variance of labels far from 0: of 16
       digits, labels around 1e4 that vary by 1 leave it 8.
    B. Means do not add up over replicas. So each replica has a row of its own in every variable
       and leaves the others' at 0: Keras adds the replicas' variables up, and the rows are merged
       when the result is asked for.

T. F. Chan, G. H. Golub, R. J. LeVeque, "Updating Formulae and a Pairwise Algorithm for Computing
Sample Variances", 1979.
"""

import functools
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from masklstm._core import summation
from masklstm._core.arguments import Tensors, broadcast_left, standardize_tensors
from masklstm._core.keras_compat import get_keras_mask
from masklstm._core.missing import NAN
from masklstm._core.refusals import out_of_domain, unknown_name
from masklstm.metrics.base import GapAwareMetric, as_predictions

AGGREGATIONS = (None, "uniform_average", "variance_weighted_average")


class Moments(NamedTuple):
    """Weighted moments of labels."""

    weight: tf.Tensor
    mean: tf.Tensor
    deviations: tf.Tensor
    """Sum of w (t - mean)^2."""

    def merged(self, other: "Moments") -> "Moments":
        """The moments of both sets of labels together."""
        weight = self.weight + other.weight
        share = tf.math.divide_no_nan(other.weight, weight)
        step = other.mean - self.mean
        between = step * step * self.weight * share
        return Moments(
            weight, self.mean + step * share, self.deviations + other.deviations + between
        )


class CoefficientOfDetermination(GapAwareMetric):
    """Base of R2Score and NashSutcliffeEfficiency: one score for each entry of the last axis."""

    direction = "up"

    def __init__(self, class_aggregation: str | None, name: str, dtype: Any, missing: Any) -> None:
        super().__init__(name, dtype, missing)
        if class_aggregation not in AGGREGATIONS:
            raise unknown_name("class_aggregation", class_aggregation, AGGREGATIONS)
        self.class_aggregation = class_aggregation
        self._is_built = False

    def _build(self, outputs: int) -> None:
        shape = (tf.distribute.get_strategy().num_replicas_in_sync, outputs)
        self.valid_count = self.add_count("valid_count", shape)
        self.weight_sum = self.add_sum("weight_sum", shape)
        self.label_mean = self.add_sum("label_mean", shape)
        self.label_deviations = self.add_sum("label_deviations", shape)
        self.squared_errors = self.add_sum("squared_errors", shape)
        self._is_built = True

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Adds a batch.

        Args:
            y_true: Labels, shape `(batch, ..., outputs)`, or `(batch,)`; NaN means missing.
            y_pred: Predictions of the same shape.
            sample_weight: Weights, aligned with the labels from the left.
        """
        mask = get_keras_mask(y_pred)
        y_pred = tf.cast(as_predictions(y_pred), tf.float64)
        tensors = standardize_tensors(y_true, y_pred, sample_weight, mask, self.missing)
        tensors = _with_outputs(tensors)
        valid = tensors.valid()

        def of_valid(values: tf.Tensor) -> tf.Tensor:
            values = tf.cast(values, tf.float64)
            return tf.where(valid, values, tf.zeros_like(values))

        y_true, y_pred = of_valid(tensors.y_true), of_valid(tensors.y_pred)
        weight = of_valid(valid)
        if tensors.sample_weight is not None:
            weight = of_valid(broadcast_left(tensors.sample_weight, valid))
        axes = list(range(y_true.shape.rank - 1))

        def weighted_sum(values: tf.Tensor) -> tf.Tensor:
            return summation.total_along(weight * values, axes)

        weight_sum = summation.total_along(weight, axes)
        mean = tf.math.divide_no_nan(weighted_sum(y_true), weight_sum)
        # A second step takes the rounding of the first away: equal labels have no deviations.
        mean += tf.math.divide_no_nan(weighted_sum(y_true - mean), weight_sum)
        moments = Moments(weight_sum, mean, weighted_sum((y_true - mean) ** 2))
        squared_errors = weighted_sum((y_pred - y_true) ** 2)

        if not self._is_built:
            self._build(y_true.shape[-1])
        is_own = self._is_row_of_replica()
        state = self._moments()
        count = tf.math.count_nonzero(valid, axes)
        for variable, old, new in (
            *zip(
                (self.weight_sum, self.label_mean, self.label_deviations),
                state,
                state.merged(moments),
                strict=True,
            ),
            _plus(self.squared_errors, squared_errors),
            _plus(self.valid_count, count),
        ):
            variable.assign(tf.where(is_own, new, old))

    def _moments(self) -> Moments:
        variables = self.weight_sum, self.label_mean, self.label_deviations
        return Moments(*map(tf.convert_to_tensor, variables))

    def _is_row_of_replica(self) -> tf.Tensor:
        """Shape `(replicas, 1)`."""
        rows = self.valid_count.shape[0]
        context = tf.distribute.get_replica_context()
        if context is None or context.num_replicas_in_sync == 1:
            return tf.range(rows)[:, None] == 0
        if context.num_replicas_in_sync != rows:
            raise ValueError(
                f"Metric '{self.name}' has state for another number of replicas: create it within "
                f"the strategy's scope. Expected {context.num_replicas_in_sync}. Received: {rows}"
            )
        return tf.range(rows)[:, None] == context.replica_id_in_sync_group

    def result(self) -> tf.Tensor:
        """The score or scores; NaN without a valid label."""
        if not self._is_built:
            return self.as_result(tf.zeros([], tf.float64), tf.zeros([], tf.int64))
        rows = zip(*(tf.unstack(part) for part in self._moments()), strict=True)
        moments = functools.reduce(Moments.merged, (Moments(*row) for row in rows))
        errors = tf.reduce_sum(tf.convert_to_tensor(self.squared_errors), axis=0)
        count = tf.reduce_sum(tf.convert_to_tensor(self.valid_count), axis=0)
        seen = count > 0
        deviations = moments.deviations
        # As Keras, 0 for labels that do not vary and are missed; an infinite error stays one.
        is_missed = (deviations == 0) & (errors > 0) & tf.math.is_finite(errors)
        scores = tf.where(is_missed, tf.zeros_like(errors), 1 - errors / deviations)
        if self.class_aggregation is None:
            return self.as_result(self.adjusted(scores, count), count)

        # Weighted by variance a constant does not count, but diverged predictions still show.
        nothing = tf.where(seen, errors - errors, tf.zeros_like(errors))

        def mean(weight: tf.Tensor) -> tf.Tensor:
            shares = tf.where(weight == 0, nothing, weight * scores)
            return tf.reduce_sum(shares) / tf.reduce_sum(weight)

        is_uniform = self.class_aggregation == "uniform_average"
        score = mean(tf.cast(seen, tf.float64) if is_uniform else deviations)
        return self.as_result(self.adjusted(score, count), tf.reduce_sum(count))

    def adjusted(self, score: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
        """The score, corrected for the number of regressors where there is one."""
        return score

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "class_aggregation": self.class_aggregation}


def _plus(variable: Any, value: tf.Tensor) -> tuple[Any, tf.Tensor, tf.Tensor]:
    old = tf.convert_to_tensor(variable)
    return variable, old, old + value


def _with_outputs(tensors: Tensors) -> Tensors:
    """Labels and predictions whose last axis is that of the outputs; a vector has one."""
    y_true, y_pred = tensors.y_true, tensors.y_pred
    if y_true.shape.rank == 1 and y_pred.shape.rank == 1:
        y_true, y_pred = y_true[:, None], y_pred[:, None]
    shape = y_true.shape.merge_with(y_pred.shape)
    if not shape.rank or shape[-1] is None:
        raise ValueError(
            "Expected the last axis of y_true or y_pred, that of the outputs, to be known. "
            f"Received: y_true with shape {tensors.y_true.shape}, y_pred with shape "
            f"{tensors.y_pred.shape}"
        )
    check = tf.debugging.assert_equal(
        tf.shape(y_true), tf.shape(y_pred), "y_true and y_pred must have the same shape."
    )
    with tf.control_dependencies([check] if check is not None else []):
        y_true = tf.ensure_shape(tf.identity(y_true), shape)
    return tensors._replace(y_true=y_true, y_pred=tf.ensure_shape(y_pred, shape))


@keras.saving.register_keras_serializable(package="masklstm.metrics")
class R2Score(CoefficientOfDetermination):
    """Coefficient of determination: the share of the labels' variance that predictions explain.

    Formula, for each entry of the last axis, with the weighted mean m of its valid labels:
    `score = 1 - sum(w * (y_true - y_pred)^2) / sum(w * (y_true - m)^2)`. Each has gaps of its own.
    One without a valid label is left out of the averages. Labels that do not vary give 0, or NaN
    where the predictions are exact, as in Keras.

    Args:
        class_aggregation: `"uniform_average"` of the scores, `"variance_weighted_average"`
            (weighted by the denominators above: labels that do not vary do not count, and if none
            vary it is NaN), or `None` for all scores.
        num_regressors: Number p of independent regressors, for the adjusted score
            `1 - (1 - score) * (n - 1) / (n - p - 1)`, where n counts all valid labels. 0, or an n
            that is too small, gives the score itself.
        name, dtype, missing: As for `masklstm.metrics.MeanSquaredError`.

    Raises:
        ValueError: For an unknown `class_aggregation`, a `num_regressors` below 0, a `missing` that
            is neither a number nor `"nonfinite"`, a last axis of unknown length.

    Example:

    >>> import masklstm
    >>> metric = masklstm.metrics.R2Score()
    >>> metric.update_state([[1.0], [4.0], [float("nan")], [3.0]], [[2.0], [4.0], [9.0], [4.0]])
    >>> round(float(metric.result()), 5)
    0.57143

    Source: `keras.metrics.R2Score`, which takes shape `(batch, outputs)` only.
    """

    def __init__(
        self,
        class_aggregation: str | None = "uniform_average",
        num_regressors: int = 0,
        name: str = "r2_score",
        dtype: Any = None,
        *,
        missing: Any = NAN,
    ) -> None:
        super().__init__(class_aggregation, name, dtype, missing)
        if num_regressors < 0:
            raise out_of_domain("num_regressors", "[0, inf)", num_regressors)
        self.num_regressors = num_regressors

    def adjusted(self, score: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
        number = tf.cast(tf.reduce_sum(count), tf.float64)
        rest = number - self.num_regressors - 1.0
        adjusted = 1.0 - (1.0 - score) * (number - 1.0) / rest
        return tf.where((self.num_regressors > 0) & (rest > 0), adjusted, score)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "num_regressors": self.num_regressors}


@keras.saving.register_keras_serializable(package="masklstm.metrics")
class NashSutcliffeEfficiency(CoefficientOfDetermination):
    """Nash-Sutcliffe efficiency: 1 for exact predictions, 0 for those as good as the labels' mean.

    Formula, for each series of the last axis, with the weighted mean m of its valid labels:
    `score = 1 - sum(w * (y_true - y_pred)^2) / sum(w * (y_true - m)^2)`. It is the name that
    hydrology has for `masklstm.metrics.R2Score`.

    Args:
        class_aggregation, name, dtype, missing: As for `masklstm.metrics.R2Score`.

    Raises:
        ValueError: For an unknown `class_aggregation`, a `missing` that is neither a number nor
            `"nonfinite"`, a last axis of unknown length.

    Example:

    >>> import masklstm
    >>> metric = masklstm.metrics.NashSutcliffeEfficiency()
    >>> metric.update_state([[1.0], [float("nan")], [3.0]], [[2.0], [5.0], [2.0]])
    >>> float(metric.result())
    0.0

    Source: J. E. Nash, J. V. Sutcliffe, "River flow forecasting through conceptual models part I",
    1970; not in `keras.metrics`.
    """

    def __init__(
        self,
        class_aggregation: str | None = "uniform_average",
        name: str = "nash_sutcliffe_efficiency",
        dtype: Any = None,
        *,
        missing: Any = NAN,
    ) -> None:
        super().__init__(class_aggregation, name, dtype, missing)
