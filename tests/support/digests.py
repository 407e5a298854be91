"""What the kernels compute as a digest, for comparing processors, threads and places in memory."""

import hashlib
from typing import Any

import ml_dtypes  # noqa: F401  # so that NumPy knows bfloat16 by its name
import numpy as np

from support.cases import KERNEL_REDUCTIONS, LOSSES
from support.native import kernels


def all_results(y_true, y_pred, weight, mask, *, threads=1, as_bytes=np.ndarray.tobytes):
    """Every loss and reduction, with and without weights and mask, as bytes."""
    digest = hashlib.sha256()
    row = weight.reshape(-1)[: y_true.shape[-1]].reshape(1, -1)
    uses: tuple[dict[str, Any], ...] = (
        {},
        {"sample_weight": weight},
        {"sample_weight": row, "mask": mask},
    )
    for name, parameters in LOSSES:
        for reduction in KERNEL_REDUCTIONS:
            for use in uses:
                arguments = {"loss": name, "reduction": reduction, "threads": threads}
                arguments |= {**use, **parameters}
                loss, weight_sum, count = kernels.masked_loss(y_true, y_pred, **arguments)
                gradient = kernels.masked_loss_gradient(y_true, y_pred, **arguments)
                for result in (loss, weight_sum, count, gradient):
                    digest.update(as_bytes(np.asarray(result)))
        for balance in ("sample", "timestep", "feature"):
            groups = {"loss": name, "balance": balance, "threads": threads, **parameters}
            for result in kernels.masked_group_sums(y_true, y_pred, sample_weight=weight, **groups):
                digest.update(as_bytes(result))
    for reduction in ("none", "sum"):  # all of it as one row
        flat = y_true.reshape(-1), y_pred.reshape(-1)
        result = kernels.masked_loss(*flat, reduction=reduction, threads=threads)[0]
        gradient = kernels.masked_loss_gradient(*flat, reduction=reduction, threads=threads)
        digest.update(as_bytes(np.asarray(result)) + as_bytes(gradient))
    # Labels and predictions of other types; conversions do not depend on the loss.
    whole = np.where(np.isnan(y_true), 0, y_true).astype("int16")
    for labels, halves in (("bfloat16", "float16"), ("float16", "bfloat16"), ("int16", "float16")):
        y = whole if labels == "int16" else y_true.astype(labels)
        p = y_pred.astype(halves)
        w = weight.astype("float32")
        arguments = {"sample_weight": w, "missing": 0.0, "threads": threads}
        for reduction in KERNEL_REDUCTIONS:
            result = kernels.masked_loss(y, p, reduction=reduction, **arguments)
            gradient = kernels.masked_loss_gradient(y, p, reduction=reduction, **arguments)
            digest.update(as_bytes(np.asarray(result[0])) + as_bytes(gradient))
    return digest.hexdigest()
