"""The gradients of the native ops, registered when this module is imported.

With u the gradient of the loss, l the element losses and d the divisor (of the whole loss, or of
each row):

    by y_pred:          u w l' / d                       one pass of Masklstm>MaskedLossGrad
    by sample_weight:   u l / d, and what comes in for the sum of the weights

Predictions with channels have an axis that the labels do not have, and so have the slopes by them.

The second line, and the gradient's own gradient, are made of `Masklstm>MaskedLossElements`,
`summation` and TensorFlow's ops: they are right for everything, but only the first line is fused.
"""

from typing import Any

import tensorflow as tf

from masklstm._core import library, summation
from masklstm._core.keras_compat import get_attribute, is_needed, text_attribute
from masklstm._core.reductions import group_axis
from masklstm._core.totals import divisor_of
from masklstm._core.types import computing_dtype

_ROWWISE = ("none", "sum")


class _Inputs:
    """An op's inputs and attributes by name; whatever is computed from them is float64."""

    def __init__(self, op: tf.Operation) -> None:
        inputs = list(op.inputs)
        if op.type == "Masklstm>MaskedLossGrad":
            self.loss_gradient, self.weight_sum, self.valid_count = inputs[:3]
            inputs = inputs[3:]
        else:
            _, self.weight_sum, self.valid_count = op.outputs
        self.y_true, self.y_pred = inputs[:2]
        num_weights = len(inputs) - 2 - int(get_attribute(op, "num_masks"))
        self.sample_weight = inputs[2 : 2 + num_weights]
        self.mask = inputs[2 + num_weights :]
        self.computing_dtype = computing_dtype(self.y_pred)
        by_group = op.type == "Masklstm>MaskedGroupSums"
        self.reduction = "sum_of_elements" if by_group else text_attribute(op, "reduction")
        self.attributes = _loss_attributes(op)
        self.has_channels = self.attributes["loss"] in library.losses_with_channels
        self.is_scalar = self.y_true.shape.rank == 0

    def elements(self, kind: str, direction: tf.Tensor | None = None) -> tf.Tensor:
        elements = library.ops.masklstm_masked_loss_elements(
            self.y_true,
            self.y_pred,
            self.mask,
            [] if direction is None else [tf.cast(direction, self.computing_dtype)],
            Tcompute=self.computing_dtype,
            kind=kind,
            **self.attributes,
        )
        return tf.cast(elements, tf.float64)

    def curvature(self, direction: tf.Tensor) -> tf.Tensor:
        """The second derivatives times a direction of the predictions' shape."""
        if self.has_channels:
            return self.elements("directional_derivative", direction)
        return direction * self.elements("second_derivative")

    def along_channels(self, of_labels: tf.Tensor) -> tf.Tensor:
        """What is of the labels' shape, to be multiplied with something of the predictions'."""
        return tf.expand_dims(of_labels, -1) if self.has_channels else of_labels

    def over_channels(self, of_predictions: tf.Tensor) -> tf.Tensor:
        """The sum over the channels, of the labels' shape."""
        return tf.reduce_sum(of_predictions, -1) if self.has_channels else of_predictions

    def where_valid(self, full: tf.Tensor) -> tf.Tensor:
        """0 instead of what must not count, which may be NaN; of the labels' shape."""
        return tf.where(self.elements("valid") > 0, tf.cast(full, tf.float64), 0.0)

    def weight(self, but: int | None = None) -> tf.Tensor:
        """The product of the weights, one of them left out if asked for."""
        product = tf.ones([], tf.float64)
        for index, weight in enumerate(self.sample_weight):
            if index != but:
                product *= self.where_valid(self.spread(weight))
        return product

    def spread(self, small: tf.Tensor) -> tf.Tensor:
        """To the labels' shape."""
        return summation.spread(tf.cast(small, tf.float64), tf.shape(self.y_true))

    def divisor(self) -> tf.Tensor:
        """A scalar, or with a last axis of length 1 for reductions by row."""
        if self.reduction in _ROWWISE:
            valid = self.elements("valid")
            return valid if self.is_scalar else tf.reduce_sum(valid, -1, keepdims=True)
        if self.reduction in ("mean", "mean_with_sample_weight"):
            return divisor_of(self.reduction, self.weight_sum, self.valid_count)
        return tf.ones([], tf.float64)

    def over_divisor(self, loss_gradient: tf.Tensor) -> tf.Tensor:
        """u / d, in the divisor's shape."""
        loss_gradient = tf.cast(loss_gradient, tf.float64)
        divisor = self.divisor()
        if self.reduction == "none" and not self.is_scalar:
            loss_gradient = tf.expand_dims(loss_gradient, -1)
        elif self.reduction == "sum":
            loss_gradient = summation.spread(loss_gradient, tf.shape(divisor))
        return tf.math.divide_no_nan(loss_gradient, divisor)

    def by_weights(self, by_product: tf.Tensor, op: tf.Operation) -> list[tf.Tensor | None]:
        """The gradients by the weights, of that by their product."""
        first = len(op.inputs) - len(self.mask) - len(self.sample_weight)
        return [
            self._sum_to(weight, by_product * self.weight(but=index))
            if is_needed(op, first + index)
            else None
            for index, weight in enumerate(self.sample_weight)
        ]

    def weights_and(self, factor: tf.Tensor, balance: str) -> list[tf.Tensor]:
        """The weights and one more, by groups: two at the most, which is what the ops take."""
        if len(self.sample_weight) < 2:
            return [*self.sample_weight, factor]
        # The second weight is a loss's own, by steps and features: a product with what is of its
        # own kind is no larger.
        first, second = self.sample_weight
        if balance == "sample":
            return [self._product(first, factor), second]
        return [first, self._product(second, factor)]

    def _product(self, first: tf.Tensor, second: tf.Tensor) -> tf.Tensor:
        first, second = (tf.reshape(x, self._aligned_shape(x)) for x in (first, second))
        return first * second

    def _sum_to(self, weight: tf.Tensor, full: tf.Tensor) -> tf.Tensor:
        """Adds up along the axes that the weights repeat along."""
        total = summation.total_to(self.where_valid(full), self._aligned_shape(weight))
        return tf.cast(tf.reshape(total, tf.shape(weight)), weight.dtype)

    def _aligned_shape(self, weight: tf.Tensor) -> list[int] | tf.Tensor:
        """That of the weights, with as many axes as the labels have."""
        rank, lengths = self.y_true.shape.rank, weight.shape
        if rank is not None and lengths.is_fully_defined():
            return [*lengths, *[1] * (rank - lengths.rank)]
        missing_axes = tf.rank(self.y_true) - tf.rank(weight)
        return tf.concat([tf.shape(weight), tf.ones([missing_axes], tf.int32)], axis=0)


def _loss_attributes(op: tf.Operation) -> dict[str, str]:
    return {name: text_attribute(op, name) for name in ("loss", "parameters", "missing")}


@tf.RegisterGradient("Masklstm>MaskedLoss")  # type: ignore[untyped-decorator]
def _masked_loss_gradient(
    op: tf.Operation, loss_gradient: Any, weight_sum_gradient: Any, _: Any
) -> list[tf.Tensor | None]:
    inputs = _Inputs(op)
    gradient = library.ops.masklstm_masked_loss_grad(
        loss_gradient,
        inputs.weight_sum,
        inputs.valid_count,
        inputs.y_true,
        inputs.y_pred,
        inputs.sample_weight,
        inputs.mask,
        reduction=inputs.reduction,
        **inputs.attributes,
    )
    by_weights: list[tf.Tensor | None] = [None for _ in inputs.sample_weight]
    if inputs.sample_weight and is_needed(op, 2):
        scale = inputs.over_divisor(loss_gradient)
        losses = inputs.elements("value")
        by_weight_sum = weight_sum_gradient
        if inputs.reduction == "mean_with_sample_weight":
            total = summation.total(inputs.weight() * losses)
            by_weight_sum -= scale * tf.math.divide_no_nan(total, inputs.divisor())
        by_product = inputs.spread(scale) * losses + inputs.spread(by_weight_sum)
        by_weights = inputs.by_weights(by_product, op)
    return [None, gradient, *by_weights, *(None for _ in inputs.mask)]


@tf.RegisterGradient("Masklstm>MaskedGroupSums")  # type: ignore[untyped-decorator]
def _masked_group_sums_gradient(
    op: tf.Operation, loss_sum_gradient: tf.Tensor, weight_sum_gradient: tf.Tensor, _: Any
) -> list[tf.Tensor | None]:
    inputs = _Inputs(op)
    balance = text_attribute(op, "balance")
    axis = group_axis(balance, inputs.y_true) % tf.rank(inputs.y_true)
    shape = tf.concat([tf.ones([axis], tf.int32), [-1]], axis=0)
    scale = _middle(loss_sum_gradient)
    factor = tf.reshape(tf.math.divide_no_nan(loss_sum_gradient, scale), shape)
    gradient = library.ops.masklstm_masked_loss_grad(
        scale,
        tf.zeros([], tf.float64),
        tf.zeros([], tf.int64),
        inputs.y_true,
        inputs.y_pred,
        inputs.weights_and(tf.cast(factor, inputs.computing_dtype), balance),
        inputs.mask,
        reduction="sum_of_elements",
        **inputs.attributes,
    )
    by_weights: list[tf.Tensor | None] = [None for _ in inputs.sample_weight]
    if inputs.sample_weight and is_needed(op, 2):
        by_loss, by_weight = (
            inputs.spread(tf.reshape(each, shape))
            for each in (loss_sum_gradient, weight_sum_gradient)
        )
        by_weights = inputs.by_weights(by_loss * inputs.elements("value") + by_weight, op)
    return [None, gradient, *by_weights, *(None for _ in inputs.mask)]


def _middle(factors: tf.Tensor) -> tf.Tensor:
    """A number to take out of all factors, so that a type of less range than float64 holds them.

    1 for ordinary ones, which so keep their bits.
    """
    sizes = tf.abs(factors)
    largest = tf.reduce_max(sizes)
    smallest = tf.reduce_min(tf.where(sizes > 0, sizes, largest))
    is_ordinary = (smallest > 2.0**-60) & (largest < 2.0**60)
    # float32 reaches from 2^-126, which the smallest must not fall below, to 2^128: so the factors
    # may be 2^253 apart.
    middle = tf.minimum(tf.sqrt(smallest) * tf.sqrt(largest), smallest * 2.0**126)
    return tf.stop_gradient(tf.where(is_ordinary, tf.ones_like(largest), middle))


@tf.RegisterGradient("Masklstm>MaskedLossGrad")  # type: ignore[untyped-decorator]
def _masked_loss_grad_gradient(op: tf.Operation, upstream: tf.Tensor) -> list[tf.Tensor | None]:
    inputs = _Inputs(op)
    valid = inputs.along_channels(inputs.elements("valid") > 0)
    upstream = tf.where(valid, tf.cast(upstream, tf.float64), 0.0)
    scale = inputs.over_divisor(inputs.loss_gradient)
    weight = inputs.weight()
    slopes = inputs.over_channels(upstream * inputs.elements("derivative"))
    by_loss_gradient = _gradient_by_loss_gradient(inputs, weight * slopes)
    by_weight_sum = None
    if inputs.reduction == "mean_with_sample_weight":
        total = summation.total(upstream * tf.cast(op.outputs[0], tf.float64))
        by_weight_sum = -tf.math.divide_no_nan(total, inputs.divisor())
    scale = inputs.spread(scale)
    curvature = inputs.along_channels(scale * weight) * inputs.curvature(upstream)
    by_y_pred = tf.cast(tf.where(valid, curvature, 0.0), inputs.y_pred.dtype)
    by_weights = inputs.by_weights(scale * slopes, op)
    nothing_for_mask = [None for _ in inputs.mask]
    return [by_loss_gradient, by_weight_sum, None, None, by_y_pred, *by_weights, *nothing_for_mask]


def _gradient_by_loss_gradient(inputs: _Inputs, slopes: tf.Tensor) -> tf.Tensor:
    by_element = tf.math.divide_no_nan(slopes, inputs.spread(inputs.divisor()))
    if inputs.reduction == "none" and not inputs.is_scalar:
        rows = tf.shape(inputs.loss_gradient)
        total = tf.reshape(summation.total_to(by_element, tf.concat([rows, [1]], axis=0)), rows)
    else:
        total = summation.total(by_element)
    return tf.cast(total, inputs.loss_gradient.dtype)


@tf.RegisterGradient("Masklstm>MaskedLossElements")  # type: ignore[untyped-decorator]
def _masked_loss_elements_gradient(op: tf.Operation, upstream: tf.Tensor) -> list[tf.Tensor | None]:
    kind = text_attribute(op, "kind")
    y_true, y_pred, *others = op.inputs
    num_masks = int(get_attribute(op, "num_masks"))
    mask, num_directions = others[:num_masks], len(others) - num_masks
    has_channels = text_attribute(op, "loss") in library.losses_with_channels

    def elements(kind: str, *direction: tf.Tensor) -> tf.Tensor:
        return library.ops.masklstm_masked_loss_elements(
            y_true,
            y_pred,
            mask,
            direction,
            Tcompute=upstream.dtype,
            kind=kind,
            **_loss_attributes(op),
        )

    by_y_pred = None
    by_direction: list[tf.Tensor | None] = []
    if kind == "value":
        by_y_pred = elements("derivative")
        by_y_pred *= tf.expand_dims(upstream, -1) if has_channels else upstream
    elif kind == "derivative" and has_channels:
        by_y_pred = elements("directional_derivative", upstream)
    elif kind == "derivative":
        by_y_pred = upstream * elements("second_derivative")
    elif kind == "directional_derivative" and not is_needed(op, 1):
        by_direction = [elements(kind, upstream)]  # second derivatives are symmetric
    elif kind != "valid":
        raise NotImplementedError(
            f"masklstm has first and second derivatives of loss '{text_attribute(op, 'loss')}', "
            "but a third one was asked for. masklstm.reference.masked_loss has them all."
        )
    if by_y_pred is not None:
        by_y_pred = tf.cast(by_y_pred, y_pred.dtype)
    nothing_for_mask = [None for _ in mask]
    return [None, by_y_pred, *nothing_for_mask, *(by_direction or [None] * num_directions)]
