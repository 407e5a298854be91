"""Writes the table of docs/wheels.md that says what was tested where.

    python docs/scripts/tested.py                        # the table, from docs/tested.jsonl
    python docs/scripts/tested.py add PACKAGE RESULTS    # first adds this environment's results
    python docs/scripts/tested.py add-arm PYTHON NUMPY RESULTS

scripts/test_minor.sh --record calls the second form, scripts/test_aarch64.sh --record the third.
RESULTS is pytest's --junitxml, PACKAGE what provides TensorFlow, PYTHON and NUMPY are versions.
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
    names = ("tensorflow", "python", "keras")
    minors = ([int(n) for n in row[name].split(".")[:2] if n] for name in names)
    return (row["machine"] != "x86_64", not row["native"], *map(tuple, minors), row["package"])


def result_of(results: Path) -> Row:
    """What a row says of the tests."""
    (suite,) = ElementTree.parse(results).getroot().iter("testsuite")
    number = {name: int(suite.attrib[name]) for name in ("tests", "skipped", "failures", "errors")}
    failed = number["failures"] + number["errors"]
    commit = subprocess.run(
        ["git", "-C", str(DOCS), "rev-parse", "--short", "HEAD"],
        check=True,
        capture_output=True,
        text=True,
    )
    return {
        "passed": number["tests"] - number["skipped"] - failed,
        "skipped": number["skipped"],
        "failed": failed,
        "date": date.today().isoformat(),
        "commit": commit.stdout.strip(),
    }


def row_of_this_environment(package: str, results: Path) -> Row:
    # TensorFlow is imported here alone: the table does without.
    import masklstm
    from masklstm._core import library

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
        **result_of(results),
    }


def row_of_arm(python: str, numpy: str, results: Path) -> Row:
    """The kernels alone, in an emulator."""
    return {
        "tensorflow": "",
        "package": "none: the kernels alone",
        "python": python,
        "keras": "",
        "numpy": numpy,
        "machine": "aarch64",
        "native": True,
        "xla": False,
        "instruction_set": "baseline",
        **result_of(results),
    }


def add(row: Row) -> None:
    rows = {what_was_tested(each): each for each in read_rows()} if RESULTS.exists() else {}
    rows[what_was_tested(row)] = row
    lines = (json.dumps(rows[key]) + "\n" for key in sorted(rows))
    RESULTS.write_text("".join(lines))


def table(rows: list[Row]) -> str:
    lines = [
        "| TensorFlow | package | Python | Keras | NumPy | machine | masklstm | XLA | passed | "
        "skipped | failed | date | commit |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | ---: | ---: | ---: | --- | --- |",
    ]
    for row in rows:
        cells = [
            *(row[n] for n in ("tensorflow", "package", "python", "keras", "numpy", "machine")),
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
    if sys.argv[1:2] == ["add"]:
        add(row_of_this_environment(sys.argv[2], Path(sys.argv[3])))
    elif sys.argv[1:2] == ["add-arm"]:
        add(row_of_arm(sys.argv[2], sys.argv[3], Path(sys.argv[4])))
    write_table()
