from bench.case import Arrays, Case
from bench.providers import Run
from bench.providers._tensorflow import compiled, masked_loss

NAME = "masklstm, XLA"
DESCRIPTION = "masklstm.ops.masked_loss under tf.function(jit_compile=True)"


def make(case: Case, arrays: Arrays) -> Run:
    return compiled(case, arrays, masked_loss(case), jit_compile=True)
