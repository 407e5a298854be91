"""What the TensorFlow providers share."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from bench.case import Arrays, Case
from bench.providers import Run
from masklstm import reference

Loss = Callable[[tf.Tensor, tf.Tensor, tf.Tensor | None], tf.Tensor]


def eager(case: Case, arrays: Arrays, loss: Loss) -> Run:
    """A function without arguments that runs the loss, and its gradient, op by op."""
    return _bound(_step(case, loss), case, arrays)


def compiled(case: Case, arrays: Arrays, loss: Loss, **options: Any) -> Run:
    """A function without arguments that runs the loss, and its gradient, in a graph."""
    function = tf.function(_step(case, loss), **options)
    if case.calls > 1:
        function = tf.function(_several(function))
    return _bound(function, case, arrays)


def _step(case: Case, loss: Loss) -> Callable[..., Any]:
    def forward(
        y_true: tf.Tensor, y_pred: tf.Tensor, weight: tf.Tensor | None
    ) -> tuple[tf.Tensor, ...]:
        return (loss(y_true, y_pred, weight),)

    def forward_and_gradient(
        y_true: tf.Tensor, y_pred: tf.Tensor, weight: tf.Tensor | None
    ) -> tuple[tf.Tensor, ...]:
        with tf.GradientTape() as tape:
            tape.watch(y_pred)
            value = loss(y_true, y_pred, weight)
        return value, tape.gradient(value, y_pred)

    return forward_and_gradient if case.gradient else forward


def _several(function: Callable[..., Any]) -> Callable[..., Any]:
    """Several calls in one graph, so that the call of the graph itself weighs little."""

    def calls(
        y_true: tf.Tensor, all_y_pred: list[tf.Tensor], weight: tf.Tensor | None
    ) -> tuple[tf.Tensor, ...]:
        results = [function(y_true, y_pred, weight) for y_pred in all_y_pred]
        # One number of each gradient is used, or TensorFlow would leave the gradient out.
        used = [
            tf.cast(gradient[0, 0, 0], results[0][0].dtype)
            for _, *gradients in results
            for gradient in gradients
        ]
        return *results[-1], tf.add_n([loss for loss, *_ in results] + used)

    return calls


def _bound(function: Callable[..., Any], case: Case, arrays: Arrays) -> Run:
    y_true = tf.constant(arrays.y_true)
    weight = None if arrays.weight is None else tf.constant(arrays.weight)
    y_pred = [tf.constant(arrays.y_pred) + 0 for _ in range(case.calls)]  # not one tensor
    if case.calls == 1:
        (y_pred,) = y_pred

    def run() -> tuple[tf.Tensor, ...]:
        results: tuple[tf.Tensor, ...] = function(y_true, y_pred, weight)
        results[0].numpy()  # waits
        return results

    return run


def where_loss(case: Case) -> Loss:
    """The masked mean that a careful user writes: NaN selected away before any arithmetic, halves
    widened first, as Keras does.
    """
    formula = reference.LOSSES[case.loss]
    dtype = tf.float64 if case.dtype == "float64" else tf.float32

    def loss(y_true: tf.Tensor, y_pred: tf.Tensor, weight: tf.Tensor | None) -> tf.Tensor:
        y_true, y_pred = tf.cast(y_true, dtype), tf.cast(y_pred, dtype)
        valid = ~tf.math.is_nan(y_true)
        labels = tf.where(valid, y_true, tf.zeros_like(y_true))
        losses = formula(labels, y_pred)
        if weight is not None:
            losses *= weight
        losses = tf.where(valid, losses, tf.zeros_like(losses))
        return tf.math.divide_no_nan(tf.reduce_sum(losses), tf.reduce_sum(tf.cast(valid, dtype)))

    return loss


def masked_loss(case: Case) -> Loss:
    from masklstm import ops

    def loss(y_true: tf.Tensor, y_pred: tf.Tensor, weight: tf.Tensor | None) -> tf.Tensor:
        return ops.masked_loss(y_true, y_pred, case.loss, weight)

    return loss
