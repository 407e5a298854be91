from bench.providers._plain import supports as supports
from bench.providers._torch import bound, loss

NAME = "PyTorch"
DESCRIPTION = "torch.where and sums, eager"


def make(case, arrays):
    return bound(case, arrays, loss)
