"""A loss exists in all of its places or in none: header, list, reference, class, tests, page."""

import inspect
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import test_accuracy
import test_reference
from gpu import formulas

from masklstm import kernels, losses, reference
from masklstm._loss_bases import ElementwiseLoss

ROOT = Path(__file__).parent.parent
HEADERS = ROOT / "csrc" / "losses"
LIST = HEADERS / "losses.h"
PAGE = ROOT / "docs" / "losses.md"
# The tests may run away from the source tree.
needs_sources = pytest.mark.skipif(not LIST.exists(), reason="the sources are not here")


def element_losses(cls):
    return {vars(cls)[key] for key in ("loss", "loss_from_logits") if key in vars(cls)}


def reference_functions():
    """Those of labels and predictions that are not the masked losses themselves."""
    return {
        name
        for name, function in vars(reference).items()
        if inspect.isfunction(function)
        and list(inspect.signature(function).parameters)[:2] == ["y_true", "y_pred"]
        and not name.startswith(("masked_", "_"))
    }


def header_names():
    """For each struct of a loss its name, by the headers."""
    pattern = r"struct (\w+) {\s+static constexpr const char\* kName = \"(\w+)\""
    return dict(re.findall(pattern, "".join(file.read_text() for file in HEADERS.glob("*.h"))))


def listed_names(text):
    """The names of the losses in the list, and of those whose header it includes."""
    names = header_names()
    structs = re.search(r"AllLosses = LossList<([^>]*)>", text)[1]
    return {names[struct] for struct in re.findall(r"\w+", structs)}


def page_rows(text):
    """From the table of losses: names by class."""
    rows = re.findall(r"^\| `(\w+)` \| `(\w+)(?:\(from_logits=True\))?`", text, re.MULTILINE)
    return {(name, cls) for name, cls in rows}


def page_bounds(text):
    """From the table of errors: the losses that have a bound."""
    table = text.split("## How exact")[1].split("\n## ")[0]
    rows = re.findall(r"^\| (`[^|]*) \|", table, re.MULTILINE)
    return {name for row in rows for name in re.findall(r"`(\w+)`", row)}


def places():
    """The names of the losses by place."""
    classes = [cls for cls in vars(losses).values() if inspect.isclass(cls)]
    classes = [cls for cls in classes if issubclass(cls, ElementwiseLoss)]
    found = {
        "native library (make test builds it)": set(kernels.losses()),
        "functions (masklstm/reference.py)": reference_functions(),
        "LOSSES (masklstm/reference.py)": set(reference.LOSSES),
        "Keras classes (masklstm/losses.py)": set().union(*map(element_losses, classes)),
        "__all__ (masklstm/losses.py)": set().union(
            *(element_losses(getattr(losses, name)) for name in losses.__all__)
        ),
        "LITERALS (tests/test_reference.py)": set(test_reference.LITERALS),
        "ULP (tests/test_accuracy.py)": set(test_accuracy.ULP),
        "LOSSES (tests/gpu/formulas.py)": set(formulas.LOSSES),
    }
    if LIST.exists():
        found["headers (csrc/losses/*.h)"] = set(header_names().values())
        found["list (csrc/losses/losses.h)"] = listed_names(LIST.read_text())
    if PAGE.exists():
        found["rows (docs/losses.md)"] = {name for name, _ in page_rows(PAGE.read_text())}
        found["bounds (docs/losses.md)"] = page_bounds(PAGE.read_text())
    return found


def incomplete(found):
    """What each place lacks that another has."""
    every = set().union(*found.values())
    return {place: every - names for place, names in found.items() if names != every}


def test_every_loss_is_in_every_place():
    assert incomplete(places()) == {}


@pytest.mark.parametrize("place", places())
def test_a_loss_missing_in_one_place_is_noticed(place):
    found = places()
    removed = sorted(found[place])[0]
    found[place] = found[place] - {removed}
    assert incomplete(found) == {place: {removed}}


@needs_sources
@pytest.mark.parametrize("loss", kernels.losses())
def test_a_removed_line_is_noticed(loss):
    """Of the texts that are read, the line of a loss is what its name is found in."""
    (struct,) = (struct for struct, name in header_names().items() if name == loss)
    code = re.sub(rf"\b{struct}\b", "", LIST.read_text())
    assert incomplete(places() | {"list": listed_names(code)}) == {"list": {loss}}
    page = re.sub(rf"^\| `{loss}` .*\n", "", PAGE.read_text(), count=1, flags=re.MULTILINE)
    rows = {name for name, _ in page_rows(page)}
    assert incomplete(places() | {"rows": rows}) == {"rows": {loss}}


@needs_sources
def test_the_page_names_the_class_of_each_loss():
    expected = {
        (loss, name) for name in losses.__all__ for loss in element_losses(getattr(losses, name))
    }
    assert page_rows(PAGE.read_text()) == expected


def test_parameters_agree_with_the_reference():
    for name, parameters in kernels.losses().items():
        signature = inspect.signature(reference.LOSSES[name]).parameters
        expected = {p.name: p.default for p in list(signature.values())[2:]}
        assert {p["name"]: p["default"] for p in parameters} == expected
        for p in parameters:
            assert reference.DOMAINS[p["name"]] == p["domain"]


@needs_sources
def test_the_page_names_every_parameter():
    table = PAGE.read_text().split("\n## ")[0]
    rows = {line.split("`")[1]: line for line in table.splitlines() if line.startswith("| `")}
    for name, parameters in kernels.losses().items():
        for parameter in parameters:
            assert f"`{parameter['name']}`" in rows[name].split("|")[-2], name


def test_every_keras_class_has_a_registered_name():
    import keras

    for name in losses.__all__:
        assert keras.saving.get_registered_name(getattr(losses, name)) == f"masklstm>{name}"


@needs_sources
@pytest.mark.skipif(shutil.which("c++") is None, reason="there is no C++ compiler")
@pytest.mark.parametrize("number", [0, 1, 6, 7, 12])
def test_there_is_room_for_every_parameter_of_a_loss(number):
    """The arrays that hold parameters are as long as the list of losses needs them."""
    parameters = ", ".join(f'{{"p{i}", 0.0, Domain::From(0.0)}}' for i in range(number))
    of_mine = (
        f"Parameter kParameters[] = {{{parameters}}}" if number else "NoParameters kParameters{}"
    )
    code = f"""
#include "csrc/core/masked_loss.h"
namespace masklstm {{
namespace {{
struct Mine {{
  static constexpr const char* kName = "mine";
  static constexpr {of_mine};
  explicit Mine(const double*) {{}}
}};
}}  // namespace
static_assert(LossList<SquaredError, Mine>::kMaxParameters == {number});
static_assert(LossList<Mine, SquaredError>::kMaxParameters == {number});
static_assert(kMaxParameters == AllLosses::kMaxParameters);
static_assert(sizeof(MaskedLossInputs::parameters) == kMaxParameters * sizeof(double));
}}  // namespace masklstm
"""
    subprocess.run(
        ["c++", "-std=c++17", "-fsyntax-only", f"-I{ROOT}", "-xc++", "-"],
        input=code,
        check=True,
        text=True,
    )


def test_the_most_parameters_that_a_loss_has_are_computed_with():
    """A loss whose last parameter were written beyond the array would not find it again."""
    name, parameters = max(kernels.losses().items(), key=lambda item: len(item[1]))
    values = {p["name"]: p["default"] for p in parameters}
    last = parameters[-1]["name"]
    found = [
        kernels.masked_loss(np.ones(1), np.zeros(1), name, **values | {last: value})[0]
        for value in (1e-7, 0.25)
    ]
    assert found[0] != found[1]
