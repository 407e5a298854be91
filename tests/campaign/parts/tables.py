"""CSV files of all dialects: what was written is what is read, or the file is refused."""

import io
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas

from campaign.parts import Disagreement
from masklstm import data

CASES = 4_000
STEPS = ["1h", "1D", "10min", "7D"]


def draw(rng: Any) -> dict[str, Any]:
    separator = str(rng.choice([",", ";", "\t", "|"]))
    return {
        "seed": int(rng.integers(2**32)),
        "rows": int(rng.choice([8, 20, 100, 400])),
        "columns": int(rng.integers(1, 5)),
        "step": str(rng.choice(STEPS)),
        "separator": separator,
        "decimal": "," if separator != "," and rng.random() < 0.4 else ".",
        "encoding": str(rng.choice(["utf-8", "utf-8", "utf-8-sig", "utf-16"])),
        "line_end": str(rng.choice(["\n", "\r\n"])),
        "comments": int(rng.choice([0, 0, 0, 2])),
        "missing": str(rng.choice(["", "", "NaN", "NA", "-999"])),
        "digits": int(rng.choice([0, 2, 6])),
        "quoted": bool(rng.random() < 0.2),
        "groups": int(rng.choice([0, 0, 2])),
        "dropped": float(rng.choice([0.0, 0.1])),
    }


def table_of(case: dict[str, Any]) -> Any:
    rng = np.random.default_rng(case["seed"])
    names = ["flow", "rain", "Temperatur °C", "x (m³/s)"][: case["columns"]]
    parts = []
    for group in range(max(1, case["groups"])):
        times = pandas.date_range("2019-12-25", periods=case["rows"], freq=case["step"])
        made: dict[str, Any] = {"time": times}
        if case["groups"]:
            made["station"] = f"S{group}"
        for name in names:
            numbers = np.round(10 * rng.normal(size=case["rows"]), case["digits"]) + 0.0
            made[name] = np.where(rng.random(case["rows"]) < 0.2, np.nan, numbers)
        kept = rng.random(case["rows"]) >= case["dropped"]
        kept[[0, -1]] = True
        parts.append(pandas.DataFrame(made)[kept])
    return pandas.concat(parts, ignore_index=True)


def written(case: dict[str, Any], table: Any) -> bytes:
    buffer = io.StringIO()
    table.to_csv(
        buffer,
        index=False,
        sep=case["separator"],
        decimal=case["decimal"],
        na_rep=case["missing"],
        quoting=1 if case["quoted"] else 0,
        lineterminator=case["line_end"],
    )
    notes = "".join(f"# note {n}{case['line_end']}" for n in range(case["comments"]))
    return (notes + buffer.getvalue()).encode(case["encoding"])


def check(case: dict[str, Any]) -> None:
    table = table_of(case)
    options: dict[str, Any] = {"verbose": False}
    if case["missing"] == "-999":
        options["missing"] = -999
    if case["groups"]:
        options["group"] = "station"
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = Path(folder) / "table.csv"
        path.write_bytes(written(case, table))
        found = data.read_table(path, **options)
    if list(found.columns) != list(table.columns):
        raise Disagreement(f"columns {list(found.columns)} instead of {list(table.columns)}")
    if len(found) != len(table):
        raise Disagreement(f"{len(found)} rows instead of {len(table)}")
    for name in table.columns:
        own, other = found[name], table[name]
        if name == "time":
            same = (own.to_numpy() == other.to_numpy().astype(own.dtype)).all()
        elif name == "station":
            same = (own.astype(str).to_numpy() == other.to_numpy()).all()
        else:
            same = np.allclose(own.to_numpy(float), other, rtol=1e-14, atol=0, equal_nan=True)
        if not same:
            raise Disagreement(f"column {name!r} is another one: {own.head(3).tolist()}")


def smaller(case: dict[str, Any]) -> Iterator[dict[str, Any]]:
    plain = {
        "rows": 8,
        "columns": 1,
        "step": "1h",
        "separator": ",",
        "decimal": ".",
        "encoding": "utf-8",
        "line_end": "\n",
        "comments": 0,
        "missing": "",
        "digits": 2,
        "quoted": False,
        "groups": 0,
        "dropped": 0.0,
    }
    for name, value in plain.items():
        if case[name] != value and not (name == "separator" and case["decimal"] == ","):
            yield {**case, name: value}


def program(case: dict[str, Any]) -> str:
    return f"""# in tests/
from campaign.parts import tables

case = {case!r}
print(tables.written(case, tables.table_of(case)).decode(case["encoding"])[:2000])
tables.check(case)
"""
