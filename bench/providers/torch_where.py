from bench.providers._plain import supports  # noqa: F401
from bench.providers._torch import bound, loss

NAME = "PyTorch"
DESCRIPTION = "torch.where and sums, eager"


def make(case, arrays):
    return bound(case, arrays, loss)
