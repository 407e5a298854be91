from bench.case import Arrays, Case
from bench.providers import Run
from bench.providers._plain import supports as supports
from bench.providers._torch import bound, loss

NAME = "PyTorch"
DESCRIPTION = "torch.where and sums, eager"


def make(case: Case, arrays: Arrays) -> Run:
    return bound(case, arrays, loss)
