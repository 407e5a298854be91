"""Ratios of times, and the bars."""

from typing import Any

import numpy as np

from bench import measure

PROVIDERS = ("tf.where", "tf.where, XLA")
BARS = {"tf.where": 3.0, "tf.where, XLA": 1.3}


def rows(results: list[dict[str, Any]]) -> tuple[list[str], list[list[str]]]:
    header = ["loss", "ms", *PROVIDERS, "A/A"]
    table = []
    for result in results:
        milliseconds = 1e3 * float(np.median(np.array(result["seconds"])[:, 0]))
        cells = [
            f"{result['case']}, 2^{result['elements'].bit_length() - 1}",
            f"{milliseconds:.1f}",
        ]
        for column in header[2:]:
            ratio = measure.ratio(result, column, "masklstm")
            cells.append(f"{ratio.median:.2f} [{ratio.low:.2f}, {ratio.high:.2f}]")
        table.append(cells)
    return header, table


def missed(results: list[dict[str, Any]]) -> list[str]:
    """The bars that are not reached."""
    return [
        f"{result['case']}: {measure.ratio(result, name, 'masklstm').median:.2f} of {bar} ({name})"
        for result in results
        for name, bar in BARS.items()
        if measure.ratio(result, name, "masklstm").median < bar
    ]
