"""What bench/fit.py measured, as rows of a table."""

from typing import Any

from bench import measure

OURS, WHERE, KERAS = "masklstm", "tf.where", "Keras, weights"
LAYER = "masklstm's loss and LSTM"


def alone(name: str) -> str:
    """The column of a loss that runs without a model."""
    return f"{name}, loss alone"


def gains(result: dict[str, Any]) -> list[list[str]]:
    """How long a step takes with Keras's LSTM and with masklstm's, masklstm's loss in both."""
    header = ["model", "batch, steps, inputs, units, outputs", "Keras's LSTM, ms", "masklstm's, ms"]
    rows = []
    for model in result["models"]:
        sizes = ("batch", "steps", "inputs", "units", "outputs")
        seconds = measure.median_seconds(model)
        rows.append(
            [
                model["model"]["name"],
                ", ".join(str(model["model"][size]) for size in sizes),
                *(f"{1e3 * seconds[name]:.1f}" for name in (OURS, LAYER)),
                f"{measure.ratio(model, OURS, LAYER).median:.2f}",
            ]
        )
    return [[*header, "times as fast"], *rows]


def table(result: dict[str, Any]) -> list[list[str]]:
    """Times beside those of the step with masklstm's loss, and the loss's share of each step."""
    header = ["model", "batch, steps, units, outputs", "step, ms", WHERE, KERAS, "A/A"]
    return [
        [*header, *(f"share of {name}" for name in (OURS, WHERE, KERAS))],
        *(_row(model) for model in result["models"]),
    ]


def _row(result: dict[str, Any]) -> list[str]:
    model, base = result["model"], OURS
    return [
        model["name"],
        ", ".join(str(model[size]) for size in ("batch", "steps", "units", "outputs")),
        f"{1e3 * measure.median_seconds(result)[base]:.1f}",
        *(f"{measure.ratio(result, name, base).median:.3f}" for name in (WHERE, KERAS, "A/A")),
        *(f"{_share(result, name):.1%}" for name in (OURS, WHERE, KERAS)),
    ]


def _share(result: dict[str, Any], name: str) -> float:
    return measure.ratio(result, alone(name), name).median
