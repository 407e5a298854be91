"""What the demo prints, and ``result.json``."""

import json
import statistics
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from masklstm._core.terminal import listed, shown
from masklstm.commands.demo.evaluation import Errors, decimals
from masklstm.commands.demo.examples import Series
from masklstm.commands.demo.gaps import GapSummary, summarise
from masklstm.commands.demo.intervals import Interval, interval
from masklstm.commands.demo.options import Settings, Source

if TYPE_CHECKING:
    from masklstm.commands.demo.fan import Fan
    from masklstm.commands.demo.speed import Seconds
    from masklstm.commands.demo.ways import Way


@dataclass(frozen=True)
class Outcome:
    """What came out.

    Attributes:
        ways: Masked and mean-filled, by name.
        plain: The loss of plain Keras after an epoch, and the share of its weights that are NaN.
        persistence: Errors of the forecast that nothing changes.
        fan: Forecasts of distributions.
        speed: Seconds of an epoch.
    """

    ways: "dict[str, Way]"
    plain: tuple[float, float]
    persistence: Errors
    fan: "Fan"
    speed: "Seconds"

    @property
    def difference(self) -> Interval:
        """RMSE of masking minus that of filling, paired by seed."""
        masked, filled = (way.errors for way in self.ways.values())
        return interval([a.rmse - b.rmse for a, b in zip(masked, filled, strict=True)])


def describe_build(build: Mapping[str, Any]) -> str:
    """Which masklstm ran, and on what."""
    return (
        f"masklstm {build['masklstm']}, {build['backend']} op ({build['instruction_set']}; "
        f"CUDA: {build['cuda']}, XLA: {build['xla']}), TensorFlow {build['tensorflow']}"
    )


def describe_data(series: Series, gappy: Series, source: Source, settings: Settings) -> str:
    """What is forecast, from what, and how much of it is missing."""
    rows = series.split.rows
    reasons: dict[str, list[str]] = {}
    for column, reason in series.left_out.items():
        reasons.setdefault(reason, []).append(column)
    lines = [
        f"data      {shown(source.path.name)}, {rows:,} rows; "
        f"target {shown(series.name)}, {settings.horizon} {source.steps} ahead",
        f"inputs    {listed(series.features)}",
        *(f"left out  {listed(columns)}: {reason}" for reason, columns in reasons.items()),
        f"labels    {_describe_gaps(gap_summaries(series)['all'], source)}",
    ]
    training = _describe_gaps(gap_summaries(series)["training"], source)
    if settings.remove:
        lines.append(f"training  {training};")
        removed = summarise(gappy.labels[series.split.parts["training"]].astype(float))
        lines.append(
            f"          {settings.remove:.0%} of the others removed in blocks of "
            f"{settings.block} {source.steps}: {_describe_gaps(removed, source)}"
        )
    else:
        lines.append(f"training  {training}")
    return "\n".join(lines)


def gap_summaries(series: Series) -> dict[str, GapSummary]:
    """The gaps of all rows and of every part."""
    parts = {"all": slice(0, series.split.rows), **series.split.parts}
    return {name: summarise(series.target[rows]) for name, rows in parts.items()}


def _describe_gaps(summary: GapSummary, source: Source) -> str:
    return (
        f"{summary.missing:,} of {summary.labels:,} missing ({summary.share:.1%}); "
        f"gaps: {summary.gaps:,}, longest: {summary.longest:,} {source.steps}"
    )


def describe_errors(series: Series, source: Source, outcome: Outcome, seeds: int) -> str:
    """The three ways beside each other, and what is sure of the difference."""
    summary = gap_summaries(series)["test"]
    places = decimals(series)
    unit = f" in {source.unit}" if source.unit else ""
    of_seeds = f", mean ± standard deviation of {seeds} seeds" if seeds > 1 else ""
    lines = [
        f"Error of {shown(series.name)}{unit} over the {summary.labels - summary.missing:,} "
        f"observed {source.steps} of the test part{of_seeds}",
        _row("", "RMSE", "MAE", ""),
        _row("plain Keras", *_of_plain(outcome)),
    ]
    meanings = {
        "mean-filled": "missing labels become the training mean (Keras)",
        "masked": "missing labels are skipped (masklstm)",
    }
    for name, meaning in meanings.items():
        errors = outcome.ways[name].errors
        rmse, mae = (
            _spread([getattr(error, kind) for error in errors], places) for kind in ("rmse", "mae")
        )
        lines.append(_row(name, rmse, mae, meaning))
    last = outcome.persistence
    rmse, mae = (f"{value:.{places}f}" for value in (last.rmse, last.mae))
    lines += [_row("persistence", rmse, mae, "nothing changes: the last value known"), ""]
    lines.append(_verdict(outcome, places, seeds))
    quantiles = f"between its 5% and 95% quantile lie {outcome.fan.coverage:.0%} of the test labels"
    lines.append(f"distribution forecast (fan in the picture): {quantiles}")
    speed = outcome.speed
    lines.append(
        f"an epoch takes {speed.ours:.2f} s with masklstm.layers.LSTM, {speed.keras:.2f} s with "
        f"keras.layers.LSTM: {speed.ratio:.1f} times as long"
    )
    return "\n".join(lines)


def _of_plain(outcome: Outcome) -> tuple[str, str, str]:
    loss, share = outcome.plain
    if share:
        return "nan", "nan", f"loss {loss} after an epoch, {share:.0%} of the weights NaN"
    return "-", "-", f"no label is missing: loss {loss:.4g} after an epoch"


def _row(name: str, rmse: str, mae: str, meaning: str) -> str:
    return f"{name:12}  {rmse:>14}  {mae:>14}  {meaning}".rstrip()


def _spread(values: list[float], places: int) -> str:
    text = f"{statistics.mean(values):.{places}f}"
    return text if len(values) == 1 else f"{text} ± {statistics.stdev(values):.{places}f}"


def _verdict(outcome: Outcome, places: int, seeds: int) -> str:
    found = outcome.difference
    side = "below" if found.mean < 0 else "above"
    text = f"masked RMSE is {abs(found.mean):.{places}f} {side} that of mean-filled"
    if seeds == 1:
        return f"{text} with one seed, which says little: try --seeds 5"
    sure = "more than chance" if found.below_zero or found.above_zero else "which may be chance"
    return f"{text} (± {found.half_width:.{places}f}: 95% interval, paired by seed): {sure}"


def save_result(
    path: Path,
    build: Mapping[str, Any],
    series: Series,
    source: Source,
    settings: Settings,
    outcome: Outcome,
    seconds: float,
) -> None:
    """Writes every number. ``scales`` and ``inputs`` are what it takes to feed ``model.keras``."""
    trained = {name: way.trained for name, way in outcome.ways.items() if way.trained is not None}
    difference = outcome.difference
    result = {
        "build": dict(build),
        "data": {
            "file": source.path.name,
            "target": series.name,
            "unit": source.unit,
            "inputs": series.features,
            "scales": {column: asdict(scale) for column, scale in series.scales.items()},
            "left_out": series.left_out,
            "labels": {name: asdict(gaps) for name, gaps in gap_summaries(series).items()},
        },
        "settings": asdict(settings),
        "test_errors": {
            **{name: [asdict(e) for e in way.errors] for name, way in outcome.ways.items()},
            "persistence": asdict(outcome.persistence),
        },
        "masked_minus_filled": {
            "rmse": difference.mean,
            "half_width": difference.half_width if settings.seeds > 1 else None,
        },
        "plain_keras": {"weights_that_are_nan": outcome.plain[1]},
        "coverage_of_90_percent": outcome.fan.coverage,
        "seconds_of_an_epoch": {
            "masklstm.layers.LSTM": outcome.speed.ours,
            "keras.layers.LSTM": outcome.speed.keras,
        },
        "validation_rmse": {name: each.validation_rmse for name, each in trained.items()},
        "best_epoch": {name: each.best_epoch for name, each in trained.items()},
        "seconds": round(seconds, 1),
    }
    text = json.dumps(result, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    # Half of a character pair, of which a name may consist, is no UTF-8.
    path.write_text(text, "utf-8", errors="replace")
