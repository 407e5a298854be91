"""The CRPS of ensembles, with TensorFlow's ops.

A score is its own distance from 0: so the native op, given the scores as predictions of labels that
are 0 or missing, has the rest of the contract.
"""

from typing import Any

import keras
import tensorflow as tf

from masklstm._core.arguments import Tensors
from masklstm._core.backend import ElementLoss
from masklstm._core.channels import split_channels
from masklstm._core.keras_compat import get_keras_mask
from masklstm._core.missing import NAN, is_observed
from masklstm._core.types import PREDICTION_DTYPES, cast
from masklstm.distributions import ensembles
from masklstm.losses.base import ElementwiseLoss


@keras.saving.register_keras_serializable(package="masklstm")
class EnsembleCRPS(ElementwiseLoss):
    """Mean of the continuous ranked probability scores of ensembles over the valid elements.

    Formula, over the members x and x' of a label's ensemble: `mean(abs(x - y_true)) -
    mean(abs(x - x')) / 2`, with all pairs in the second mean, so that it is the score of the
    members' empirical distribution; O(n log n) for n members. With one member it is the absolute
    error. The gradient is 0 where members are equal to the label or to each other.

    Args:
        reduction, name, dtype, missing, balance, normalizer: As for
            `masklstm.losses.MeanSquaredError`.

    Call arguments:
        y_true: Labels, shape `(batch, ..., features)`; NaN means missing.
        y_pred: Members, shape `(batch, ..., features, n)`.
        sample_weight: Weights, aligned with the labels from the left.

    Raises:
        ValueError: For an invalid option, or predictions without an axis of members.

    Example:

    >>> from masklstm.losses.ensemble import EnsembleCRPS
    >>> loss = EnsembleCRPS()
    >>> float(loss([[1.0], [float("nan")]], [[[0.0, 4.0]], [[5.0, 5.0]]]))  # (1 + 3) / 2 - 2 / 2
    1.0

    Source: T. Gneiting, A. E. Raftery, "Strictly Proper Scoring Rules, Prediction, and Estimation",
    2007; not in `keras.losses`.
    """

    loss = "absolute_error"

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str = "crps",
        dtype: Any = None,
        *,
        missing: Any = NAN,
        balance: str | None = None,
        normalizer: float | None = None,
    ) -> None:
        super().__init__(reduction, name, dtype, missing, balance, normalizer)

    def _standardized(
        self, y_true: Any, y_pred: Any, sample_weight: Any = None
    ) -> tuple[Tensors, ElementLoss]:
        mask = get_keras_mask(y_pred)
        y_pred = keras.ops.convert_to_tensor(y_pred)
        if self.dtype == "float64":
            y_pred = cast(y_pred, tf.float64)
        elif y_pred.dtype not in PREDICTION_DTYPES:
            y_pred = tf.cast(y_pred, tf.float32)
        tensors, members = split_channels(y_true, y_pred, sample_weight, mask, self.missing)
        dtype = tensors.computing_dtype
        valid = tensors.valid()
        # What does not count is replaced before anything is computed of it: NaN stays in gradients.
        zero = tf.zeros([], dtype)
        labels = tf.where(valid, cast(tensors.y_true, dtype), zero)
        members = tf.where(valid[..., None], cast(members, dtype), zero)
        scores = ensembles.crps(members - labels[..., None])
        observed = is_observed(tensors.y_true, tensors.missing)
        labels = tf.where(observed, zero, tf.constant(NAN, dtype))
        return tensors._replace(y_true=labels, y_pred=scores, missing="nan"), ElementLoss(
            self.loss, {}
        )
