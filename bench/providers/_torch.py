"""What the PyTorch providers share."""

import torch


def loss(y_true, y_pred):
    valid = ~torch.isnan(y_true)
    error = torch.where(valid, y_pred - torch.where(valid, y_true, 0.0), 0.0)
    return (error * error).sum() / valid.sum().clamp(min=1)


def bound(case, arrays, loss):
    y_true, y_pred = torch.from_numpy(arrays.y_true), torch.from_numpy(arrays.y_pred)
    if not case.gradient:
        return lambda: (loss(y_true, y_pred),)
    y_pred.requires_grad_(True)

    def run():
        value = loss(y_true, y_pred)
        return value.detach(), *torch.autograd.grad(value, y_pred)

    return run
