"""The rooms of the package: imports go one way, and no file is longer than can be read at once."""

import ast
from pathlib import Path

import pytest

import masklstm

PACKAGE = Path(masklstm.__file__).parent
# From the ground up; a room may import from itself and from those before it.
ROOMS = (
    "_core",
    "distributions",
    "reference",
    "_core.backend",
    "ops",
    "metrics",
    "losses",
    "layers",
    "callbacks",
    "inspection",
    "scoring",
    "data",
    "distributed",
    "",  # masklstm/__init__.py
    "commands",
    "demo",
    "__main__",
)
MOST_LINES = 400
EXTENSION = "masklstm.kernels"  # native code, which imports nothing of ours


def name_of(file):
    """Without "masklstm", which is the empty name itself."""
    return ".".join(file.relative_to(PACKAGE).with_suffix("").parts).removesuffix("__init__")


MODULES = {name_of(file).strip("."): file.read_text() for file in sorted(PACKAGE.rglob("*.py"))}
FACES = {name_of(file).strip(".") for file in PACKAGE.rglob("__init__.py")}


def room_of(module):
    """The longest room whose name the module's begins with."""
    rooms = [room for room in ROOMS if module == room or (room and module.startswith(f"{room}."))]
    assert rooms, f"masklstm.{module} is in no room: add it to ROOMS"
    return max(rooms, key=len)


def imports_of(text, modules):
    """The package's modules that a text imports, early or late, but not for types alone."""
    names = set()
    for node in ast.walk(without_type_checking(ast.parse(text))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "a relative import"
            members = {f"{node.module}.{alias.name}" for alias in node.names} - {EXTENSION}
            # Of a package, a module; of a module, what it defines.
            inner = {name for name in members if name.removeprefix("masklstm.") in modules}
            names |= inner or ({node.module} if members else set())
    ours = {name for name in names if f"{name}.".startswith("masklstm.")}
    return {name.removeprefix("masklstm").removeprefix(".") for name in ours} & modules.keys()


def without_type_checking(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            node.body = []
    return tree


def wrong_way(modules):
    """Imports of a room from one above it."""
    return [
        f"masklstm.{module} imports masklstm.{other}"
        for module, text in modules.items()
        for other in sorted(imports_of(text, modules))
        if ROOMS.index(room_of(other)) > ROOMS.index(room_of(module))
    ]


def circle(modules):
    """Modules that import each other in a loop, or stand on such; empty if there are none."""
    edges = {module: imports_of(text, modules) for module, text in modules.items()}
    while ground := {module for module, others in edges.items() if not others & edges.keys()}:
        edges = {module: others for module, others in edges.items() if module not in ground}
    return sorted(edges)


def code_lines(text):
    """Without docstrings and empty lines."""
    lines = set(range(1, len(text.splitlines()) + 1))
    for node in ast.walk(ast.parse(text)):
        is_docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        if is_docstring and isinstance(node.value.value, str):
            lines -= set(range(node.lineno, node.end_lineno + 1))
    return sum(bool(text.splitlines()[line - 1].strip()) for line in lines)


def test_imports_go_one_way():
    assert not wrong_way(MODULES)


def test_there_is_no_circle():
    assert not circle({name: text for name, text in MODULES.items() if name not in FACES})


@pytest.mark.parametrize("begin", ["", "def f():\n    "], ids=["early", "late"])
def test_an_import_against_the_way_is_seen(begin):
    altered = MODULES["ops"] + f"\n{begin}from masklstm.losses import base\n"
    assert wrong_way({**MODULES, "ops": altered}) == ["masklstm.ops imports masklstm.losses.base"]


def test_a_circle_is_seen():
    altered = MODULES["_core.types"] + "\nimport masklstm._core.missing\n"
    modules = {**MODULES, "_core.missing": "from masklstm._core.types import cast"}
    assert not circle({name: modules[name] for name in ("_core.missing", "_core.types")})
    modules["_core.types"] = altered
    found = circle(
        {name: modules[name] for name in ("_core.missing", "_core.types", "_core.files")}
    )
    assert found == ["_core.missing", "_core.types"]


@pytest.mark.parametrize("module", MODULES)
def test_files_are_short(module):
    assert code_lines(MODULES[module]) <= MOST_LINES
