"""The op computes what `masklstm.kernels` does, with the same bits."""

import numpy as np
import pytest
from support.cases import KERNEL_REDUCTIONS, example
from support.native import kernels

from masklstm import ops
from masklstm._core.types import PREDICTION_DTYPES


def test_predictions_are_of_the_same_types_for_tensorflow():
    """In Python and in the op, whose attribute lists them."""
    expected = [name for name, entry in kernels.types().items() if entry["prediction"]]
    assert [dtype.name for dtype in PREDICTION_DTYPES] == expected


@pytest.mark.parametrize("reduction", KERNEL_REDUCTIONS)
def test_equals_the_op(reduction, loss_case, dtype):
    loss, parameters = loss_case
    y_true, y_pred, weight, mask = example(dtype, (200, 6), loss, parameters)
    arguments = {"loss": loss, "sample_weight": weight, "mask": mask, **parameters}
    value, weight_sum, count = kernels.masked_loss(y_true, y_pred, reduction=reduction, **arguments)
    sums = ops.masked_sums(y_true, y_pred, **arguments)
    if reduction == "sum_of_elements":
        assert (value, weight_sum, count) == tuple(x.numpy() for x in sums)
    else:
        expected = ops.masked_loss(y_true, y_pred, reduction=reduction, **arguments)
        np.testing.assert_array_equal(np.asarray(value, dtype), expected)
    assert count == sums.valid_count.numpy()
