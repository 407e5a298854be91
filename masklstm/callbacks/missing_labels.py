"""`MissingLabels`: what it says of a training, and when."""

import math
import warnings
from typing import Any, NamedTuple

import keras
import numpy as np

from masklstm._core.keras_compat import CompiledMetric
from masklstm._core.missing import standardize_missing
from masklstm.callbacks.forgotten_sentinel import forgotten_sentinel
from masklstm.callbacks.label_counts import Counts, Extremes, Failure, Layout, Seen
from masklstm.callbacks.metric_probe import gaps_of, skips_gaps
from masklstm.callbacks.watched_steps import Watch, losses_of
from masklstm.losses.base import GapAwareLoss
from masklstm.metrics.base import GapAwareMetric

_Logs = dict[str, Any] | None

# Keras begins with the scale 2^15 and halves it until gradients fit float16, whose largest number
# is below 2^16: gradients of up to 2^8 deserve no warning.
_MUCH = 2**8


class MissingLabels(keras.callbacks.Callback):  # type: ignore[misc]  # Keras has no types
    """Logs the share of the labels that are valid, and warns of the harm that gaps can do.

    Formula: `valid_share = valid / all` over the batches of an epoch, where valid is what the loss
    counts: labels, or rows of them for a loss over rows, that are not missing and whose Keras mask,
    if the predictions carry one, is True. For a loss that is not masklstm's, labels are counted.
    The share is added to the epoch's logs, so that `History`, `TensorBoard`, `CSVLogger` and, with
    `mode="max"`, `EarlyStopping` see it: list this callback before them. With validation data there
    is `val_valid_share` too, and for several outputs `<output>_valid_share`. Where labels are
    inputs of the model, it counts what each `layers.MaskedLoss` counts, as `<layer>_valid_share` if
    there are several.

    It warns, once per `fit`, when

    - the loss or a prediction becomes NaN or infinite: in which batch, and what was the first not
      to be finite: the inputs, the model's weights (an earlier step had a gradient that was not
      finite), the predictions, the sample weights, or the labels;
    - a metric does not skip missing labels: it is NaN while the loss is not, or, worse, finite and
      wrong. Keras's metrics and your own are tried on a few labels with and without gaps;
      masklstm's and their subclasses are known to skip them. Where labels are inputs of the model,
      `compile(metrics=...)` gets none;
    - labels lie outside of the support of a likelihood, such as a 0 under `"gamma"`;
    - labels look like a forgotten sentinel: the lowest or highest one is a number such as -999,
      9999, 1e20 or the limit of an integer type, occurs several times and lies far from all others;
      or it is -1 where labels are otherwise not negative and have fractions, or are classes;
    - a loss over rows leaves out most of them, though most labels are there;
    - batches have no label at all: they teach nothing, and their loss of 0 makes the epoch's mean,
      or the validation's, look better than it is;
    - the training or the validation has no label at all. The loss of a validation or an output
      without any is NaN, in the logs of all callbacks and in what `evaluate` returns, so that
      nobody takes 0 for perfect. (Keras's `EarlyStopping` and `ModelCheckpoint` take whatever comes
      first for the best so far, and nothing is better than a NaN: set their first threshold if only
      some validations have labels.) The total loss stays a number if any output has labels. If a
      model's `test_step` returns logs other than Keras's, `evaluate` returns those unchanged;
    - the loss scale of mixed precision falls to 1/256 or less: Keras silently skips each step
      whose gradients are not finite, and halves the scale;
    - the model's `train_step` does not call `compute_loss`, so that nothing can be seen.

    The first is checked after 1, 2, 4, 8, ... batches and at the end of each epoch, the others only
    at the end of each epoch: in between nothing waits for the device. The model's steps are traced
    once more for the first `fit` that is watched, and kept for later ones; several of these
    callbacks share them. `evaluate` takes this callback as well. Under `tf.distribute` a batch is
    one replica's part of it.

    Args:
        missing: A number that means "no label" in addition to NaN, or `"nonfinite"`. By default it
            is that of the model's masklstm loss, and NaN for other losses.

    Raises:
        ValueError: For a `missing` that is neither a number nor `"nonfinite"`.

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
            standardize_missing(missing)
        self.missing = missing
        self._training: Watch | None = None
        self._validation: Watch | None = None
        self._validation_logs: dict[str, float] = {}
        self._warned: set[str] = set()
        self._named_metrics: set[str] = set()
        self._epoch = 0
        self._next_look = 0
        self._highest_loss_scale = 0.0

    def on_train_begin(self, logs: _Logs = None) -> None:
        self._forget_warnings()
        self._highest_loss_scale = _loss_scale(self.model.optimizer)
        self._training = self._watch("train")

    def on_epoch_begin(self, epoch: int, logs: _Logs = None) -> None:
        assert self._training is not None
        self._epoch = epoch
        self._next_look = 1
        self._validation_logs = {}
        self._training.counts.reset()

    def on_train_batch_begin(self, batch: int, logs: _Logs = None) -> None:
        # Not on_train_batch_end: with such a hook Keras waits for the device after each batch.
        if batch >= self._next_look and self._training is not None:
            self._next_look = 2 * batch
            self._warn_of_failure("training", self._training.counts.read())

    def on_epoch_end(self, epoch: int, logs: _Logs = None) -> None:
        assert self._training is not None
        seen = self._training.counts.read()
        if logs is not None:
            logs.update(_shares(self._training.places, seen.counts))
            logs.update({f"val_{name}": value for name, value in self._validation_logs.items()})
        self._warn_of("training", self._training, seen, logs)
        self._warn_of_loss_scale()

    def on_train_end(self, logs: _Logs = None) -> None:
        if self._training is not None:
            self._training.stop()
        self._training = None

    def on_test_begin(self, logs: _Logs = None) -> None:
        if self._training is None:
            self._forget_warnings()
        self._validation = self._watch("test")

    def on_test_end(self, logs: _Logs = None) -> None:
        assert self._validation is not None
        seen = self._validation.counts.read()
        self._validation_logs = _shares(self._validation.places, seen.counts)
        without_label = self._validation.losses_without_label()
        self._validation_logs |= {name: math.nan for name in without_label if name in (logs or {})}
        self._warn_of("validation", self._validation, seen, logs)
        self._validation.stop()
        self._validation = None

    def _watch(self, kind: str) -> Watch:
        # Keras gives the same parameters to all callbacks of a run.
        watch = Watch(self.model, kind, self.missing, self.params, self._warn_once)
        watch.start()
        return watch

    def _in_epoch(self) -> str:
        return f" in epoch {self._epoch + 1}" if self._training else ""

    def _forget_warnings(self) -> None:
        self._warned.clear()
        self._named_metrics.clear()

    def _warn_once(self, subject: str, text: str) -> None:
        if subject not in self._warned:
            self._warned.add(subject)
            warnings.warn(f"MissingLabels: {text}", stacklevel=2)

    def _warn_of(self, part: str, watch: Watch, seen: Seen, logs: _Logs) -> None:
        self._warn_of_failure(part, seen)
        self._warn_of_batches(part, seen)
        places = {
            name: _Place(
                watch.counts.layouts[index], Counts(*(each[index] for each in seen.counts))
            )
            for name, index in watch.places.items()
        }
        for (name, place), index in zip(places.items(), watch.places.values(), strict=True):
            of_output = f" of {name}" if len(places) > 1 else ""
            self._warn_of_no_label(part, of_output, place.counts, seen)
            self._warn_of_rows(part, of_output, place.counts)
            self._warn_of_sentinel(part, of_output, place, seen.lowest[index], seen.highest[index])
            self._warn_of_support(part, of_output, place, seen.lowest[index], seen.highest[index])
        self._warn_of_metrics(part, watch.metrics, places, logs or {}, seen)

    def _warn_of_failure(self, part: str, seen: Seen) -> None:
        if seen.failure.batch:
            losses = losses_of(self.model)
            skips_gaps = bool(losses) and all(isinstance(loss, GapAwareLoss) for loss in losses)
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
        if 0 < seen.batches_without_label < seen.batches:
            replicas = self.model.distribute_strategy.num_replicas_in_sync
            batches, effect = "batches", "They teach nothing, and their loss is 0"
            if replicas > 1:  # a mean is that of all of them, so only a whole step can lack labels
                batches = f"shares that {replicas} replicas have of the batches"
                effect = "A step in which no replica has one teaches nothing, and its loss is 0"
            self._warn_once(
                f"no label in {part}",
                f"{seen.batches_without_label:,} of {seen.batches:,} {batches} of the {part}"
                f"{self._in_epoch()} have no label at all. {effect}, which the mean over the "
                "batches counts. Expected a label in each: shuffle, take larger batches, or leave "
                "out windows without a label, which masklstm.inspect(y).samples_without_label "
                "names",
            )

    def _warn_of_no_label(self, part: str, of_output: str, counts: Counts, seen: Seen) -> None:
        if counts.labels and not counts.there:
            effect = "Nothing is learned from it"
            if part == "validation":
                effect = "Its loss is no figure, and NaN in the logs"
            self._warn_once(
                f"no label{of_output} in {part}",
                f"the {part}{self._in_epoch()} has no label at all{of_output}: "
                f"{counts.labels - counts.there:,} of {counts.labels:,} are missing or masked out, "
                f"in {seen.batches:,} batches. {effect}. Expected labels: masklstm.inspect(y) "
                "shows where they are",
            )

    def _warn_of_rows(self, part: str, of_output: str, counts: Counts) -> None:
        if counts.entries in (0, counts.labels):
            return
        share_of_rows = counts.valid / counts.entries
        share_of_labels = counts.there / counts.labels
        if 2 * share_of_rows < share_of_labels:
            self._warn_once(
                f"rows{of_output}",
                f"only {counts.valid:,} of {counts.entries:,} rows{of_output} of the {part}"
                f"{self._in_epoch()} are complete, while {share_of_labels:.0%} of the labels are "
                "there: the loss leaves out each row that lacks a label. Expected most rows "
                "complete, or a loss that counts each label by itself, such as "
                "masklstm.losses.MeanSquaredError(), or masklstm.losses.Masked with labels and "
                "predictions whose last axis has the length 1 (y[..., None])",
            )

    def _warn_of_sentinel(
        self, part: str, of_output: str, place: "_Place", lowest: Extremes, highest: Extremes
    ) -> None:
        counts, layout = place.counts, place.layout
        if layout is None:
            return
        are_classes = layout.has_class_labels or "crossentropy" in layout.loss.lower()
        number = forgotten_sentinel(
            lowest, highest, bool(counts.fractions), are_classes, int(counts.there)
        )
        if number is not None:
            end = lowest if number == lowest.value else highest
            name = f"{number:g}" if abs(number) >= 1e6 else f"{number:.7g}"
            self._warn_once(
                f"sentinel{of_output}",
                f"{end.times:,} of {counts.labels:,} labels{of_output} of the {part} are {name}, "
                "apart from all others. It looks like a number that means 'no label', and the "
                f"loss takes it for one. Expected NaN in its place, or missing={name} in "
                "masklstm's losses and metrics. (NumPy's masked arrays lose their masks in Keras: "
                "y.filled(numpy.nan))",
            )

    def _warn_of_support(
        self, part: str, of_output: str, place: "_Place", lowest: Extremes, highest: Extremes
    ) -> None:
        support = place.layout and place.layout.support
        if not support:
            return
        outside = [
            f"{extreme.times:,} of them {extreme.value:.7g}"
            for extreme in (lowest, highest)
            if np.isfinite(extreme.value) and not support.holds(extreme.value)
        ]
        if outside:
            self._warn_once(
                f"support{of_output}",
                f"labels{of_output} of the {part} lie outside of the support of {support.of}, "
                f"{support.text}: {' and '.join(dict.fromkeys(outside))}. Their loss is NaN. "
                "Expected a family whose support has all labels, labels that are moved or scaled "
                "into it, or NaN where they are no measurements",
            )

    def _warn_of_metrics(
        self,
        part: str,
        compiled: list[CompiledMetric],
        places: dict[str, "_Place"],
        logs: dict[str, Any],
        seen: Seen,
    ) -> None:
        skipping = {each.name for each in compiled if isinstance(each.metric, GapAwareMetric)}
        for metric in (*(each.metric for each in compiled), *self.model.metrics):
            if isinstance(metric, GapAwareMetric):
                skipping |= {metric.name, *metric.log_names()}
        of_part = {name: value for name, value in logs.items() if not name.startswith("val_")}
        outputs = [*places, *getattr(self.model, "output_names", [])]
        losses = {"loss", *(f"{name}_loss" for name in outputs)}
        nan = [
            name
            for name, value in of_part.items()
            if not name.endswith("valid_share")
            and name not in skipping | losses | self._named_metrics
            and np.any(np.isnan(value))
        ]
        some = any(place.counts.gaps and place.counts.valid for place in places.values())
        if nan and some and not seen.failure.batch:
            self._named_metrics.update(nan)
            self._warn_once(
                f"metrics {nan}",
                f"{', '.join(nan)} came out NaN in {self._of(part)}, though the loss and "
                "the predictions are finite. Expected metrics that skip missing labels: "
                "those of masklstm.metrics, whose Masked(metric) is for any other",
            )
        in_order = list(places.values())
        wrong = [
            each.name
            for each in compiled
            if each.name in of_part
            and each.name not in skipping | self._named_metrics
            and np.all(np.isfinite(of_part[each.name]))
            and each.output < len(in_order)
            and _counts_gaps(each, in_order[each.output])
        ]
        if wrong:
            self._named_metrics.update(wrong)
            self._warn_once(
                f"metrics {wrong}",
                f"{', '.join(wrong)} came out finite in {self._of(part)}, but wrong: a missing "
                "label counts there like any other, in an accuracy as a mistake. Expected metrics "
                "that skip missing labels: those of masklstm.metrics, whose Masked(metric) is for "
                "any other",
            )

    def _of(self, part: str) -> str:
        return f"epoch {self._epoch + 1}" if part == "training" else f"the {part}"

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


class _Place(NamedTuple):
    """What was seen of the labels of one output or layer."""

    layout: Layout | None
    counts: Counts


def _counts_gaps(compiled: CompiledMetric, place: _Place) -> bool:
    """Whether missing labels, if there are any, affect the metric's figure."""
    counts = place.counts
    number = counts.weighted_gaps if compiled.is_weighted else counts.gaps
    gaps = gaps_of(place.layout, counts.gaps, counts.nan)
    return bool(number and not skips_gaps(compiled.metric, place.layout, gaps))


def _shares(places: dict[str, int], counts: Counts) -> dict[str, float]:
    """NaN where no label was seen."""
    shares = {"valid_share": _share(counts.valid.sum(), counts.entries.sum())}
    if len(places) > 1:
        for name, index in places.items():
            shares[f"{name}_valid_share"] = _share(counts.valid[index], counts.entries[index])
    return shares


def _share(valid: Any, entries: Any) -> float:
    return float(valid / entries) if entries else math.nan


def _loss_scale(optimizer: Any) -> float:
    """1 for an optimizer that does not scale."""
    if not isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        return 1.0
    return float(optimizer.dynamic_scale if optimizer.built else optimizer.initial_scale)


def _explain(failure: Failure, skips_gaps: bool) -> str:
    """Where it came from. What comes first on a batch's way is the cause of the rest."""
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
