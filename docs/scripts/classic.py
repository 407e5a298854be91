"""Prints docs/classic-*.md, a page for an example, which is run for it.

    python docs/scripts/classic.py masking_layer > docs/classic-masking-layer.md

Of the training the page states only facts, since the last digits differ from machine to machine.
"""

import importlib
import inspect
import sys
from pathlib import Path
from types import ModuleType

sys.path.insert(0, str(Path(__file__).parents[2] / "examples"))

import shared


def page(name: str, outcomes: list[shared.Outcome]) -> str:
    """The page of the example with this name; `outcomes` are what its `run` returned."""
    example = importlib.import_module(name)
    title, text = (inspect.getdoc(example) or "").split("\n", 1)
    blocks = [
        f"# {title}",
        text.strip().replace("docs/why.md", "[why.md](why.md)"),
        f"This page is printed by [classic.py](scripts/classic.py), which runs\n"
        f"[{name}.py](../examples/{name}.py): `python examples/{name}.py` shows the losses.",
        "The data are hourly PM2.5 in Beijing in windows of a day, with the hours as inputs and "
        "the next\nhours as labels, and a small array as both inputs and labels. The model, "
        "which `train` compiles with\nAdam and fits:",
        f"```python\nx = y = np.array({shared.ARRAY})[..., None]\n\n\n{helpers(example)}```",
    ]
    for answer, function in example.ANSWERS.items():
        title = answer.replace("plain", "Plain")
        blocks += [f"## {title}", f"```python\n{inspect.getsource(function)}```"]
    blocks += ["## Outcome", table(outcomes)]
    if hasattr(example, "compare"):
        blocks.append(figures(example.compare(outcomes)))
    return "\n\n".join(blocks) + "\n"


def helpers(example: ModuleType) -> str:
    """Those functions that the answers call and that the page should show."""
    functions = [shared.fill_inputs, example.build_model, getattr(example, "impute", None)]
    return "\n\n".join(inspect.getsource(function) for function in functions if function)


def table(outcomes: list[shared.Outcome]) -> str:
    data = list(dict.fromkeys(outcome.data for outcome in outcomes))
    lines = [f"| | {' | '.join(data)} |", f"| --- |{' --- |' * len(data)}"]
    for answer in dict.fromkeys(outcome.answer for outcome in outcomes):
        cells = [
            f"loss: {outcome.loss}, weights: {outcome.weights}"
            for outcome in outcomes
            if outcome.answer == answer
        ]
        lines.append(f"| {answer} | {' | '.join(cells)} |")
    return "\n".join(lines)


def figures(compared: dict[str, dict[str, float]]) -> str:
    answers = list(next(iter(compared.values())))
    lines = [f"| | {' | '.join(answers)} |", f"| --- |{' ---: |' * len(answers)}"]
    for figure, values in compared.items():
        lines.append(f"| {figure} | {' | '.join(f'{values[name]:.1f}' for name in answers)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    (name,) = sys.argv[1:]
    print(page(name, importlib.import_module(name).run()), end="")
