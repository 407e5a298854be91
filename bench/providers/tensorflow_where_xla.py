from bench.case import Arrays, Case
from bench.providers import Run
from bench.providers._tensorflow import compiled, where_loss

NAME = "tf.where, XLA"
DESCRIPTION = "the same loss in pure TensorFlow, under tf.function(jit_compile=True)"


def make(case: Case, arrays: Arrays) -> Run:
    return compiled(case, arrays, where_loss(case), jit_compile=True)
