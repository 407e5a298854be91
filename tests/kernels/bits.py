"""Digests of what the kernels compute, one a line, for comparing two machines.

With --draw it first draws the numbers and writes them into the file, which the other machine reads.
"""

import argparse
import hashlib

import numpy as np
from gpu import channels
from support.cases import LOSSES, example
from support.digests import all_results
from support.native import kernels

SHAPE = (700, 101)


def draw():
    drawn = {}
    for dtype in ("float32", "float64"):
        names = ("y_true", "y_pred", "weight", "mask")
        for name, array in zip(names, example(dtype, SHAPE), strict=True):
            drawn[f"{dtype} {name}"] = array
    rng = np.random.default_rng(7)
    for loss, parameters in channels.with_channels(kernels).items():
        y_true, y_pred = channels.numbers(kernels, loss, parameters, (5000,), rng)
        drawn[f"{loss} y_true"], drawn[f"{loss} y_pred"] = y_true, y_pred
    return drawn


def as_bytes(array):
    """Processors differ in the sign of the NaN that they make, which nothing depends on."""
    copy = np.array(array)
    if np.any(np.isnan(copy)):
        copy[np.isnan(copy)] = np.nan
    return copy.tobytes()


def digests(numbers):
    """A text and a digest for each type of the element-wise losses, and each loss with channels."""
    for dtype in ("float32", "float64"):
        arrays = (numbers[f"{dtype} {name}"] for name in ("y_true", "y_pred", "weight", "mask"))
        yield f"{len(LOSSES)} element-wise losses, {dtype}", all_results(*arrays, as_bytes=as_bytes)
    for loss, parameters in channels.with_channels(kernels).items():
        digest = hashlib.sha256()
        for dtype in ("float32", "float64"):
            t, p = (numbers[f"{loss} {name}"].astype(dtype) for name in ("y_true", "y_pred"))
            single = t[:, None], p[:, None]
            values = kernels.masked_loss(*single, loss, reduction="none", **parameters)[0]
            gradient = kernels.masked_loss_gradient(t, p, loss, **parameters)
            digest.update(as_bytes(values) + as_bytes(gradient))
        yield loss, digest.hexdigest()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("file", help="the numbers, as .npz")
    parser.add_argument("--draw", action="store_true", help="write the file first")
    arguments = parser.parse_args()
    if arguments.draw:
        np.savez(arguments.file, **draw())
    for name, digest in digests(np.load(arguments.file)):
        print(digest[:16], name)
