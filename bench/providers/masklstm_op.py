from bench.case import Arrays, Case
from bench.providers import Run
from bench.providers._tensorflow import compiled, masked_loss

NAME = "masklstm"
DESCRIPTION = "masklstm.ops.masked_loss under tf.function"


def make(case: Case, arrays: Arrays) -> Run:
    return compiled(case, arrays, masked_loss(case))
