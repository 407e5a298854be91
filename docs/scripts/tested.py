"""Writes the table of docs/wheels.md that says what was tested where.

    python docs/scripts/tested.py                         # the table, from docs/tested.jsonl
    python docs/scripts/tested.py record PACKAGE RESULTS  # first adds this environment's results

scripts/test_minor.sh --record calls the second form: RESULTS is pytest's --junitxml, PACKAGE what
provides TensorFlow.
"""

import json
import platform
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parents[1]
RESULTS = DOCS / "tested.jsonl"
PAGE = DOCS / "wheels.md"
BEGIN, END = "<!-- docs/scripts/tested.py -->\n", "<!-- end -->\n"

Row = dict[str, Any]


def read_rows() -> list[Row]:
    return [json.loads(line) for line in RESULTS.read_text().splitlines()]


def what_was_tested(row: Row) -> tuple[Any, ...]:
    """Of two rows with the same one the later counts."""
    minors = (tuple(map(int, row[name].split(".")[:2])) for name in ("tensorflow", "python"))
    keras = tuple(map(int, row["keras"].split(".")[:2]))
    return (not row["native"], *minors, keras, row["package"], row["machine"])


def record(package: str, results: Path) -> Row:
    """A row for the environment that this runs in."""
    # TensorFlow is imported here alone: the table does without.
    import masklstm
    from masklstm._core import library

    (suite,) = ElementTree.parse(results).getroot().iter("testsuite")
    number = {name: int(suite.attrib[name]) for name in ("tests", "skipped", "failures", "errors")}
    failed = number["failures"] + number["errors"]
    commit = subprocess.run(
        ["git", "-C", str(DOCS), "rev-parse", "--short", "HEAD"],
        check=True,
        capture_output=True,
        text=True,
    )
    summary = masklstm.build_summary()
    return {
        "tensorflow": summary["tensorflow"],
        "package": package,
        "python": platform.python_version(),
        "keras": summary["keras"],
        "numpy": version("numpy"),
        "machine": platform.machine(),
        "native": summary["backend"] == "native",
        "xla": bool(library.build["xla"]),
        "instruction_set": summary["instruction_set"],
        "passed": number["tests"] - number["skipped"] - failed,
        "skipped": number["skipped"],
        "failed": failed,
        "date": date.today().isoformat(),
        "commit": commit.stdout.strip(),
    }


def add(row: Row) -> None:
    rows = {what_was_tested(each): each for each in read_rows()} if RESULTS.exists() else {}
    rows[what_was_tested(row)] = row
    lines = (json.dumps(rows[key]) + "\n" for key in sorted(rows))
    RESULTS.write_text("".join(lines))


def table(rows: list[Row]) -> str:
    lines = [
        "| TensorFlow | package | Python | Keras | NumPy | masklstm | XLA | passed | skipped | "
        "failed | date | commit |",
        "| --- | --- | --- | --- | --- | --- | --- | ---: | ---: | ---: | --- | --- |",
    ]
    for row in rows:
        cells = [
            *(row[name] for name in ("tensorflow", "package", "python", "keras", "numpy")),
            f"native, {row['instruction_set']}" if row["native"] else "pure",
            {True: "yes", False: "no"}[row["xla"]] if row["native"] else "TensorFlow's",
            *(f"{row[name]:,}" for name in ("passed", "skipped", "failed")),
            row["date"],
            row["commit"],
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


def write_table() -> None:
    text = PAGE.read_text()
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    PAGE.write_text(f"{before}{BEGIN}{table(read_rows())}{END}{after}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["record"]:
        add(record(sys.argv[2], Path(sys.argv[3])))
    write_table()
