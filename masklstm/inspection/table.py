"""The table of `masklstm.inspect`, as blocks of lines."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from masklstm._core.terminal import counted, shown, time_text

if TYPE_CHECKING:
    from masklstm.inspection.numbers import Inspection

_LINES = 8
"""So many features are listed, those with the most missing first, and so many gaps."""


def summary(found: Inspection, lengths: dict[str, int]) -> list[str]:
    """What there is of all labels; `lengths` of the axes by their names."""
    axes = [counted(length, name) for name, length in lengths.items() if length > 1]
    total = f" = {found.labels:,}" if len(axes) > 1 else ""
    rows = [
        ("labels", f"{' x '.join(axes) or '1'}{total}"),
        ("missing", f"{found.missing:,} ({percent(found.share)})"),
    ]
    if lengths["step"] > 1:
        gaps = found.gap_lengths
        longest = f"; the longest is {counted(int(gaps.max()), 'step')} long" if len(gaps) else ""
        rows.append(("gaps", f"{len(gaps):,}{longest}"))
    if lengths["sample"] > 1:
        without = len(found.samples_without_label)
        rows.append(("no label", f"{without:,} of {counted(lengths['sample'], 'sample')}"))
    if len(axes) > 1:
        shares = {"sample": found.share_by_sample, "step": found.share_by_timestep}
        rows += [(f"by {name}", _range(name, shares[name])) for name in shares if lengths[name] > 1]
    for number, count in itertools.islice(found.suspects.items(), _LINES):
        rows.append(("suspect", f"{number} occurs {count:,} times: missing={number}?"))
    width = max(len(name) for name, _ in rows)
    return [f"{name:{width}}  {text}" for name, text in rows]


def features(found: Inspection) -> list[str]:
    """A line for each feature."""
    order = np.argsort(-found.share_by_feature, kind="stable")[:_LINES]
    labels = found.labels // len(found.features)
    rows = [["feature", "missing", "share", "longest gap"]]
    for index in order:
        share = found.share_by_feature[index]
        longest = found.longest_gap_by_feature[index]
        rows.append(
            [shown(found.features[index]), f"{share * labels:,.0f}", percent(share), f"{longest:,}"]
        )
    width = max(len(row[0]) for row in rows)  # names begin on the left
    lines = _aligned([[row[0].ljust(width), *row[1:]] for row in rows])
    rest = len(found.features) - len(order)
    return [*lines, f"and {rest:,} more, with no greater share"] if rest else lines


def longest_gaps(found: Inspection, lengths: dict[str, int]) -> list[str]:
    """A line for each of the longest gaps."""
    what = "step" if found.times is None else "time"
    rows = [["length", f"first {what}", f"last {what}", "feature", "sample"]]
    for gap in found.longest_gaps(_LINES):
        ends = gap.start, gap.start + gap.length - 1
        texts = [f"{n:,}" if found.times is None else time_text(found.times[n]) for n in ends]
        rows.append(
            [f"{gap.length:,}", *texts, shown(found.features[gap.feature]), f"{gap.sample:,}"]
        )
    kept = [True, True, True, lengths["feature"] > 1, lengths["sample"] > 1]
    rows = [list(itertools.compress(row, kept)) for row in rows]
    return ["longest gaps", *(f"  {line}" for line in _aligned(rows))]


def percent(share: float) -> str:
    """With one decimal place; only what is exactly none or all is called so."""
    if 0 < share < 0.0005:
        return "<0.1%"
    return ">99.9%" if 0.9995 <= share < 1 else f"{share:.1%}"


def _range(name: str, shares: NDArray[np.float64]) -> str:
    low, high = int(np.argmin(shares)), int(np.argmax(shares))
    least, most = percent(shares[low]), percent(shares[high])
    return f"{least} ({name} {low:,}) to {most} ({name} {high:,}) missing"


def _aligned(rows: list[list[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        for row in rows
    ]
