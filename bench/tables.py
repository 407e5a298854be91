"""Results in the terminal."""

from collections.abc import Iterator
from dataclasses import fields
from typing import Any

from rich.console import Console
from rich.table import Table

from bench import measure
from bench.case import Case

NOTE = """\
Medians of paired rounds. In brackets: closer to the first than the method can tell, which is 3% or
twice the error that A/A shows (the first one timed against itself). "void": a wrong result, or a
failure; see below. The intervals are in the file."""


def show(result: dict[str, Any], console: Console) -> None:
    """One table for each kind of experiment: a row for each case, a column for each provider."""
    for kind, experiments in by_kind(result).items():
        for gradient in (False, True):
            of_direction = [
                experiment
                for experiment in experiments
                if experiment["entries"][0]["case"]["gradient"] == gradient
            ]
            if of_direction:
                title = f"{kind}, {'forward and gradient' if gradient else 'forward'}"
                console.print(_comparison(title, of_direction))
    for kind, experiments in by_kind(result, variants=True).items():
        table = _table(f"{kind}: times as long as the first", ["case", "ms", "times as long"])
        varied = _varied([entry for experiment in experiments for entry in experiment["entries"]])
        for experiment in experiments:
            seconds, ratios = measure.median_seconds(experiment), measure.ratios(experiment)
            for number, entry in enumerate(experiment["entries"]):
                cell = _cell(ratios.get(number), entry, ratios.get("A/A"))
                table.add_row(_label(entry, varied), _milliseconds(seconds.get(number)), cell)
            table.add_row("A/A", "", _cell(ratios.get("A/A"), {}, None), end_section=True)
        console.print(table)
    console.print(NOTE, highlight=False)
    for name, reason in result["absent"].items():
        console.print(f"absent: {name} ({reason.splitlines()[0]})", highlight=False)
    for entry in wrong_entries(result):
        text = f"void: {entry['provider']}, {Case(**entry['case'])}: {entry['error']}"
        console.print(text, style="red", highlight=False, soft_wrap=True)


def by_kind(result: dict[str, Any], variants: bool = False) -> dict[str, list[dict[str, Any]]]:
    """Experiments with one case and several providers, or with one provider and several cases."""
    kinds: dict[str, list[dict[str, Any]]] = {}
    for experiment in result["experiments"]:
        cases = {str(entry["case"]) for entry in experiment["entries"]}
        if (len(cases) > 1) == variants:
            kinds.setdefault(experiment["name"].split(":")[0], []).append(experiment)
    return kinds


def wrong_entries(result: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Those whose results were not the right ones, or that failed."""
    for experiment in result["experiments"]:
        for entry in experiment["entries"]:
            if entry["error"] and not entry["error"].startswith("Unsupported"):
                yield entry


MOST_COLUMNS = 6  # of providers; more of them become rows


def _comparison(title: str, experiments: list[dict[str, Any]]) -> Table:
    entries = [entry for experiment in experiments for entry in experiment["entries"]]
    base, *others = dict.fromkeys(entry["provider"] for entry in entries)
    header = ["case", f"{base}, ms", *others, "A/A"]
    varied = _varied(entries, but="gradient")
    rows = [header, *(_row(experiment, others, varied) for experiment in experiments)]
    if len(others) > MOST_COLUMNS:
        rows = [list(column) for column in zip(*rows, strict=True)]
    table = _table(f"{title}: times as long as {base}", rows[0])
    for row in rows[1:]:
        table.add_row(*row)
    return table


def _table(title: str, header: list[str]) -> Table:
    table = Table(title=title, title_justify="left")
    for name in header:
        first = name == header[0]
        table.add_column(name, justify="left" if first else "right", no_wrap=first)
    return table


def _varied(entries: list[dict[str, Any]], but: str = "") -> list[str]:
    """What tells the cases apart: the others' values need not be said in each row."""
    return [
        field.name
        for field in fields(Case)
        if field.name != but and len({str(entry["case"][field.name]) for entry in entries}) > 1
    ]


def _label(entry: dict[str, Any], varied: list[str]) -> str:
    facts = entry["case"]
    words = {
        "elements": f"2^{facts['elements'].bit_length() - 1}",
        "missing_share": f"{facts['missing_share']:.0%} missing",
        "weights": f"weights {facts['weights']}" if facts["weights"] else "no weights",
        "features": f"F = {facts['features']}",
        "gradient": "gradient" if facts["gradient"] else "forward",
        "calls": f"{facts['calls']} calls",
    }
    return ", ".join(words.get(name, str(facts[name])) for name in varied) or str(
        Case(**entry["case"])
    )


def _row(experiment: dict[str, Any], others: list[str], varied: list[str]) -> list[str]:
    entries = experiment["entries"]
    label = _label(entries[0], varied)
    if entries[0]["error"]:
        return [label, "void", *("" for _ in others), ""]
    ratios = measure.ratios(experiment)
    numbers = {entry["provider"]: number for number, entry in enumerate(entries)}
    cells = [_milliseconds(measure.median_seconds(experiment)[0])]
    for name in others:
        number = numbers.get(name)
        if number is None:
            cells.append("")
        else:
            cells.append(_cell(ratios.get(number), entries[number], ratios["A/A"]))
    return [label, *cells, _cell(ratios["A/A"], {}, None)]


def _milliseconds(seconds: float | None) -> str:
    return "" if seconds is None else f"{1e3 * seconds:.3f}"


def _cell(ratio: Any, entry: dict[str, Any], same: Any) -> str:
    if ratio is None:
        error = entry.get("error")
        return "" if not error or error.startswith("Unsupported") else "void"
    text = f"{ratio.median:.2f}"
    return f"({text})" if same is not None and not measure.differs(ratio, same) else text


def markdown(header: list[str], rows: list[list[str]], align: str = "---:") -> str:
    lines = [header, ["---"] + [align] * (len(header) - 1), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
