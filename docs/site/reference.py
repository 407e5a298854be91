"""Hooks of MkDocs: a page for each public name, and links that lead out of the documentation.

The names are those of `__all__`, read from the sources: the site is built without TensorFlow.
"""

import ast
import importlib.util
import inspect
import posixpath
import re
import shutil
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "masklstm"
COPY = ROOT / "build" / "reference"
# What is public, and what it is for.
MODULES = {
    "masklstm": "Looking at labels, and at predictions",
    "masklstm.data": "From a table to windows",
    "masklstm.losses": "Losses",
    "masklstm.metrics": "Metrics",
    "masklstm.layers": "Layers",
    "masklstm.callbacks": "Callbacks",
    "masklstm.distributed": "Several machines",
    "masklstm.distributions": "Distributions",
    "masklstm.ops": "Functions of tensors",
    "masklstm.kernels": "The kernels without TensorFlow",
    "masklstm.reference": "The reference in pure TensorFlow",
}
# What pybind11 writes above the text of each overload.
_SIGNATURE = re.compile(r"^(?:\d+\. )?\w+\(.*\)(?: -> .*)?\n+", re.MULTILINE)
_LINK = re.compile(r"\[([^\]]+)\]\(([^)#:]+)(#[^)]*)?\)")


def source_of(module: str) -> Path:
    """The file of a module, or of its types."""
    path = PACKAGE.joinpath(*module.split(".")[1:])
    candidates = path / "__init__.py", path.with_suffix(".py"), path.with_suffix(".pyi")
    return next(file for file in candidates if file.exists())


def public_names(module: str) -> list[str]:
    """The functions and classes of a module's `__all__`, or, of a file of types, all of them."""
    tree = ast.parse(source_of(module).read_text("utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            names = [str(name) for name in ast.literal_eval(node.value)]
            return sorted(name for name in names if f"{module}.{name}" not in MODULES)
    kinds = (ast.FunctionDef, ast.ClassDef)
    return sorted(
        node.name for node in tree.body if isinstance(node, kinds) and node.name[0] != "_"
    )


def page_of(module: str, name: str = "index") -> str:
    return f"reference/{module.replace('.', '/')}/{name}.md"


def on_files(files: Files, config: Any) -> Files:
    """Adds the pages of the reference."""
    reference: list[Any] = []
    for module, title in MODULES.items():
        names = public_names(module)
        lines = [f"# {module}", "", title + ".", ""]
        lines += [f"- [`{name}`]({name}.md)" for name in names]
        texts = {"index": "\n".join(lines)}
        texts |= {name: f"::: {module}.{name}\n" for name in names}
        for name, text in texts.items():
            files.append(File.generated(config, page_of(module, name), content=text))
        pages = [{name: page_of(module, name)} for name in names]
        reference.append({module: [page_of(module), *pages]})
    config.nav = [*config.nav, {"Reference": reference}]
    return files


def on_startup(command: str, dirty: bool) -> None:
    """Puts the sources where they are read: without what was compiled, whose types are said in a
    file of their own. Before anybody looks whether there is such a folder.
    """
    shutil.rmtree(COPY, ignore_errors=True)
    for file in sorted(PACKAGE.rglob("*.py*")):
        if file.suffix in (".py", ".pyi"):
            copy = (COPY / file.relative_to(PACKAGE.parent)).with_suffix(".py")
            copy.parent.mkdir(parents=True, exist_ok=True)
            text = file.read_text("utf-8")
            text = of_native_module(text) if file.suffix == ".pyi" else with_sections(text)
            copy.write_text(text, "utf-8")


def with_sections(text: str) -> str:
    """Docstrings as Markdown: examples as code, arguments of calls as a list."""
    lines: list[str] = []
    call, code = None, None  # how far these are indented, while they last
    for line in text.splitlines():
        indent = len(line) - len(line.lstrip())
        if code is None and line.lstrip().startswith(">>> "):
            code = indent
            lines.append(" " * indent + "```pycon")
        elif code is not None and (not line.strip() or line.strip() == '"""'):
            lines.append(" " * code + "```")
            code = None
        elif call is not None and line.strip() and indent <= call:
            call = None
        if code is not None:
            line = line.replace("<BLANKLINE>", "")
        elif line.strip() == "Example:":
            line = line.replace("Example:", "**Example**")
        elif line.strip() == "Call arguments:":
            call = indent
        elif call is not None and indent == call + 4:
            line = re.sub(r"^( +)([\w, ]+): ", r"\1- `\2`: ", line)
        lines.append(line)
    if code is not None:
        lines.append(" " * code + "```")
    return "\n".join(lines) + "\n"


def of_native_module(text: str) -> str:
    """Each function once, as its first overload has it, with what the compiled module says."""
    tree = ast.parse(text)
    (*compiled,) = PACKAGE.glob("kernels.*.so")
    module: Any = None
    if compiled:
        spec = importlib.util.spec_from_file_location("masklstm.kernels", compiled[0])
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    first: dict[str, ast.FunctionDef | ast.ClassDef] = {}
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            first.setdefault(node.name, node)
    tree.body = [node for node in tree.body if first.get(getattr(node, "name", ""), node) is node]
    for name, node in first.items():
        node.decorator_list = []
        said = inspect.getdoc(getattr(module, name)) if hasattr(module, name) else None
        if said and ast.get_docstring(node) is None:
            said = _SIGNATURE.split(said)[-1]  # of several overloads the one for NumPy
            node.body = [ast.Expr(ast.Constant(with_sections(said))), *node.body]
    return ast.unparse(tree)


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """A link to a file of the project that is no page becomes its name."""
    folder = posixpath.dirname(page.file.src_uri)

    def name_or_link(match: re.Match[str]) -> str:
        text, path, _ = match.groups()
        target = posixpath.normpath(posixpath.join(folder, path))
        there = files.get_file_from_path(target)
        if there is not None and there.inclusion.is_included():  # type: ignore[no-untyped-call]
            return match[0]
        of_project = posixpath.normpath(posixpath.join("docs", target))
        return f"{text} (`{of_project}`)" if (ROOT / of_project).exists() else match[0]

    return _LINK.sub(name_or_link, markdown)
