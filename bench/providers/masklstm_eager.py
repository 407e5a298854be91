from bench.providers._tensorflow import eager, masked_loss

NAME = "masklstm, eager"
DESCRIPTION = "masklstm.ops.masked_loss, called eagerly"


def make(case, arrays):
    return eager(case, arrays, masked_loss(case))
