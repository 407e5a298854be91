from bench.case import Arrays, Case
from bench.providers import Run
from bench.providers._tensorflow import eager, masked_loss

NAME = "masklstm, eager"
DESCRIPTION = "masklstm.ops.masked_loss, called eagerly"


def make(case: Case, arrays: Arrays) -> Run:
    return eager(case, arrays, masked_loss(case))
