import torch

from bench.case import Arrays, Case
from bench.providers import Run
from bench.providers._plain import supports as supports
from bench.providers._torch import bound, loss

NAME = "torch.compile"
DESCRIPTION = "torch.where and sums under torch.compile"


def make(case: Case, arrays: Arrays) -> Run:
    torch.compiler.reset()
    return bound(case, arrays, torch.compile(loss, dynamic=False))
