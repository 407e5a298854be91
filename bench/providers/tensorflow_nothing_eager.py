"""What TensorFlow takes for one op on one number, and its gradient."""

import tensorflow as tf

from bench.case import Arrays, Case
from bench.providers import Run
from bench.providers.tensorflow_nothing import expected as expected
from bench.providers.tensorflow_nothing import negated

NAME = "one op, eager"
DESCRIPTION = "one number negated eagerly, and its gradient"


def make(case: Case, arrays: Arrays) -> Run:
    function, number = negated(case), tf.constant(1.0)
    return lambda: function(number)
