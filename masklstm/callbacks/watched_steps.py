"""Shows the steps of a Keras model to `callbacks.MissingLabels`.

Design:
    A. Keras shows callbacks neither batches nor predictions. What every step calls with all of them
       is `model.compute_loss`, a method that users may override; labels that are inputs go through
       `MaskedLoss.compute_loss`. These are replaced, on the instance, only while a step runs:
       whatever ends the step, the model is as it was.
    B. A step that was traced before would not see the replacement, so the model makes another
       function for steps, once: it is kept on the one that it stands in for, for the next time.
       That one returns when the watching ends.
    C. Several callbacks share the function; those that agree about what is missing, the counts.
"""

from collections.abc import Callable, Iterator, MutableMapping
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import keras
import tensorflow as tf

from masklstm._core.keras_compat import (
    CompiledMetric,
    compiled_metrics,
    given_metrics,
    layers_within,
)
from masklstm._core.missing import standardize_missing
from masklstm._core.workers import have_company
from masklstm.callbacks.label_counts import LabelCounts
from masklstm.layers.masked_loss import MaskedLoss
from masklstm.metrics.base import GapAwareMetric, labels_of_predictions


class Watch:
    """One callback's look at the training steps (`kind="train"`) or the evaluation steps (`"test"`)
    of a model, from `start` to `stop`.

    `run` is the same object for all callbacks of one `fit` or `evaluate`.
    """

    def __init__(
        self, model: keras.Model, kind: str, missing: Any, run: Any, say: Callable[[str, str], None]
    ) -> None:
        self.run = run
        self.say = say
        self._steps = _steps_of(model, kind)
        self.counts = self._steps.counts_of(missing)

    @property
    def places(self) -> dict[str, int]:
        """The outputs and layers whose labels are counted apart, and where in the counts."""
        return self._steps.places

    @property
    def metrics(self) -> list[CompiledMetric]:
        """Those of `compile()` and of each `MaskedLoss`, by their place in `places`."""
        return compiled_metrics(self._steps.model) + self._steps.metrics_of_layers()

    def losses_without_label(self) -> list[str]:
        """Names in the logs of the losses that are of no label at all."""
        return self._steps.losses_without_label(self.counts)

    def start(self) -> None:
        self._steps.start(self)
        self.counts.reset()

    def stop(self) -> None:
        self._steps.stop(self)


class _Steps:
    """The steps of one kind of a model, as it was compiled."""

    def __init__(self, model: keras.Model, kind: str, original: Any) -> None:
        self.model = model
        self.kind = kind
        self._original = original
        self._endpoints = [each for each in layers_within(model) if isinstance(each, MaskedLoss)]
        self._outputs: list[str] = list(getattr(model, "output_names", ["output"]))
        # Without a loss for them labels beside the layers are for metrics alone.
        self._has_outputs = model.loss is not None or not self._endpoints
        self._are_apart = True
        self._counts: dict[str, LabelCounts] = {}
        self._functions: dict[frozenset[int], Callable[[Any], Any]] = {}
        self._watches: list[Watch] = []
        self._logs_of_test: _LogsOfTest | None = None
        # Logs of a step are read by some workers and not by others: none may wait for the rest.
        self._has_company = have_company(model.distribute_strategy)

        def watched(iterator: Any) -> Any:
            return self._run(iterator)

        # mypy knows no attributes of functions.
        watched.unwatched = original  # type: ignore[attr-defined]
        self._watched = watched

    @property
    def places(self) -> dict[str, int]:
        """The outputs and layers whose labels are counted apart, and where in the counts."""
        outputs = self._outputs if self._are_apart else self._outputs[:1]
        places = dict(zip(outputs, range(len(outputs)), strict=True)) if self._has_outputs else {}
        for index, layer in enumerate(self._endpoints, start=len(self._outputs)):
            name = f"{layer.name}_added" if layer.name in places else layer.name
            places[name] = index
        return places

    def metrics_of_layers(self) -> list[CompiledMetric]:
        places = list(self.places.values())
        return [
            CompiledMetric(metric.name, metric, places.index(index), is_weighted=True)
            for index, layer in enumerate(self._endpoints, start=len(self._outputs))
            for metric in layer.label_metrics
        ]

    def counts_of(self, missing: Any) -> LabelCounts:
        key = "" if missing is None else str(standardize_missing(missing))
        if key not in self._counts:
            places = len(self._outputs) + len(self._endpoints)
            self._counts[key] = LabelCounts(self.model.distribute_strategy, places, missing)
        return self._counts[key]

    def losses_without_label(self, counts: LabelCounts) -> list[str]:
        without_label, places = counts.without_label(), self.places
        names = [f"{name}_loss" for name, place in places.items() if without_label[place]]
        if names and counts.have_no_label():
            names.append("loss")
        return names

    def start(self, watch: Watch) -> None:
        # Watches of another run are what an error in some callback has left.
        self._watches = [each for each in self._watches if each.run is watch.run] + [watch]
        self._function = self._watched

    def stop(self, watch: Watch) -> None:
        self._watches = [each for each in self._watches if each is not watch]
        if not self._watches:
            self._restore()
            if self._logs_of_test is not None:  # they stay what they are, whatever comes next
                self._logs_of_test.settle()
                self._logs_of_test = None

    def _restore(self) -> None:
        """The model is as it was; but a step function that somebody made in the meantime stays."""
        if self._function is self._watched:
            self._function = self._original

    @property
    def _function(self) -> Any:
        return getattr(self.model, f"{self.kind}_function")

    @_function.setter
    def _function(self, function: Any) -> None:
        setattr(self.model, f"{self.kind}_function", function)

    def _run(self, iterator: Any) -> Any:
        counts = list({id(watch.counts): watch.counts for watch in self._watches}.values())
        try:
            with self._observed_losses(counts):
                logs = self._made_for(counts)(iterator)
        except (StopIteration, tf.errors.OutOfRangeError):  # the end of the data
            raise
        except BaseException:  # Keras then calls no callback any more
            self._watches = []
            self._restore()
            raise
        if self.kind == "test" and isinstance(logs, dict) and counts and not self._has_company:
            self._logs_of_test = _LogsOfTest(self, logs, counts[0])
            return self._logs_of_test
        return logs

    def _made_for(self, counts: list[LabelCounts]) -> Callable[[Any], Any]:
        key = frozenset(map(id, counts))
        if key not in self._functions:
            current = self._function
            getattr(self.model, f"make_{self.kind}_function")(force=True)
            self._functions[key] = self._function
            self._function = current
        return self._functions[key]

    @contextmanager
    def _observed_losses(self, counts: list[LabelCounts]) -> Iterator[None]:
        with ExitStack() as stack:
            for place, layer in enumerate(self._endpoints, start=len(self._outputs)):
                observed = self._observed_loss_of_layer(layer, place, counts)
                stack.enter_context(_replaced(layer, observed))
            stack.enter_context(_replaced(self.model, self._observed_loss(counts)))
            yield

    def _observed_loss_of_layer(
        self, layer: MaskedLoss, place: int, counts: list[LabelCounts]
    ) -> Callable[..., Any]:
        compute_loss = layer.compute_loss

        def observed(y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
            loss = compute_loss(y_true, y_pred, sample_weight)
            for each in counts:
                each.add(place, y_true, layer.loss, y_pred, sample_weight, is_input=True)
            return loss

        return observed

    def _observed_loss(self, counts: list[LabelCounts]) -> Callable[..., Any]:
        compute_loss = self.model.compute_loss

        def observed(
            x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, **rest: Any
        ) -> Any:
            loss = compute_loss(x, y, y_pred, sample_weight, **rest)
            if y is None and self._endpoints:
                self._look_at_metrics(y_pred)
            labels = self._labels_of_outputs(y, y_pred, sample_weight)
            weights = [variable.value for variable in self.model.trainable_variables]
            scalar = tf.convert_to_tensor(loss)
            for each in counts:
                for place, label in labels if self._has_outputs else ():
                    each.add(place, *label)
                each.end_batch(x, y, y_pred, sample_weight, weights, scalar)
            return loss

        return observed

    def _look_at_metrics(self, y_pred: Any) -> None:
        """Compiled metrics get no labels where these are inputs, but from one `MaskedLoss`."""
        leaves = keras.tree.flatten(y_pred)
        has_labels = len(leaves) == 1 and labels_of_predictions(leaves[0]) is not None
        metrics = given_metrics(self.model)
        if not metrics or (has_labels and all(isinstance(m, GapAwareMetric) for m in metrics)):
            return
        names = (getattr(m, "name", getattr(m, "__name__", str(m))) for m in metrics)
        for watch in self._watches:
            watch.say(
                "metrics without labels",
                "the metrics of compile() get no labels, since these are inputs of the model. "
                "Expected metrics that MaskedLoss updates: MaskedLoss(loss, "
                "metrics=[masklstm.metrics.MeanAbsoluteError()]). Received: "
                f"metrics={', '.join(names)} in compile()",
            )

    def _labels_of_outputs(
        self, y: Any, y_pred: Any, sample_weight: Any
    ) -> list[tuple[int, tuple[Any, Any, Any, Any]]]:
        """For each label its place, and label, loss, prediction and weight."""
        names = self._outputs
        labels = _of_outputs(y, names)
        if labels is None:  # they cannot be told apart: all of them count for the first one
            self._are_apart = False
            return [(0, (label, None, None, None)) for label in keras.tree.flatten(y)]
        if isinstance(y, dict) and not y.keys() <= set(names):
            self._outputs = sorted(y)
        losses = self.model.loss
        nothing: list[Any] = [None] * len(names)
        is_one_for_all = not isinstance(losses, (dict, list, tuple))
        losses = [losses] * len(names) if is_one_for_all else _of_outputs(losses, names) or nothing
        predictions = _of_outputs(y_pred, names) or nothing
        weights = _of_outputs(sample_weight, names)
        if weights is None:  # one for all
            weights = [sample_weight] * len(names)
        each = zip(labels, map(as_loss, losses), predictions, weights, strict=True)
        return list(enumerate(each))


class _LogsOfTest(MutableMapping[str, Any]):
    """The logs of an evaluation step, in which a loss of no label at all is NaN.

    It is no dict: where Keras has one, `evaluate` returns the results of its metrics instead. Up
    to Keras 3.12 `evaluate` itself returns it, so that it can be changed as a dict can.
    """

    def __init__(self, steps: _Steps, logs: dict[str, Any], counts: LabelCounts) -> None:
        self._steps = steps
        self._logs = logs
        self._counts = counts
        self._is_settled = False

    def items(self) -> Any:
        if self._is_settled:
            return self._logs.items()
        logs, model = self._logs, self._steps.model
        # A step has the results of one replica; and where there is one, whatever the step of a
        # user's own says: Keras takes the metrics' if they have the same names.
        if model.distribute_strategy.num_replicas_in_sync > 1 or _has_own_test_step(model):
            results = model.get_metrics_result()
            logs = results if results.keys() == logs.keys() else logs
        names = self._steps.losses_without_label(self._counts)
        return {**logs, **{name: float("nan") for name in names if name in logs}}.items()

    def __getitem__(self, name: str) -> Any:
        return dict(self.items())[name]

    def __setitem__(self, name: str, value: Any) -> None:
        self.settle()
        self._logs[name] = value

    def __delitem__(self, name: str) -> None:
        self.settle()
        del self._logs[name]

    def settle(self) -> None:
        """From now on these are plain numbers in a dict."""
        self._logs = {name: _as_number(value) for name, value in self.items()}
        self._is_settled = True

    def __repr__(self) -> str:
        return repr(dict(self.items()))

    def __iter__(self) -> Iterator[str]:
        return iter(self._logs)

    def __len__(self) -> int:
        return len(self._logs)


def _as_number(value: Any) -> Any:
    with suppress(TypeError, ValueError):  # what a step of a user's own has among its logs
        return float(value)
    return value


def _has_own_test_step(model: keras.Model) -> bool:
    return getattr(model.test_step, "__func__", None) is not keras.Model.test_step


def _steps_of(model: keras.Model, kind: str) -> _Steps:
    """Those that are kept on the model's function, or new ones."""
    function = getattr(model, f"{kind}_function")
    original = getattr(function, "unwatched", function)
    steps = getattr(original, "watched_steps", None)
    if steps is None or steps.model is not model:
        steps = _Steps(model, kind, original)
        with suppress(AttributeError):  # a callable of the user's that takes no attributes
            original.watched_steps = steps
    return steps


@contextmanager
def _replaced(owner: Any, compute_loss: Callable[..., Any]) -> Iterator[None]:
    own = vars(owner)  # past Keras's __setattr__, which would look for layers in it
    before = {name: own[name] for name in ("compute_loss",) if name in own}
    own["compute_loss"] = compute_loss
    try:
        yield
    finally:
        del own["compute_loss"]
        own.update(before)


def as_loss(loss: Any) -> Any:
    """A class as the object that Keras makes of it."""
    return loss() if isinstance(loss, type) and issubclass(loss, keras.losses.Loss) else loss


def losses_of(model: keras.Model) -> list[Any]:
    """Those of `compile()` and of each `MaskedLoss`."""
    compiled = [as_loss(loss) for loss in keras.tree.flatten(model.loss) if loss is not None]
    return compiled + [each.loss for each in layers_within(model) if isinstance(each, MaskedLoss)]


def _of_outputs(structure: Any, names: list[str]) -> list[Any] | None:
    """What a dict, a list or a single entry has for each output; None if it has not one for each.

    As in Keras a dict may lack outputs, and a list has their order.
    """
    if isinstance(structure, dict):
        if structure.keys() <= set(names):
            return [structure.get(name) for name in names]
        entries = [structure[name] for name in sorted(structure)]
    else:
        entries = list(structure) if isinstance(structure, (list, tuple)) else [structure]
    return entries if len(entries) == len(names) else None
