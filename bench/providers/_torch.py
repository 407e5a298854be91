"""What the PyTorch providers share."""

from collections.abc import Callable
from typing import Any

import torch

from bench.case import Arrays, Case
from bench.providers import Run

Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def loss(y_true: torch.Tensor, y_pred: torch.Tensor) -> torch.Tensor:
    valid = ~torch.isnan(y_true)
    error = torch.where(valid, y_pred - torch.where(valid, y_true, 0.0), 0.0)
    return (error * error).sum() / valid.sum().clamp(min=1)


def bound(case: Case, arrays: Arrays, loss: Loss) -> Run:
    y_true, y_pred = torch.from_numpy(arrays.y_true), torch.from_numpy(arrays.y_pred)
    if not case.gradient:
        return lambda: (loss(y_true, y_pred),)
    y_pred.requires_grad_(True)

    def run() -> tuple[Any, ...]:
        value = loss(y_true, y_pred)
        return value.detach(), *torch.autograd.grad(value, y_pred)

    return run
