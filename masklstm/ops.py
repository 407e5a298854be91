"""Masked losses as functions of tensors, on the native op.

`masked_loss` finds the missing labels, applies mask and weights and reduces the loss in one pass;
its gradient takes one pass as well. With MASKLSTM_BACKEND=reference the same functions are those of
`masklstm.reference`.
"""

from typing import Any

import tensorflow as tf

from masklstm._core.arguments import standardize_tensors
from masklstm._core.backend import ElementLoss, backend
from masklstm._core.reductions import check_balance
from masklstm._core.totals import MaskedSums, Reduction

__all__ = ["MaskedSums", "masked_loss", "masked_sums"]


def masked_loss(
    y_true: Any,
    y_pred: Any,
    loss: str = "squared_error",
    sample_weight: Any = None,
    mask: Any = None,
    reduction: str | None = "mean",
    missing: Any = float("nan"),
    balance: str | None = None,
    normalizer: Any = None,
    **parameters: Any,
) -> tf.Tensor:
    """A loss over the valid elements: those whose label is not missing and whose mask is True.

    With element losses l and weights w (1 when none are given), over the valid elements only:

    | `reduction` | value |
    | --- | --- |
    | `"mean"`, `"sum_over_batch_size"` | sum(w l) / number of valid elements |
    | `"mean_with_sample_weight"` | sum(w l) / sum(w) |
    | `"none"`, `None` | for each row, the mean of w l over the valid entries of the last axis |
    | `"sum"` | the sum of those row means (Keras's definition) |

    Where nothing is valid the loss is 0. An invalid element has loss 0 and gradient 0, whatever its
    prediction and weight hold; a valid element with a NaN prediction gives NaN.

    Args:
        y_true: Labels, shape `(batch, ..., features)`; floating point, integer or bool. NaN means
            missing.
        y_pred: Predictions of the same shape (one trailing axis of length 1 may be missing in
            either); float16, bfloat16, float32 or float64. float64 is computed in float64, all
            others in float32. Labels and predictions are read in the types that they have. A loss
            with channels, such as `"gaussian_nll"`, takes several predictions for each label: shape
            `(*y_true.shape, channels)`, as `masklstm.kernels.descriptions()` names them. It is
            always computed in float64.
        loss: Name of the element loss, such as `"squared_error"`, `"huber"` or
            `"binary_crossentropy_from_logits"`: a key of `masklstm.kernels.losses()`;
            docs/losses.md has their formulas.
        sample_weight: Weights; a scalar, or of a shape whose axes match those of `y_true` from the
            left or are 1. `(batch,)` weighs samples, `(batch, time)` weighs steps.
        mask: Booleans, True = keep; shapes as for `sample_weight`.
        reduction: See above.
        missing: A number that means "no label" in addition to NaN, or `"nonfinite"` for the
            infinities.
        balance: `"sample"`, `"timestep"` or `"feature"` (the first, second or last axis): those
            that have a label count equally, however many gaps they have. A mean is then the mean of
            their means (of w l, or over w for `"mean_with_sample_weight"`), `"sum"` the sum of
            their means. By default every valid element counts equally.
        normalizer: A number above 0, or a scalar tensor, to divide by instead of a mean's divisor
            (with `balance`: instead of the number of groups). Parts of a batch, each divided by the
            count of the whole, add up to its mean, which makes gradient accumulation exact.
        **parameters: The loss's own numbers, such as `delta` for `"huber"` or `quantile` for
            `"pinball"`; `masklstm.kernels.losses()` lists them with defaults and domains.
            `epsilon` is `keras.config.epsilon()` where it is not given.

    Returns:
        A float32 (float64 for float64 predictions) tensor: a scalar, or of shape
        `y_true.shape[:-1]` for `"none"`.

    Raises:
        ValueError: For an invalid shape, name or number.
        TypeError: For a parameter that the loss does not have.
        tf.errors.InvalidArgumentError: For shapes that only turn out not to fit when the op runs.

    Example:

    >>> import masklstm
    >>> loss = masklstm.ops.masked_loss([1.0, float("nan"), 3.0], [2.0, 5.0, 5.0])
    >>> float(loss)
    2.5
    """
    how = Reduction.of(reduction, balance, normalizer)
    element_loss = ElementLoss(loss, parameters)
    channels = backend.num_channels(element_loss)
    tensors = standardize_tensors(y_true, y_pred, sample_weight, mask, missing, channels)
    return backend.masked_loss(tensors, element_loss, how)


def masked_sums(
    y_true: Any,
    y_pred: Any,
    loss: str = "squared_error",
    sample_weight: Any = None,
    mask: Any = None,
    missing: Any = float("nan"),
    balance: str | None = None,
    **parameters: Any,
) -> MaskedSums:
    """The plain sums over the valid elements, from which any other reduction can be built.

    Args:
        y_true, y_pred, loss, sample_weight, mask, missing, **parameters: As for `masked_loss`.
        balance: `"sample"`, `"timestep"` or `"feature"`, for the sums of each one.

    Returns:
        `MaskedSums(loss_sum, weight_sum, valid_count)`: scalars, or with `balance` vectors; the
        sums as float64 and the count as int64. Without weights, `weight_sum` is the count.

    Raises:
        As `masked_loss`.

    Example:

    >>> import masklstm
    >>> sums = masklstm.ops.masked_sums([1.0, float("nan"), 3.0], [2.0, 5.0, 5.0])
    >>> float(sums.loss_sum), float(sums.weight_sum), int(sums.valid_count)
    (5.0, 2.0, 2)
    """
    check_balance(balance)
    element_loss = ElementLoss(loss, parameters)
    channels = backend.num_channels(element_loss)
    tensors = standardize_tensors(y_true, y_pred, sample_weight, mask, missing, channels)
    return backend.masked_sums(tensors, element_loss, balance)
