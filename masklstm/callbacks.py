"""Keras callbacks that watch a training on labels with gaps."""

import math
import warnings
from typing import Any

import keras
import numpy as np

from masklstm import _arguments
from masklstm._loss_bases import GapAwareLoss
from masklstm._watched_steps import Failure, Seen, WatchedSteps

__all__ = ["MissingLabels"]

_Logs = dict[str, Any] | None

# Keras begins with the scale 2^15 and halves it until gradients fit float16, whose largest number
# is below 2^16: gradients of up to 2^8 are none to warn of.
_MUCH = 2**8


class MissingLabels(keras.callbacks.Callback):  # type: ignore[misc]  # Keras has no types
    """Logs the share of the labels that are valid, and warns of what gaps do to a training.

    Formula: `valid_share = valid labels / labels` over the batches of an epoch, where valid are
    those that are not missing and whose Keras mask, if the predictions carry one, is True. It is
    added to the epoch's logs, so that `History`, `TensorBoard`, `CSVLogger` and, with `mode="max"`,
    `EarlyStopping` see it: list it before those, and only once. With validation data there is
    `val_valid_share` too, and for several outputs `<output>_valid_share`.

    It warns, once per `fit`, when

    - the loss or a prediction becomes NaN or infinite: in which batch, and what was not finite
      first: the inputs, the model's weights (a step before had a gradient that was not finite), the
      predictions, the sample weights, or the labels;
    - a metric is NaN while the loss is not: it does not skip missing labels;
    - batches have no label at all: they train nothing, and their loss 0 makes the epoch's mean, or
      the validation's, look better than it is;
    - the loss scale of mixed precision falls to 1/256 or less: without a word Keras skips each step
      whose gradients are not finite, and halves the scale;
    - the model's `train_step` does not call `compute_loss`, so that nothing can be seen.

    The first is looked for after 1, 2, 4, 8, ... batches and at the end of each epoch, the others
    at the end of each epoch: in between nothing waits for the device. The model's steps are traced
    anew when `fit` begins. It may be given to `evaluate` as well, for the warnings. Under
    `tf.distribute` a batch is what one replica gets of it.

    Args:
        missing: A number that means "no label" besides NaN, or `"nonfinite"`. By default it is what
            the model's masklstm loss takes for missing, and NaN for other losses.

    Raises:
        ValueError: For a `missing` that is neither number nor name.

    Example:

    >>> import keras, masklstm, numpy as np
    >>> x = np.ones((4, 2), "float32")
    >>> y = np.array([[1.0], [np.nan], [3.0], [np.nan]], "float32")
    >>> model = keras.Sequential([keras.layers.Dense(1)])
    >>> model.compile("sgd", loss=masklstm.losses.MeanSquaredError())
    >>> watch = masklstm.callbacks.MissingLabels()
    >>> history = model.fit(x, y, epochs=2, verbose=0, callbacks=[watch])
    >>> history.history["valid_share"]
    [0.5, 0.5]

    Source: `keras.callbacks.Callback`.
    """

    def __init__(self, missing: Any = None) -> None:
        super().__init__()
        if missing is not None:
            _arguments.standardize_missing(missing)
        self.missing = missing
        self._training: WatchedSteps | None = None
        self._validation: WatchedSteps | None = None
        self._validation_logs: dict[str, float] = {}
        self._warned: set[str] = set()
        self._epoch = 0
        self._next_look = 0
        self._highest_loss_scale = 0.0

    def on_train_begin(self, logs: _Logs = None) -> None:
        self._stop()  # what an error in another callback may have left
        self._warned.clear()
        self._highest_loss_scale = _loss_scale(self.model.optimizer)
        self._training = WatchedSteps(self.model, "train", self.missing)
        self._training.start()

    def on_epoch_begin(self, epoch: int, logs: _Logs = None) -> None:
        assert self._training is not None
        self._epoch = epoch
        self._next_look = 1
        self._validation_logs = {}
        self._training.reset()

    def on_train_batch_begin(self, batch: int, logs: _Logs = None) -> None:
        # Not on_train_batch_end: with such a hook Keras waits for the device after each batch.
        if batch >= self._next_look and self._training is not None:
            self._next_look = 2 * batch
            self._warn_of_failure("training", self._training.read())

    def on_epoch_end(self, epoch: int, logs: _Logs = None) -> None:
        assert self._training is not None
        seen = self._training.read()
        if logs is not None:
            logs.update(_shares(self._training.outputs, seen))
            logs.update({f"val_{name}": share for name, share in self._validation_logs.items()})
        self._warn_of_failure("training", seen)
        self._warn_of_batches("training", seen)
        self._warn_of_metrics(logs or {}, seen)
        self._warn_of_loss_scale()

    def on_train_end(self, logs: _Logs = None) -> None:
        self._stop()

    def on_test_begin(self, logs: _Logs = None) -> None:
        if self._validation is None:
            if self._training is None:
                self._warned.clear()
            self._validation = WatchedSteps(self.model, "test", self.missing)
            self._validation.start()
        self._validation.reset()

    def on_test_end(self, logs: _Logs = None) -> None:
        assert self._validation is not None
        seen = self._validation.read()
        self._validation_logs = _shares(self._validation.outputs, seen)
        self._warn_of_failure("validation", seen)
        self._warn_of_batches("validation", seen)
        if self._training is None:
            self._stop()

    def _stop(self) -> None:
        for steps in (self._training, self._validation):
            if steps is not None:
                steps.stop()
        self._training = self._validation = None

    def _in_epoch(self) -> str:
        return f" in epoch {self._epoch + 1}" if self._training else ""

    def _warn_once(self, subject: str, text: str) -> None:
        if subject not in self._warned:
            self._warned.add(subject)
            warnings.warn(f"MissingLabels: {text}", stacklevel=2)

    def _warn_of_failure(self, part: str, seen: Seen) -> None:
        if seen.failure.batch:
            losses = keras.tree.flatten(self.model.loss)
            skips_gaps = all(isinstance(loss, GapAwareLoss) for loss in losses)
            self._warn_once(
                "failure",
                f"the loss or predictions are not finite since batch {seen.failure.batch:,} of the "
                f"{part}{self._in_epoch()}. {_explain(seen.failure, skips_gaps)}",
            )

    def _warn_of_batches(self, part: str, seen: Seen) -> None:
        if seen.batches == 0:
            self._warn_once(
                f"nothing seen in {part}",
                f"no batch was seen in the {part}. Expected the model's train_step and test_step "
                "to call compute_loss. Received: a model that does without it, or no data",
            )
        if seen.batches_without_label:
            self._warn_once(
                f"no label in {part}",
                f"{seen.batches_without_label:,} of {seen.batches:,} batches of the {part}"
                f"{self._in_epoch()} have no label at all. They teach nothing, and their loss "
                "is 0, which the mean over the batches counts. Expected a label in each: shuffle, "
                "take larger batches, or leave out windows without a label, which "
                "masklstm.inspect(y).samples_without_label names",
            )

    def _warn_of_metrics(self, logs: dict[str, Any], seen: Seen) -> None:
        has_gaps = np.any(seen.valid < seen.labels) and np.any(seen.valid)
        of_training = {name: value for name, value in logs.items() if not name.startswith("val_")}
        names = [
            name
            for name, value in of_training.items()
            if not name.endswith("valid_share") and np.any(np.isnan(value))
        ]
        if names and has_gaps and not seen.failure.batch:
            self._warn_once(
                "metrics",
                f"{', '.join(names)} came out NaN in epoch {self._epoch + 1}, though the loss and "
                "the predictions are finite. Expected metrics that skip missing labels: "
                "those of masklstm.metrics, whose Masked(metric) is for any other",
            )

    def _warn_of_loss_scale(self) -> None:
        scale = _loss_scale(self.model.optimizer)
        self._highest_loss_scale = max(scale, self._highest_loss_scale)
        if scale <= self._highest_loss_scale / _MUCH:
            skipped = round(math.log2(self._highest_loss_scale / scale))
            self._warn_once(
                "loss scale",
                f"the loss scale fell from {self._highest_loss_scale:g} to {scale:g} by the end of "
                f"epoch {self._epoch + 1}: Keras skipped {skipped} or more steps since their "
                "gradients were not finite. Expected a few such steps when training begins and "
                "then a scale that stays: labels or inputs may be NaN, or the gradients too large",
            )


def _shares(outputs: list[str], seen: Seen) -> dict[str, float]:
    """NaN where no label was seen."""
    counts = {"valid_share": (seen.valid.sum(), seen.labels.sum())}
    if len(outputs) > 1:
        names = [f"{name}_valid_share" for name in outputs]
        counts.update(zip(names, zip(seen.valid, seen.labels, strict=True), strict=True))
    return {
        name: float(valid / labels) if labels else math.nan
        for name, (valid, labels) in counts.items()
    }


def _loss_scale(optimizer: Any) -> float:
    """1 for an optimizer that does not scale."""
    if not isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        return 1.0
    return float(optimizer.dynamic_scale if optimizer.built else optimizer.initial_scale)


def _explain(failure: Failure, skips_gaps: bool) -> str:
    """Where it came from. What comes first in the way of a batch is the cause of the rest."""
    also = ""
    if failure.nan_labels and not skips_gaps:
        also = f" ({failure.nan_labels:,} labels are NaN as well)"
    if failure.predictions:
        if failure.inputs:
            return (
                f"It came from the inputs: {failure.inputs:,} of their values are NaN or infinite "
                f"and make {failure.predictions:,} predictions so{also}. Expected finite inputs: "
                "masklstm.layers.Impute (strategy 'mean' once it is adapted) fills them and tells "
                "the model where they were missing; masklstm.layers.Masking passes over whole steps"
            )
        if failure.model_weights:
            return (
                f"It came from the model's weights: {failure.model_weights:,} are NaN or infinite "
                f"since a step before, whose loss was finite{also}. Expected finite gradients: a "
                "loss that selects its result after it has computed with NaN has the gradient NaN; "
                "else the training diverges: lower the learning rate, or set the optimizer's "
                "clipnorm"
            )
        return (
            f"It came from the predictions: {failure.predictions:,} are NaN or infinite, while "
            f"inputs and weights are finite{also}. Expected finite ones: a layer overflows, takes "
            "the logarithm of 0, or divides by it"
        )
    if failure.sample_weights:
        return (
            f"It came from the sample weights: {failure.sample_weights:,} are NaN or infinite"
            f"{also}. Expected finite ones: 0 leaves a label out"
        )
    if failure.nan_labels and not skips_gaps:
        return (
            f"It came from the labels: {failure.nan_labels:,} are NaN, and NaN times a weight or "
            "mask of 0 is NaN. Expected a loss that skips them, such as "
            "masklstm.losses.MeanSquaredError(). Received: one that is not masklstm's"
        )
    if failure.infinite_labels:
        return (
            f"It came from the labels: {failure.infinite_labels:,} are infinite. Expected finite "
            "ones, or a loss with missing='nonfinite', which skips them"
        )
    return (
        "Inputs, weights, predictions and labels are finite, so it came from the loss: it "
        "overflows, is not defined for these labels, or a regularizer is not finite"
    )
