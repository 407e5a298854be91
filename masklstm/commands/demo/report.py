"""What the demo prints, and ``result.json``."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from masklstm._core.terminal import listed, shown
from masklstm.commands.demo.evaluation import Outcome, decimals
from masklstm.commands.demo.examples import Series
from masklstm.commands.demo.gaps import GapSummary, summarise
from masklstm.commands.demo.options import Settings, Source

_METHODS = {
    "masked": "missing labels are skipped (masklstm)",
    "mean-filled": "missing labels become the training mean (Keras)",
    "persistence": "nothing changes: the last value known",
}


def describe_build(build: Mapping[str, Any]) -> str:
    """Which masklstm ran, and on what."""
    return (
        f"masklstm {build['masklstm']}, {build['backend']} op ({build['instruction_set']}; "
        f"CUDA: {build['cuda']}, XLA: {build['xla']}), TensorFlow {build['tensorflow']}"
    )


def describe_data(series: Series, source: Source, settings: Settings) -> str:
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
        f"training  {_describe_gaps(gap_summaries(series)['training'], source)}",
    ]
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


def describe_errors(series: Series, source: Source, outcome: Outcome) -> str:
    """The table of test errors, and how the masked model stands in it."""
    summary = gap_summaries(series)["test"]
    places = decimals(series)
    unit = f" in {source.unit}" if source.unit else ""
    width = max(map(len, _METHODS))
    lines = [
        f"Error of {shown(series.name)}{unit} over the {summary.labels - summary.missing:,} "
        f"observed {source.steps} of the test part:",
        f"{'':{width}}  {'RMSE':>10}  {'MAE':>10}",
    ]
    for name, meaning in _METHODS.items():
        error = outcome.errors[name]
        lines.append(
            f"{name:{width}}  {error.rmse:10.{places}f}  {error.mae:10.{places}f}  {meaning}"
        )
    masked = outcome.errors["masked"].rmse
    for name in ("persistence", "mean-filled"):
        difference = round(masked - outcome.errors[name].rmse, places)
        side = "below" if difference < 0 else "above"
        amount = f"{abs(difference):.{places}f} {side}" if difference else "the same as"
        lines.append(f"masked RMSE is {amount} that of {name}")
    lines.append(
        "(Another --seed moves both models too: try several before trusting a small difference.)"
    )
    return "\n".join(lines)


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
        "test_errors": {name: asdict(errors) for name, errors in outcome.errors.items()},
        "validation_rmse": outcome.validation_rmse,
        "best_epoch": outcome.best_epoch,
        "seconds": round(seconds, 1),
    }
    text = json.dumps(result, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    # Half of a character pair, of which a name may consist, is no UTF-8.
    path.write_text(text, "utf-8", errors="replace")
