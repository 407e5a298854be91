from bench.providers._tensorflow import compiled, masked_loss

NAME = "masklstm"
DESCRIPTION = "masklstm.ops.masked_loss under tf.function"


def make(case, arrays):
    return compiled(case, arrays, masked_loss(case))
