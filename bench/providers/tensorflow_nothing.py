"""What TensorFlow takes to call a function that computes next to nothing: no loss takes less."""

import tensorflow as tf

NAME = "empty tf.function"
DESCRIPTION = "a tf.function that negates one number, and its gradient"


def negated(case):
    def run(number):
        if not case.gradient:
            return (-number,)
        with tf.GradientTape() as tape:
            tape.watch(number)
            value = -number
        return value, tape.gradient(value, number)

    return run


def make(case, arrays):
    function, number = tf.function(negated(case)), tf.constant(1.0)

    def run():
        results = function(number)
        results[0].numpy()
        return results

    return run


def expected(case, arrays):
    return -1.0, -1.0 if case.gradient else None
