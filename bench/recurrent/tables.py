"""What `bench.recurrent` measured, as rows of a table."""

from typing import Any

from bench import measure
from bench.recurrent import cases
from bench.recurrent.cases import Case

UNMASKED = "without the mask"  # masklstm's layer, in the same rounds as with it

_LAST_DIGIT = 2.0**-23

_OTHERS = (cases.KERAS, cases.XLA, cases.BLOCK, cases.TORCH, cases.JAX)


def ratio(result: dict[str, Any], name: str) -> float | None:
    """How many times as long a provider takes as masklstm's layer; None if it was not timed."""
    if name not in result["columns"]:
        return None
    return measure.ratio(result, name, cases.OURS).median


def best(result: dict[str, Any]) -> float | None:
    ratios = [found for name in _OTHERS if (found := ratio(result, name)) is not None]
    return min(ratios, default=None)


def share_of_peak(result: dict[str, Any]) -> float | None:
    """Operations per second beside those of a product of square matrices in the same round."""
    if cases.PRODUCT not in result["columns"]:
        return None
    case = Case(**result["case"])
    operations = case.operations * (1 - case.masked)
    of_product = 2.0 * float(result["product_size"]) ** 3
    time_of_product = measure.ratio(result, cases.PRODUCT, cases.OURS).median
    return operations / of_product * time_of_product


def table(result: dict[str, Any]) -> list[list[str]]:
    header = ["case", "ms", *_OTHERS, "bar: Keras", "best", "bar: best", "peak"]
    return [[*header, "A/A", "without TensorFlow"], *(_row(of_case) for of_case in result["cases"])]


def errors(result: dict[str, Any]) -> list[list[str]]:
    """How far results are from those in float64, in units of float32's last digit of 1."""
    names = [cases.OURS, *_OTHERS]
    rows = [
        [
            Case(**of_case["case"]).name,
            *(
                f"{found / _LAST_DIGIT:.1f}" if (found := of_case["errors"].get(name)) else ""
                for name in names
            ),
        ]
        for of_case in result["cases"]
    ]
    return [["case", *names], *rows]


def _row(result: dict[str, Any]) -> list[str]:
    case = Case(**result["case"])
    bar = next((bar for bar in cases.BARS if bar.case == case), None)
    return [
        case.name,
        f"{1e3 * measure.median_seconds(result)[cases.OURS]:.2f}",
        *(_text(ratio(result, name)) for name in _OTHERS),
        _text(bar and bar.keras),
        _text(best(result)),
        _text(bar and bar.best),
        "" if (share := share_of_peak(result)) is None else f"{share:.0%}",
        _text(measure.ratio(result, "A/A", cases.OURS).median),
        _text(ratio(result, cases.KERNELS)),
    ]


def _text(number: float | None) -> str:
    return "" if number is None else f"{number:.2f}"


def line(result: dict[str, Any]) -> str:
    """A case as one line, for a run that is still going on."""
    header, row = table({"cases": [result]})
    found = [f"{name} {text}" for name, text in zip(header[1:], row[1:], strict=True) if text]
    problems = [f"{name}: {text[:80]}" for name, text in result["problems"].items()]
    return "; ".join([f"{row[0]}: " + ", ".join(found), *problems])
