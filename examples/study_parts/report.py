"""The page: every figure on it is one of the results, every verdict follows from them."""

import math
import statistics
from collections.abc import Callable

from bench.tables import markdown
from masklstm.commands.demo.intervals import Interval, interval
from study_parts import conclusions
from study_parts.comparison import compare_with_masking
from study_parts.design import DROPPED, IMPUTED, MASKED, METHODS, Condition
from study_parts.results import Results

TEXT = """\
# Does masking beat imputing?

{answer}

{counts}

Better and worse mean that the 95% interval of the difference, paired by seed, excludes 0. By chance
it does so once in 20 times. Even means that it contains 0. By RMSE:

{by_method}

![Test error over the share of removed labels](study.png)

The same LSTM forecasts hourly PM2.5 in Beijing {horizon} hours ahead. More and more of the labels
it learns from are removed. There are five ways to deal with the gaps:

- **{masked}:** the loss skips them (`masklstm.losses.MeanSquaredError`).
- **mean, last value, linear:** they are imputed in the hourly series from the remaining training
  labels: by their mean, by the last one before the gap, or by a straight line from the last one
  before to the first one after it. The loss is Keras's own.
- **{dropped}:** only windows without any gap are trained on. The loss is Keras's own.

## Test error

RMSE in µg/m³ over all observed labels of the test part: mean over {seeds} seeds ± 95% interval.

{rmse}

RMSE minus that of masking for the same seed; **bold** where the interval excludes 0.

{rmse_differences}

The same for the mean absolute error; that of persistence is {persistence_mae:.1f}.

{mae}

{mae_differences}

## What the gaps are filled with

How far imputed labels are off, RMSE in µg/m³ against what was removed:

{label_errors}

Sorted by the comparisons of RMSE above, these errors are

{imputed_labels}

A label that is nearly right is one more label; one that is far off teaches something other than
what is to be forecast. Next to forecasts that err by {forecast_error:.0f} µg/m³, small errors of
labels hardly show. That may explain the differences; this study does not test it.

Windows without a gap, of {all_windows:,}, mean over the seeds:

{windows}

## Training time

Seconds for {steps:,} gradient steps, and how many times as long as masking with the same seed and
condition: medians, with the middle half of the ratios in brackets. Each training had one thread,
and other work ran on the same cores, so times vary; where the brackets contain 1, no difference can
be seen.

{times}

## How it was done

- **Data:** [Beijing PM2.5](../masklstm/commands/demo/DATA.md), prepared as in `masklstm demo`: the
  first 60% of the hours train, the next 20% choose the weights, the last 20% test. Inputs are the
  past of PM2.5, the weather and the time.
- **Removed labels** are a share of the observed ones. The data's own gaps come on top; with 0%
  there are no others. At random: single hours. In blocks: of {block_hours} hours, which may touch
  each other. For a given seed, a larger share removes what a smaller one does, and more.
- **The validation part loses labels in the same way,** since a user has no better ones there; all
  methods use the remaining ones as they are. Every {validate_every} steps it is forecast once, and
  the weights with the smallest error are tested.
- **Every method gets the same number of gradient steps,** not of passes: otherwise dropping windows
  would shorten the training too. A step takes {batch_size} windows of {window} hours, which may
  begin at any hour, so that dropping keeps as many as possible. The best weights came after a
  median of {median_step:.0f} steps; in {at_end} of {trainings} trainings they were the last.
- **Paired:** for a given seed the removed labels, the initial weights and, unless windows are
  dropped, the order of the windows are the same for every method.
- **The model** has {units} units and the learning rate {learning_rate}: these gave the smallest
  validation error with windows of {window} hours, masked, with no label removed and with other
  seeds. Longer windows gained less than the seeds differ. Test errors played no part in this.
  `python examples/study.py --tune` repeats the choice.
- **Intervals** are those of Student's t distribution over the seeds.

## What it does not show

- Inputs stay as they are, so that only the labels differ: what was removed as a label is still seen
  as an input later. Values that are missing as both would be another study.
- Labels were removed regardless of their values. Where they are missing because they are high, say,
  masking does not correct for it.
- One series, one split in time, one small model. The intervals describe seeds, not other data: how
  well gaps can be imputed depends on how long they are and how fast the series changes.
- The model was chosen with a masked loss.

## The run

{machine}

The LSTM was {layer}. masklstm's and Keras's have the same weights and numbers, up to rounding:
`python examples/study.py --layers` trains one cell with both: the difference of their test errors,
paired by seed, was 0.000 ± 0.000 in 16 seeds.

`python examples/study.py --out docs --fresh` (`make study`) repeats it; `--quick` does a part of it
in two minutes. `python examples/study.py --out docs --report` writes this page and its picture from
`docs/study.jsonl`.
"""


def page(results: Results) -> str:
    """The page as Markdown."""
    design = results.design
    steps = [
        found["best_step"] for found in results.trainings.values() if found["rmse"] is not None
    ]
    return TEXT.format(
        **vars(design),
        masked=MASKED,
        dropped=DROPPED,
        layer="keras.layers.LSTM" if design.keras_layer else "masklstm.layers.LSTM",
        answer=conclusions.answer(results),
        counts=conclusions.counts(results),
        by_method=conclusions.by_method(results),
        forecast_error=conclusions.mean_error(results, Condition("", 0), MASKED),
        imputed_labels=conclusions.imputed_labels(results),
        rmse=_errors(results, "rmse"),
        mae=_errors(results, "mae"),
        rmse_differences=_differences(results, "rmse"),
        mae_differences=_differences(results, "mae"),
        persistence_mae=results.run["persistence"]["mae"],
        label_errors=_label_errors(results),
        all_windows=_mean_windows(results, design.conditions[0], MASKED),
        windows=_windows(results),
        times=_times(results),
        median_step=statistics.median(steps),
        at_end=sum(step == design.steps for step in steps),
        trainings=len(steps),
        machine=_machine(results),
    )


def _table(
    cell: Callable[[Condition, str], str], conditions: list[Condition], methods: tuple[str, ...]
) -> str:
    """A row for each condition, a column for each method."""
    return markdown(
        ["labels removed", *methods],
        [
            [str(condition), *(cell(condition, method) for method in methods)]
            for condition in conditions
        ],
    )


def _errors(results: Results, error: str) -> str:
    seeds = results.design.seeds

    def cell(condition: Condition, method: str) -> str:
        errors = [found[error] for found in results.of(condition, method).values()]
        if not errors:
            return "no window left"
        few = f" ({len(errors)} of {seeds} seeds)" if len(errors) < seeds else ""
        return _with_interval(interval(errors)) + few

    return _table(cell, results.design.conditions, METHODS)


def _differences(results: Results, error: str) -> str:
    found = {(one.condition, one.method): one for one in compare_with_masking(results, error)}

    def cell(condition: Condition, method: str) -> str:
        if (condition, method) not in found:
            return "no window left"
        one = found[condition, method]
        text = _with_interval(one.difference, sign="+", decimals=2)
        return f"**{text}**" if one.worse or one.better else text

    return _table(cell, results.design.conditions, (*IMPUTED, DROPPED))


def _with_interval(one: Interval, sign: str = "", decimals: int = 1) -> str:
    text = f"{one.mean:{sign}.{decimals}f}"
    return text if math.isnan(one.half_width) else f"{text} ± {one.half_width:.{decimals}f}"


def _label_errors(results: Results) -> str:
    def cell(condition: Condition, method: str) -> str:
        return f"{conclusions.label_error(results, condition, method):.0f}"

    return _table(cell, [one for one in results.design.conditions if one.percent], IMPUTED)


def _windows(results: Results) -> str:
    def cell(condition: Condition, method: str) -> str:
        windows = _mean_windows(results, condition, method)
        return f"{windows:,.{0 if windows >= 10 else 1}f}"

    return _table(cell, results.design.conditions, (DROPPED,))


def _mean_windows(results: Results, condition: Condition, method: str) -> float:
    windows: list[float] = [
        found["windows"]
        for training, found in results.trainings.items()
        if (training.condition, training.method) == (condition, method)
    ]
    return statistics.mean(windows)


def _times(results: Results) -> str:
    rows = []
    for method in METHODS:
        seconds, ratios = [], []
        for condition in results.design.conditions:
            masked = results.of(condition, MASKED)
            for seed, found in results.of(condition, method).items():
                seconds.append(found["seconds"])
                ratios.append(found["seconds"] / masked[seed]["seconds"])
        low, median, high = statistics.quantiles(ratios, n=4)
        rows.append(
            [
                method,
                f"{statistics.median(seconds):.1f}",
                "" if method == MASKED else f"{median:.2f} [{low:.2f}, {high:.2f}]",
            ]
        )
    return markdown(["", "s", "times as long as masking"], rows)


def _machine(results: Results) -> str:
    machine = results.run["machine"]
    return conclusions.paragraph(
        f"{machine['processor']}, {machine['cores']} cores, {machine['instruction_set']}; "
        f"TensorFlow {machine['tensorflow']}, Keras {machine['keras']}, "
        f"NumPy {machine['numpy']}, Python {machine['python']}; begun {machine['date']}; "
        f"{_commits(results)}."
    )


def _commits(results: Results) -> str:
    """Which code trained which seeds: a run can be gone on with, and seeds be added to it."""
    seeds: dict[str, set[int]] = {}
    for training, found in results.trainings.items():
        seeds.setdefault(found["commit"], set()).add(training.seed)
    parts = [
        f"commit {commit} for the seeds {min(of_commit)} to {max(of_commit)}"
        for commit, of_commit in seeds.items()
    ]
    later = ". The later seeds were added when the first ones could be seen"
    return ", ".join(parts) + (later if len(parts) > 1 else "")
