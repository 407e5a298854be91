from bench.providers._tensorflow import compiled, where_loss

NAME = "tf.where"
DESCRIPTION = "the same loss in pure TensorFlow, under tf.function"


def make(case, arrays):
    return compiled(case, arrays, where_loss(case))
