"""Windows cut by loops, from the definition in the documentation."""

import numpy as np


def windows(columns, groups, times, step, length, horizons, sequences, skip_unlabelled, duplicates):
    """The windows of all groups, in the order of the groups and of time.

    Args:
        columns: Inputs and targets, lists of columns: `(inputs, targets)`, arrays of rows.
        groups, times: Lists with an entry for each row.
        duplicates: "first", "last" or "mean".

    Returns:
        Lists of inputs, labels and the groups and times of the first label.
    """
    inputs, targets = columns
    found = []
    for group in dict.fromkeys(groups):
        rows: dict[float, list[int]] = {}
        for row, own in enumerate(groups):
            if own == group:
                rows.setdefault(times[row], []).append(row)
        first, last = min(rows), max(rows)
        steps = round((last - first) / step) + 1

        def at(table, place, rows=rows, first=first):
            doubled = rows.get(first + place * step)
            if doubled is None:
                return np.full(table.shape[1], np.nan)
            if duplicates == "mean":
                columns = table[doubled].astype("float64").T
                return [
                    np.mean(x[~np.isnan(x)]) if (~np.isnan(x)).any() else np.nan for x in columns
                ]
            return table[doubled[0 if duplicates == "first" else -1]]

        for start in range(steps):
            if sequences:
                labelled = [start + k + horizons[0] for k in range(length)]
            else:
                labelled = [start + length - 1 + horizon for horizon in horizons]
            if max(labelled[-1], start + length - 1) >= steps:
                break
            x = np.array([at(inputs, start + k) for k in range(length)])
            y = np.array([at(targets, place) for place in labelled])
            if skip_unlabelled and np.isnan(y).all():
                continue
            found.append((x, y, group, first + labelled[0] * step))
    return found
