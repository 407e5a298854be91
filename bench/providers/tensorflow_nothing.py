"""What TensorFlow takes to call a function that computes next to nothing: no loss takes less."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from bench.case import Arrays, Case
from bench.providers import Run

NAME = "empty tf.function"
DESCRIPTION = "a tf.function that negates one number, and its gradient"


def negated(case: Case) -> Callable[[tf.Tensor], tuple[Any, ...]]:
    def run(number: tf.Tensor) -> tuple[Any, ...]:
        if not case.gradient:
            return (-number,)
        with tf.GradientTape() as tape:
            tape.watch(number)
            value = -number
        return value, tape.gradient(value, number)

    return run


def make(case: Case, arrays: Arrays) -> Run:
    function, number = tf.function(negated(case)), tf.constant(1.0)

    def run() -> tuple[Any, ...]:
        results: tuple[Any, ...] = function(number)
        results[0].numpy()
        return results

    return run


def expected(case: Case, arrays: Arrays) -> tuple[float | None, Any]:
    return -1.0, -1.0 if case.gradient else None
