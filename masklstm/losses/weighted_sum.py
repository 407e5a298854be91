"""`Sum`: a sum of weighted losses of one output, whose parts can be seen in the logs.

Design:
    A. Each part is a loss as usual: it has its own gaps to skip, its own divisor, and its own sums
       over replicas. Their results are added up.
    B. A loss cannot add to the logs. So there is a metric for each part: `metrics.Loss` of a sum of
       this part only, which takes its columns too.
"""

import math
import operator
from collections.abc import Mapping
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from masklstm._core.arguments import predictions_to_tensor, to_tensor
from masklstm._core.keras_compat import complete_config, get_keras_mask, with_keras_mask
from masklstm._core.missing import NAN
from masklstm._core.reductions import standardize_reduction
from masklstm._core.refusals import number_or_nan, out_of_domain
from masklstm._core.totals import remade
from masklstm._core.types import LABEL_DTYPES
from masklstm.losses.base import GapAwareLoss
from masklstm.metrics.of_loss import Loss


class _Part(NamedTuple):
    loss: GapAwareLoss
    weight: float
    columns: Any
    """A slice or numbers: which entries of the last axis; None for all of them."""

    def arguments(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> tuple[Any, ...]:
        """What this part's loss is given."""
        if self.columns is None:
            return y_true, y_pred, sample_weight
        mask = get_keras_mask(y_pred)
        y_pred = predictions_to_tensor(y_pred)
        y_true = to_tensor("y_true", y_true, LABEL_DTYPES, y_pred.dtype)
        if sample_weight is not None:
            sample_weight = to_tensor("sample_weight", sample_weight, LABEL_DTYPES, y_pred.dtype)
        shape = y_pred.shape
        if not shape.rank or shape[-1] is None or not y_true.shape.is_compatible_with(shape):
            raise ValueError(
                "Expected y_true and y_pred to have one shape with a known last axis, of which a "
                f"part takes columns {self.columns}. Received: y_true with shape {y_true.shape}, "
                f"y_pred with shape {shape}"
            )
        y_true = tf.ensure_shape(y_true, [*[None] * (shape.rank - 1), shape[-1]])
        columns = self._numbers(shape[-1])

        def taken(tensor: Any) -> Any:
            if tensor is None or tensor.shape.rank != shape.rank or tensor.shape[-1] == 1:
                return tensor  # the same for all columns
            return tf.gather(tensor, columns, axis=-1)

        y_pred = with_keras_mask(tf.gather(y_pred, columns, axis=-1), taken(mask))
        return tf.gather(y_true, columns, axis=-1), y_pred, taken(sample_weight)

    def _numbers(self, length: int) -> list[int]:
        every = list(range(length))
        try:
            columns = self.columns
            numbers = every[columns] if isinstance(columns, slice) else [every[c] for c in columns]
        except IndexError:
            numbers = []
        if not numbers:
            raise ValueError(
                f"Expected the columns of a part to be some of the {length} of the last axis. "
                f"Received: columns {self.columns}"
            )
        return numbers


@keras.saving.register_keras_serializable(package="masklstm")
class Sum(GapAwareLoss):
    """Sum of weighted losses of one output, whose parts can be seen in the logs.

    Formula: `loss = sum(weight * part(y_true[..., columns], y_pred[..., columns]))`. Each part has
    its own gaps, and its own divisor, `missing`, `balance` and `normalizer`.

    Args:
        parts: A dict of names and parts, or a list of parts, which then take their losses' names. A
            part is a loss of `masklstm.losses`, or a tuple `(loss, weight)` or
            `(loss, weight, columns)`; the weight is a number, 1 by default, and the columns are a
            slice or a list of numbers: the entries of the last axis that the part covers.
        name: Name of the loss.
        dtype: Type of the result; `keras.backend.floatx()` by default.

    Raises:
        ValueError: For no parts, a part that is not a loss of masklstm, a weight that is not a
            finite number, columns that the last axis does not have, names that are not distinct; if
            some parts have reduction `"none"` and others do not.

    Example:

    >>> import masklstm
    >>> loss = masklstm.losses.Sum(
    ...     {
    ...         "level": (masklstm.losses.MeanAbsoluteError(), 1.0, [0]),
    ...         "flow": (masklstm.losses.MeanSquaredError(), 0.5, [1, 2]),
    ...     }
    ... )
    >>> nan = float("nan")
    >>> float(loss([[1.0, 2.0, nan]], [[3.0, 4.0, 5.0]]))  # 2 + 0.5 * 4
    4.0

    `model.compile(loss=loss, metrics=loss.metrics())` logs `level` and `flow`, without the weights,
    beside the loss.

    Source: not in `keras.losses`.
    """

    def __init__(self, parts: Any, name: str = "sum", dtype: Any = None) -> None:
        if isinstance(parts, Mapping):
            self.parts = {key: _standardize_part(part) for key, part in parts.items()}
        else:
            listed = [_standardize_part(part) for part in _listed(parts)]
            self.parts = {part.loss.name: part for part in listed}
            if len(self.parts) < len(listed):
                raise ValueError(
                    "Expected the parts to have different names: give them as a dict. Received: "
                    f"{[part.loss.name for part in listed]}"
                )
        if not self.parts or not all(isinstance(key, str) and key for key in self.parts):
            raise ValueError(
                "Invalid value for argument 'parts'. Expected at least one, each with a name. "
                f"Received: parts={parts!r}"
            )
        reductions = {
            standardize_reduction(part.loss.reduction) == "none" for part in self.parts.values()
        }
        if len(reductions) > 1:
            raise ValueError(
                "Expected all parts to be reduced to one number, or none of them. Received: "
                f"reductions {[part.loss.reduction for part in self.parts.values()]}"
            )
        all_missing = {repr(part.loss.missing): part.loss.missing for part in self.parts.values()}
        is_one = len(self.parts) == 1
        super().__init__(
            "none" if reductions == {True} else "sum_over_batch_size",
            name,
            dtype,
            missing=NAN if len(all_missing) > 1 else next(iter(all_missing.values())),
            balance=next(iter(self.parts.values())).loss.balance if is_one else None,
        )

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> tf.Tensor:
        """The sum.

        Args:
            y_true: Labels, shape `(batch, ..., features)`; NaN means missing.
            y_pred: Predictions of the same shape.
            sample_weight: Weights, aligned with the labels from the left.

        Returns:
            The loss in this loss's dtype: a scalar, or the rows if the parts have them.
        """
        with keras.name_scope(self.name):
            return tf.add_n(
                [
                    part.weight
                    * tf.cast(part.loss(*part.arguments(y_true, y_pred, sample_weight)), self.dtype)
                    for part in self.parts.values()
                ]
            )

    def call(self, y_true: Any, y_pred: Any) -> tf.Tensor:
        """The sum of the parts' rows, unweighted by samples."""
        return tf.add_n(
            [
                part.weight
                * tf.cast(part.loss.call(*part.arguments(y_true, y_pred)[:2]), self.dtype)
                for part in self.parts.values()
            ]
        )

    def counted(self, y_true: Any, y_pred: Any) -> tf.Tensor:
        """Those of all parts, one after the other."""
        each = (
            part.loss.counted(*part.arguments(y_true, y_pred)[:2]) for part in self.parts.values()
        )
        return tf.concat([tf.reshape(counted, [-1]) for counted in each], axis=0)

    def metrics(self, dtype: Any = None) -> list[Loss]:
        """A metric for each part, without its weight, for `compile(metrics=...)`.

        Args:
            dtype: Type of the results; float64 by default.
        """
        return [
            Loss(Sum({name: part._replace(weight=1.0)}), name, dtype)
            for name, part in self.parts.items()
        ]

    @property
    def totals_spec(self) -> tuple[tf.TensorSpec, ...]:
        """Those of all parts, one after the other."""
        return tuple(spec for part in self.parts.values() for spec in part.loss.totals_spec)

    def totals(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> tuple[tf.Tensor, ...]:
        totals: list[tf.Tensor] = []
        for name, part in self.parts.items():
            known = all(spec.shape.is_fully_defined() for spec in part.loss.totals_spec)
            if len(self.parts) > 1 and not known:
                raise ValueError(
                    "Expected the parts to have one sum each, or a known number. Received: part "
                    f"'{name}', which has several; metrics() has a metric for each part"
                )
            totals += part.loss.totals(*part.arguments(y_true, y_pred, sample_weight))
        return tuple(totals)

    def of_totals(self, totals: Any) -> tf.Tensor:
        results = []
        rest = list(totals)
        for part in self.parts.values():
            spec = part.loss.totals_spec
            own, rest = rest[: len(spec)], rest[len(spec) :]
            results.append(part.weight * part.loss.of_totals(remade(spec, own)))
        return tf.add_n(results)

    def get_config(self) -> dict[str, Any]:
        config: dict[str, Any] = {"name": self.name}
        if self._has_own_dtype:
            config["dtype"] = self.dtype
        config["parts"] = {
            name: [complete_config(part.loss), part.weight, _columns_config(part.columns)]
            for name, part in self.parts.items()
        }
        return config

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Sum":
        parts = {
            name: (keras.losses.deserialize(loss), weight, _columns_of_config(columns))
            for name, (loss, weight, columns) in config["parts"].items()
        }
        return cls(**{**config, "parts": parts})


def _listed(parts: Any) -> list[Any]:
    if isinstance(parts, (list, tuple)):
        return list(parts)
    raise ValueError(
        "Invalid value for argument 'parts'. Expected a dict or a list of losses of "
        f"masklstm.losses, or of tuples (loss, weight, columns). Received: parts={parts!r}"
    )


def _standardize_part(part: Any) -> _Part:
    given = tuple(part) if isinstance(part, (tuple, list)) else (part,)
    loss, weight, columns = (*given, *(None, 1.0, None)[len(given) :])[:3]
    if len(given) > 3 or not isinstance(loss, GapAwareLoss):
        raise ValueError(
            "Invalid value for argument 'parts'. Expected a loss of masklstm.losses, such as "
            "masklstm.losses.Masked(loss) for one of Keras's, or a tuple of such a loss, a weight "
            f"and columns. Received: {part!r}"
        )
    number = number_or_nan(weight)
    if isinstance(weight, (bool, np.bool_)) or not math.isfinite(number):
        raise out_of_domain("weight", "(-inf, inf)", weight)
    return _Part(loss, number, _standardize_columns(columns))


def _standardize_columns(columns: Any) -> Any:
    if columns is None or isinstance(columns, slice):
        return columns
    try:
        if isinstance(columns, str) or any(isinstance(c, (bool, np.bool_)) for c in columns):
            raise TypeError
        return [operator.index(column) for column in columns]
    except TypeError:
        raise ValueError(
            "Invalid value for argument 'columns'. Expected a slice, a list of numbers of the last "
            f"axis, or None for all of it. Received: columns={columns!r}"
        ) from None


def _columns_config(columns: Any) -> Any:
    if isinstance(columns, slice):
        return {"start": columns.start, "stop": columns.stop, "step": columns.step}
    return columns


def _columns_of_config(config: Any) -> Any:
    return slice(*config.values()) if isinstance(config, dict) else config
