"""What the numbers say, in sentences that are chosen by the numbers."""

import statistics
import textwrap

from bench.tables import markdown
from study_parts.comparison import ERRORS, Comparison, compare_with_masking, judge
from study_parts.design import DROPPED, IMPUTED, MASKED, PATTERNS, Condition
from study_parts.results import Results

_TITLES = {
    **dict(zip(IMPUTED, ("Mean", "Last value", "Linear interpolation"), strict=True)),
    DROPPED: "Windows dropped",
}


def answer(results: Results) -> str:
    """The answer to the title, and what missing labels cost at all."""
    found = [one for error in ERRORS for one in compare_with_masking(results, error)]
    verdicts = judge(_of_imputations(found))
    if verdicts.worse and verdicts.better:
        word = "It depends on the gaps and on the imputation."
    elif verdicts.worse:
        word = "Where there is a difference, yes."
    elif verdicts.better:
        word = "No."
    else:
        word = "No difference can be seen."
    return paragraph(f"**{word}** {_cost(results)}")


def counts(results: Results) -> str:
    """How often masking and imputing have the smaller error, by pattern and kind of error."""
    rows = []
    for pattern in (*PATTERNS, ""):
        for error in ERRORS:
            verdicts = judge(
                [
                    one
                    for one in _of_imputations(compare_with_masking(results, error))
                    if one.condition.pattern == pattern
                ]
            )
            groups = (verdicts.worse, verdicts.better, verdicts.open)
            name = f"labels removed {pattern}" if pattern else "nothing removed"
            rows.append([f"{name}, {error.upper()}", *(str(len(group)) for group in groups)])
    return markdown(
        ["comparisons of three imputations", "masking is better", "imputing is better", "even"],
        rows,
    )


def by_method(results: Results) -> str:
    """A line for each method and pattern, and one for what nothing was removed from."""
    comparisons = compare_with_masking(results)
    lines = []
    for pattern in PATTERNS:
        for method in (*IMPUTED, DROPPED):
            found = [
                one
                for one in comparisons
                if (one.method, one.condition.pattern) == (method, pattern)
            ]
            lines.append(_item(f"{_TITLES[method]}, labels removed {pattern}: {_verdicts(found)}."))
    nothing = [one for one in comparisons if not one.condition.percent]
    verdicts = _verdicts_by_name(nothing)
    return "\n".join([*lines, _item(f"No label removed, the data's own gaps only: {verdicts}.")])


def imputed_labels(results: Results) -> str:
    """How far imputed labels are off where masking wins, where imputing wins, and elsewhere."""
    imputed = [
        one for one in _of_imputations(compare_with_masking(results)) if one.condition.percent
    ]
    verdicts = judge(imputed)
    lines = []
    for group, where in (
        (verdicts.worse, "where masking has the smaller error"),
        (verdicts.better, "where imputing has the smaller error"),
        (verdicts.open, "where they are even"),
    ):
        if group:
            errors = [label_error(results, one.condition, one.method) for one in group]
            lines.append(f"- {where} ({len(group)} of {len(imputed)}): {_span(errors, 0)} µg/m³")
    return "\n".join(lines)


def label_error(results: Results, condition: Condition, method: str) -> float:
    """RMSE of the imputed labels against what was removed, mean over seeds."""
    found = results.of(condition, method).values()
    errors: list[float] = [of_seed["label_rmse"] for of_seed in found]
    return statistics.mean(errors)


def mean_error(results: Results, condition: Condition, method: str) -> float:
    """Test RMSE, mean over seeds."""
    found = results.of(condition, method).values()
    errors: list[float] = [of_seed["rmse"] for of_seed in found]
    return statistics.mean(errors)


def _of_imputations(found: list[Comparison]) -> list[Comparison]:
    return [one for one in found if one.method in IMPUTED]


def _cost(results: Results) -> str:
    """What missing labels cost a masked loss: everything there against the largest share gone."""
    most = max(results.design.percents)
    nothing, *removed = (
        mean_error(results, condition, MASKED)
        for condition in (Condition("", 0), *(Condition(pattern, most) for pattern in PATTERNS))
    )
    errors = " and ".join(
        f"{error:.1f} with {most}% {pattern}"
        for error, pattern in zip(removed, PATTERNS, strict=True)
    )
    return (
        f"With masking, the test RMSE is {nothing:.1f} µg/m³ with no label removed, {errors}; "
        f"that of persistence is {results.run['persistence']['rmse']:.1f}."
    )


def _verdicts(found: list[Comparison]) -> str:
    verdicts = judge(found)
    parts = []
    for group, word in ((verdicts.worse, "worse"), (verdicts.better, "better")):
        if group:
            span = _span([abs(one.difference.mean) for one in group])
            parts.append(f"{word} than masking with {_percents(group)} removed, by {span} µg/m³")
    if verdicts.open:
        parts.append(f"even with {_percents(verdicts.open)}")
    return "; ".join(parts) or "no window is left"


def _verdicts_by_name(found: list[Comparison]) -> str:
    verdicts = judge(found)
    parts = []
    for group, word in ((verdicts.worse, "worse"), (verdicts.better, "better")):
        for one in group:
            by = abs(one.difference.mean)
            parts.append(f"{_TITLES[one.method].lower()} {word} by {by:.1f} µg/m³")
    if verdicts.open:
        parts.append(f"even: {', '.join(_TITLES[one.method].lower() for one in verdicts.open)}")
    return "; ".join(parts)


def _percents(found: list[Comparison]) -> str:
    return ", ".join(str(one.condition.percent) for one in found) + "%"


def _span(values: list[float], decimals: int = 1) -> str:
    low, high = f"{min(values):.{decimals}f}", f"{max(values):.{decimals}f}"
    return low if low == high else f"{low} to {high}"


def paragraph(text: str) -> str:
    """Wrapped as the page is."""
    return textwrap.fill(text, 100, break_long_words=False, break_on_hyphens=False)


def _item(text: str) -> str:
    return textwrap.fill(f"- {text}", 100, subsequent_indent="  ", break_on_hyphens=False)
