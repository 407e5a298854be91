"""A loss exists in all of its places or in none: header, list, reference, class, tests, pages.

CONTRIBUTING.md names the places ("Add a loss").
"""

import ast
import inspect
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from campaign import oracle
from gpu import formulas
from support import exact_distributions, native
from support.native import kernels

from masklstm import losses, reference
from ops import test_accuracy, test_reference

ROOT = Path(__file__).parents[2]
HEADERS = ROOT / "csrc" / "losses"
LIST = HEADERS / "losses.h"
PAGE = ROOT / "docs" / "losses.md"
CONTRIBUTING = ROOT / "CONTRIBUTING.md"
PACKAGE = Path(losses.__file__).parents[1]
EVERY = kernels.descriptions()
DESCRIPTIONS = {loss: about for loss, about in EVERY.items() if not about["channels"]}
WITH_CHANNELS = {loss: about for loss, about in EVERY.items() if about["channels"]}
# The tests may run away from the source tree.
CLASSES = ("regression", "classification")
CLASSES_WITH_CHANNELS = ("regression", "likelihoods", "ranked_probability")
needs_sources = pytest.mark.skipif(not LIST.exists(), reason="the sources are not here")


def header_texts():
    return {file.name: file.read_text() for file in HEADERS.glob("*.h")}


def structs(headers):
    """For each struct of a loss its name, by the headers."""
    pattern = r"struct (\w+)(?: : [\w<>]+)? {\s+static constexpr const char\* kName = \"(\w+)\";"
    return dict(re.findall(pattern, "".join(headers.values())))


def structs_of(headers, has_channels):
    """The names of the losses in the headers that have channels, or of those that have none."""
    return {
        name
        for text in headers.values()
        for name in structs({"": text}).values()
        if ("kChannels[]" in text) == has_channels
    }


def listed(text, alias="ElementLosses"):
    """The names of the losses in the list."""
    names = structs(header_texts())
    body = re.search(rf"{alias} = LossList<([^>]*)>", text)[1]
    return {names[struct] for struct in re.findall(r"\w+", body)}


def without_struct(text, loss):
    (struct,) = (struct for struct, name in structs(header_texts()).items() if name == loss)
    return re.sub(rf"\b{struct}\b,?", "", text)


def element_losses(source, decorated="element_loss"):
    """The functions of the reference that are element losses, by its source."""
    return {
        function.name
        for function in ast.parse(source).body
        if isinstance(function, ast.FunctionDef)
        and any(decorated in ast.unparse(decorator) for decorator in function.decorator_list)
    }


def class_losses(source, classes=None):
    """The element losses of Keras classes, all or those of these names, by the source."""
    return {
        statement.value.value
        for cls in ast.parse(source).body
        if isinstance(cls, ast.ClassDef) and (classes is None or cls.name in classes)
        for statement in cls.body
        if isinstance(statement, ast.Assign)
        and statement.targets[0].id in ("loss", "loss_from_logits")
    }


def classes():
    """The source of all Keras classes."""
    return "\n".join((PACKAGE / "losses" / f"{room}.py").read_text() for room in CLASSES)


def public_losses(source):
    """Those of the classes that the package imports and lists."""
    body = ast.parse(source).body
    (names,) = (
        ast.literal_eval(statement.value)
        for statement in body
        if isinstance(statement, ast.Assign)
        and getattr(statement.targets[0], "id", "") == "__all__"
    )
    imported = {
        alias.name for node in body if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    return class_losses(classes(), imported.intersection(names))


def without_public_class(source, loss):
    (name,) = (
        cls.name
        for cls in ast.parse(classes()).body
        if isinstance(cls, ast.ClassDef) and loss in class_losses(ast.unparse(cls))
    )
    return source.replace(f'    "{name}",\n', "", 1)


def without_function(source, loss):
    return re.sub(rf"^(@element_loss\([^@]*?\)\n)(?=def {loss}\()", "", source, flags=re.M)


def page_rows(text):
    """From the table of losses: names by class."""
    table = text.split("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \| `(\w+)(?:\(from_logits=True\))?`", table, re.MULTILINE)
    return {(name, cls) for name, cls in rows}


def page_bounds(text):
    """From the table of errors: the bound of each loss."""
    table = text.split("## How exact")[1].split("\n## ")[0]
    rows = re.findall(r"^\| (`[^|]*) \| ([\d.]+) \|", table, re.MULTILINE)
    return {name: float(bound) for row, bound in rows for name in re.findall(r"`(\w+)`", row)}


class Place(NamedTuple):
    """Where losses are entered: what to read, the names in it, and what it is without one."""

    read: Callable[[], Any]
    names: Callable[[Any], set[str]]
    without: Callable[[Any, str], Any]


def of_dict(entries):
    return Place(lambda: entries, set, lambda e, loss: {k: v for k, v in e.items() if k != loss})


PLACES = {
    "csrc/losses/<loss>.h": Place(
        header_texts,
        lambda headers: structs_of(headers, has_channels=False),
        lambda headers, loss: {k: v for k, v in headers.items() if k != f"{loss}.h"},
    ),
    "csrc/losses/losses.h": Place(LIST.read_text, listed, without_struct),
    "masklstm/reference/elements.py": Place(
        (PACKAGE / "reference" / "elements.py").read_text, element_losses, without_function
    ),
    "masklstm/losses/regression.py": Place(
        classes,
        class_losses,
        lambda source, loss: re.sub(rf'^    loss\w* = "{loss}"$', "", source, flags=re.M),
    ),
    "masklstm/losses/__init__.py": Place(
        (PACKAGE / "losses" / "__init__.py").read_text, public_losses, without_public_class
    ),
    "tests/ops/test_reference.py": of_dict(test_reference.POINTS),
    "tests/ops/test_accuracy.py": of_dict(test_accuracy.EXACT),
    "tests/gpu/formulas.py": of_dict(formulas.LOSSES),
    "docs/losses.md": Place(
        PAGE.read_text,
        lambda text: {name for name, _ in page_rows(text)},
        lambda text, loss: re.sub(rf"^\| `{loss}` .*\n", "", text, count=1, flags=re.M),
    ),
    "How exact": Place(
        PAGE.read_text,
        lambda text: set(page_bounds(text)),
        lambda text, loss: re.sub(
            rf"^(\| .*)`{loss}`(?:, )?(.*\| [\d.]+ \|)$", r"\1\2", text, flags=re.M
        ),
    ),
}


def text_of(struct):
    """What a header has between a struct's beginning and the next one's."""
    return rf"struct {struct}\b.*?(?=\nstruct |\Z)"


def without_header(headers, loss):
    """A header may have several losses."""
    (struct,) = (struct for struct, name in structs(headers).items() if name == loss)
    return {
        file: re.sub(text_of(struct), "", text, flags=re.S) if f'"{loss}"' in text else text
        for file, text in headers.items()
    }


def sources_with_channels():
    return "\n".join(
        (PACKAGE / "losses" / f"{room}.py").read_text() for room in CLASSES_WITH_CHANNELS
    )


def losses_of_sources(source):
    """The losses with channels that the classes name, in a dict or as an attribute."""
    texts = {node.value for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Constant)}
    return texts & set(reference.CHANNELS)


PLACES_WITH_CHANNELS = {
    "csrc/losses/<loss>.h": Place(
        header_texts, lambda headers: structs_of(headers, has_channels=True), without_header
    ),
    "csrc/losses/losses.h": Place(
        LIST.read_text, lambda text: listed(text, "LossesWithChannels"), without_struct
    ),
    "masklstm/reference/channels.py": Place(
        (PACKAGE / "reference" / "channels.py").read_text,
        lambda source: element_losses(source, "loss_with_channels"),
        lambda source, loss: re.sub(
            rf"^@loss_with_channels\([^@]*?\)\n(?=def {loss}\()", "", source, flags=re.M
        ),
    ),
    "masklstm/losses/likelihoods.py": Place(
        sources_with_channels,
        losses_of_sources,
        lambda source, loss: source.replace(f'"{loss}"', '"other"'),
    ),
    "tests/support/exact_distributions.py": of_dict(exact_distributions.EXACT),
    "tests/campaign/oracle.py": of_dict(
        {name: of for name, of in vars(oracle).items() if name in WITH_CHANNELS}
    ),
    "docs/losses.md": Place(
        PAGE.read_text,
        lambda text: set(re.findall(r"^\| `(\w+)` ", channel_table(text), re.M)),
        lambda text, loss: re.sub(rf"^\| `{loss}` .*\n", "", text, count=1, flags=re.M),
    ),
}


def channel_table(text):
    return text.split("## Several predictions for each label")[1].split("\n## ")[0]


def found_losses(changed=None, places=PLACES, built=DESCRIPTIONS):
    """The names by place; `changed` is what to take for what a place reads."""
    sources = {place: places[place].read() for place in places} | (changed or {})
    found = {place: places[place].names(source) for place, source in sources.items()}
    return found | {"the build (make test builds it)": set(built)}


def found_with_channels(changed=None):
    return found_losses(changed, PLACES_WITH_CHANNELS, WITH_CHANNELS)


def incomplete(found):
    """What each place lacks that another has."""
    every = set().union(*found.values())
    return {place: every - names for place, names in found.items() if names != every}


@needs_sources
def test_every_loss_is_in_every_place():
    assert incomplete(found_losses()) == {}


@needs_sources
@pytest.mark.parametrize("loss", DESCRIPTIONS)
@pytest.mark.parametrize("place", PLACES)
def test_a_loss_left_out_of_a_place_is_noticed(place, loss):
    """By what the place would be without it."""
    source = PLACES[place].read()
    without = PLACES[place].without(source, loss)
    assert without != source
    if place == "masklstm/losses/__init__.py":  # the class may have a second loss, for logits
        assert loss in incomplete(found_losses({place: without}))[place]
        return
    assert incomplete(found_losses({place: without})) == {place: {loss}}


@needs_sources
def test_every_loss_with_channels_is_in_every_place():
    assert incomplete(found_with_channels()) == {}


@needs_sources
@pytest.mark.parametrize("place", PLACES_WITH_CHANNELS)
def test_a_loss_with_channels_left_out_of_a_place_is_noticed(place):
    source = PLACES_WITH_CHANNELS[place].read()
    for loss in WITH_CHANNELS:
        without = PLACES_WITH_CHANNELS[place].without(source, loss)
        assert without != source
        assert incomplete(found_with_channels({place: without})) == {place: {loss}}


@needs_sources
@pytest.mark.parametrize(
    ("title", "places"),
    [("Add a loss", PLACES), ("Add a loss of several predictions", PLACES_WITH_CHANNELS)],
)
def test_the_guide_names_every_place(title, places):
    """CONTRIBUTING.md has a numbered step for each, and no others."""
    guide = CONTRIBUTING.read_text().split(f"## {title}\n")[1].split("\n## ")[0]
    steps = re.findall(r"^\d+\. (.*(?:\n {3}.*)*)", guide, re.M)
    assert len(places) <= 10
    assert missing_steps(steps, places) == []
    assert len(steps) == len(places)
    for i in range(len(steps)):
        assert len(missing_steps(steps[:i] + steps[i + 1 :], places)) == 1


def missing_steps(steps, places):
    """The places that no step names."""
    steps = list(steps)
    missing = []
    for place in sorted(places, key=len, reverse=True):
        of_place = [step for step in steps if f"`{place}`" in step.split(":")[0]]
        if of_place:
            steps.remove(of_place[0])
        else:
            missing.append(place)
    return missing


@needs_sources
def test_the_page_names_the_class_of_each_loss():
    expected = {
        (loss, name)
        for name in losses.__all__
        for key in ("loss", "loss_from_logits")
        if (loss := vars(getattr(losses, name)).get(key)) in DESCRIPTIONS
    }
    assert page_rows(PAGE.read_text()) == expected


@needs_sources
def test_the_bounds_of_the_page_are_those_that_are_tested():
    assert page_bounds(PAGE.read_text()) == {
        loss: value for loss, (value, _) in test_accuracy.ULP.items()
    }


# What is said of each parameter of a loss, beside its header.


def unlike_the_header(loss, function, domains):
    """What the reference has otherwise than the header."""
    signature = inspect.signature(function).parameters
    has_default = [p for p in signature.values() if p.default is not p.empty]
    found = {p.name: (p.default, domains.get(p.name)) for p in has_default}
    described = EVERY[loss]["parameters"]
    wanted = {p["name"]: (p["default"], p["domain"]) for p in described}
    return set(found.items()) ^ set(wanted.items())


def parameters_without_row(page):
    """Those that the row of their loss does not name."""
    table = page.split("\n## ")[0]
    rows = {line.split("`")[1]: line for line in table.splitlines() if line.startswith("| `")}
    return {
        (loss, parameter["name"])
        for loss, description in DESCRIPTIONS.items()
        for parameter in description["parameters"]
        if f"`{parameter['name']}`" not in rows[loss].split("|")[-2]
    }


def parameters_without_other_value(entries):
    """Those that the tests of the GPU kernels leave at their default."""
    return {
        (loss, parameter["name"])
        for loss, description in DESCRIPTIONS.items()
        for parameter in description["parameters"]
        if not any(parameter["name"] in others for others in entries[loss].others)
    } - {("binary_focal_crossentropy", "epsilon")}


@pytest.mark.parametrize("loss", EVERY)
def test_parameters_agree_with_the_reference(loss):
    function, domains = reference.LOSSES[loss], reference.DOMAINS[loss]
    assert unlike_the_header(loss, function, domains) == set()
    for name in domains:
        assert unlike_the_header(loss, function, domains | {name: "[7, 8]"})
        assert unlike_the_header(loss, function, {k: v for k, v in domains.items() if k != name})


@needs_sources
def test_the_page_names_every_parameter():
    assert parameters_without_row(PAGE.read_text()) == set()
    without = re.sub(r"`delta` d > 0", "", PAGE.read_text())
    assert parameters_without_row(without) == {("huber", "delta")}


def test_every_parameter_has_another_value():
    assert parameters_without_other_value(formulas.LOSSES) == set()
    without = formulas.LOSSES | {"huber": formulas.LOSSES["huber"]._replace(others=())}
    assert parameters_without_other_value(without) == {("huber", "delta")}


@pytest.mark.parametrize("loss", DESCRIPTIONS)
def test_descriptions_say_what_headers_say(loss):
    description = DESCRIPTIONS[loss]
    listed = [{k: v for k, v in p.items() if k != "accepts"} for p in kernels.losses()[loss]]
    assert [
        {k: v for k, v in p.items() if k != "accepts"} for p in description["parameters"]
    ] == listed
    for interval in (description["labels"], description["predictions"]):
        lower, upper = interval["lower"], interval["upper"]
        left, right = "(["[interval["includes_lower"]], ")]"[interval["includes_upper"]]
        assert interval["text"] == f"{left}{lower:g}, {upper:g}{right}"
        assert lower < upper
    for point in test_reference.POINTS[loss].literals:
        for number, of in zip(point[:2], ("labels", "predictions"), strict=True):
            assert description[of]["lower"] <= number <= description[of]["upper"]


def test_tests_without_native_part_know_the_same_losses():
    written = native.descriptions_without_functions(kernels)
    assert json.loads(native.FILE.read_text()) == written, "run `python tests/support/native.py`"


def test_losses_are_finite_where_they_are_said_to_be_defined():
    """At the ends of the intervals, or beside those that they leave out, and between them."""
    for loss, description in DESCRIPTIONS.items():
        axes = []
        for interval in (description["labels"], description["predictions"]):
            lower = interval["lower"] if np.isfinite(interval["lower"]) else -9.0
            upper = interval["upper"] if np.isfinite(interval["upper"]) else 9.0
            lower += 0 if interval["includes_lower"] else 1e-3
            upper -= 0 if interval["includes_upper"] else 1e-3
            axes.append([lower, 0.7 * lower + 0.3 * upper, upper])
        t, p = (x.reshape(-1, 1) for x in np.meshgrid(*axes))
        assert np.all(np.isfinite(kernels.masked_loss(t, p, loss, reduction="none")[0])), loss
        assert np.all(np.isfinite(kernels.masked_loss_gradient(t, p, loss))), loss


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
static_assert(LossList<Mine, PinballSet>::kMaxParameters == kMaxChannels);
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
    name, parameters = max(
        ((loss, kernels.losses()[loss]) for loss in DESCRIPTIONS), key=lambda item: len(item[1])
    )
    values = {p["name"]: p["default"] for p in parameters}
    last = parameters[-1]["name"]
    found = [
        kernels.masked_loss(np.ones(1), np.zeros(1), name, **values | {last: value})[0]
        for value in (1e-7, 0.25)
    ]
    assert found[0] != found[1]
