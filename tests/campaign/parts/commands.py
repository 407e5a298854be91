"""The command line on files that are damaged, with arguments of all kinds: numbers or one message.

Undamaged files have their missing labels counted, the steps that are not in them among these.
"""

import contextlib
import io
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

import _masklstm_command
from campaign.parts import Disagreement, tables

CASES = 1_500
SMALL = ["--epochs=1", "--seeds=1", "--units=1", "--window=3", "--horizon=1", "--target=flow"]
OPTIONS = {
    "--target": ["flow", "x", "", "time", "\x1b[31m", "flow "],
    "--time": ["time", "flow", "no,such"],
    "--group": ["flow", "station", "time"],
    "--sep": [",", ";", "", "\n", "ab", "\\t", "((", "(,)|x", ".*"],
    "--decimal": [".", ",", ";", "", "xy"],
    "--encoding": ["utf-8", "latin-1", "no-such", "utf-32", "", "rot13", "hex"],
    "--dayfirst": ["True", "False", "maybe"],
    "--step": ["1h", "1D", "0h", "-1D", "1", "month", "1e400h", "10000000000D"],
    "--duplicates": ["first", "mean", "all"],
    "--missing": ["-999", "nan", "1e400", "", "x" * 1000],
    "--out": ["gaps.png", "gaps.exe", "no/such/gaps.png", ".", ""],
}
OF_THE_DEMO = {
    "--remove": ["0.5", "1", "-1", "nan", "x"],
    "--block": ["3", "0", "1e3", "99999999999999999999"],
    "--horizon": ["2", "0", "-1", "1000000000"],
    "--window": ["2", "0", "10000000000"],
    "--series": ["S0", "x", ""],
    "--seed": ["3", "-1", "99999999999999999999"],
}


def draw(rng: Any) -> dict[str, Any]:
    command = "demo" if rng.random() < 0.03 else "inspect"
    choices = OPTIONS if command == "inspect" else {**OPTIONS, **OF_THE_DEMO}
    names = rng.choice(sorted(choices), int(rng.choice([0, 0, 1, 2, 3])), replace=False)
    return {
        "table": tables.draw(rng),
        "command": command,
        "options": [f"{name}={rng.choice(choices[name])}" for name in names],
        "damage": str(rng.choice([*DAMAGES, "none", "none"])),
        "seed": int(rng.integers(2**32)),
    }


def _changed_bytes(data: bytes, rng: Any) -> bytes:
    changed = bytearray(data)
    for place in rng.integers(0, len(data), int(rng.integers(1, 20))):
        changed[place] = int(rng.integers(256))
    return bytes(changed)


def _mixed_lines(data: bytes, rng: Any) -> bytes:
    lines = data.split(b"\n")
    return b"\n".join(lines[n] for n in rng.integers(0, len(lines), len(lines)))


def _inserted(data: bytes, rng: Any) -> bytes:
    place = int(rng.integers(len(data)))
    what = [b"\0" * 50, b'"', b"\xff\xfe", b"," * 3000, b"9" * 5000, b"\r\r\n", "é".encode()]
    return data[:place] + what[int(rng.integers(len(what)))] + data[place:]


DAMAGES = {
    "none": lambda data, rng: data,
    "cut off": lambda data, rng: data[: int(rng.integers(len(data)))],
    "changed bytes": _changed_bytes,
    "mixed lines": _mixed_lines,
    "inserted": _inserted,
    "no table": lambda data, rng: rng.bytes(int(rng.choice([0, 1, 10, 5000]))),
    "compressed": lambda data, rng: b"\x1f\x8b\x08" + data,
    "a column less": lambda data, rng: re.sub(rb"[,;|\t][^,;|\t\n]*(\r?\n)", rb"\1", data),
}


def printed(case: dict[str, Any]) -> tuple[int, str, str]:
    """The exit status, and what was printed to the output and to the errors."""
    out, errors = io.StringIO(), io.StringIO()
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            file = Path("table.csv.gz" if case["damage"] == "compressed" else "table.csv")
            table = tables.table_of(case["table"])
            written = tables.written(case["table"], table)
            rng = np.random.default_rng(case["seed"])
            file.write_bytes(DAMAGES[case["damage"]](written, rng))
            small = SMALL if case["command"] == "demo" else []
            arguments = [case["command"], f"--csv={file}", *small, *case["options"]]
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(errors):
                try:
                    status = _masklstm_command.main(arguments)
                except SystemExit as error:  # of argparse
                    status = int(error.code or 0)
        finally:
            os.chdir(before)
    return status, out.getvalue(), errors.getvalue()


def check(case: dict[str, Any]) -> None:
    status, out, errors = printed(case)
    if status not in (0, 2):
        raise Disagreement(f"status {status}: {errors[-300:]}")
    if "Traceback" in errors or (status == 2 and not errors.strip()):
        raise Disagreement(f"no message but {errors[-300:]!r}")
    if any(not c.isprintable() and c not in "\n\t\r" for c in out + errors):
        raise Disagreement(f"signs for the terminal: {(out + errors)[-300:]!r}")
    about = case["table"]
    is_plain = case["damage"] == "none" and not case["options"] and not about["groups"]
    if is_plain and case["command"] == "inspect":
        _check_counts(about, status, out, errors)


def _check_counts(about: dict[str, Any], status: int, out: str, errors: str) -> None:
    if about["missing"] == "-999":
        return  # which has to be said
    if status != 0:
        raise Disagreement(f"a table was refused: {errors[-300:]}")
    if about["columns"] == 1:
        steps, observed = about["rows"], int(tables.table_of(about)["flow"].notna().sum())
        found = re.search(r"^missing +([\d,]+)", out, re.M)
        if not found or int(found[1].replace(",", "")) != steps - observed:
            raise Disagreement(f"{steps - observed} are missing, not {found and found[1]}")


def smaller(case: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for place in range(len(case["options"])):
        yield {**case, "options": case["options"][:place] + case["options"][place + 1 :]}
    if case["damage"] != "none":
        yield {**case, "damage": "none"}
    for table in tables.smaller(case["table"]):
        yield {**case, "table": table}


def program(case: dict[str, Any]) -> str:
    return f"""# in tests/
from campaign.parts import commands

case = {case!r}
print(*commands.printed(case), sep="\\n")
commands.check(case)
"""
