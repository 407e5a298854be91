from bench.case import Arrays, Case
from bench.providers import Run
from bench.providers._tensorflow import eager, where_loss

NAME = "tf.where, eager"
DESCRIPTION = "the same loss in pure TensorFlow, called eagerly"


def make(case: Case, arrays: Arrays) -> Run:
    return eager(case, arrays, where_loss(case))
