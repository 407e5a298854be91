"""Whether `kernels.pyi` says what a build of `kernels` has.

mypy's stubtest compares names, but cannot read the signatures of pybind11, the first lines of
docstrings. So it gets them as Python beside the library: a module `signatures`, and the stub's
functions as its stub. In both a function that takes a stream has a name of its own, which keeps the
overloads apart.
"""

import ast
import os
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import pytest

# Beside the sources, or installed; not imported, which needs TensorFlow.
SOURCES = Path(__file__).parents[2] / "masklstm" / "__init__.py"
ORIGIN = None if SOURCES.exists() else find_spec("masklstm")
STUB = Path(ORIGIN.origin if ORIGIN and ORIGIN.origin else SOURCES).with_name("kernels.pyi")
ON_STREAM = "_on_stream"


def differences(
    kernels: ModuleType, folder: Path, stub: Path = STUB, allowed: frozenset[str] = frozenset()
) -> str:
    """What stubtest, run in the folder, says: a line for each difference, none for the allowed."""
    pytest.importorskip("mypy")
    assert kernels.__file__
    shutil.copy(kernels.__file__, folder)
    (folder / "kernels.pyi").write_text(stub.read_text())
    (folder / "signatures.py").write_text(signatures_at_runtime(kernels))
    (folder / "signatures.pyi").write_text(signatures_in_stub(stub))
    (folder / "allowed").write_text("".join(f"{re.escape(name)}\n" for name in sorted(allowed)))
    command = ["-m", "mypy.stubtest", "--concise", "--allowlist", "allowed"]
    process = subprocess.run(
        [sys.executable, *command, "kernels", "signatures"],
        cwd=folder,
        env=os.environ | {"MYPYPATH": ".", "PYTHONPATH": "."},
        capture_output=True,
        text=True,
    )
    assert process.returncode == (1 if process.stdout else 0), process
    return process.stdout


def has_cuda(kernels: ModuleType) -> bool:
    return hasattr(kernels, "DeviceArray")


def with_cuda_alone() -> frozenset[str]:
    """What a build without CUDA lacks, as stubtest writes it: what takes a stream, and these."""
    names = {"DeviceArray", "copy", "cuda_launches", "synchronize", "to_device"}
    on_stream = {name for name in arguments(signatures_in_stub()) if name.endswith(ON_STREAM)}
    return frozenset(
        [f"kernels.{name}" for name in names]
        + [f"signatures.{name}" for name in on_stream | {"cuda_launches"}]
    )


def signatures_in_stub(stub: Path = STUB) -> str:
    """The functions alone; those on a stream with a name of their own."""
    nodes = ast.parse(stub.read_text()).body
    functions = [node for node in nodes if isinstance(node, ast.FunctionDef)]
    for function in functions:
        function.name += ON_STREAM if "stream" in arguments_of(function) else ""
    names = [function.name for function in functions]
    for function in functions:
        if names.count(function.name) == 1:
            function.decorator_list = []
    classes = ", ".join(node.name for node in nodes if isinstance(node, ast.ClassDef))
    rest = [node for node in nodes if not isinstance(node, (ast.FunctionDef, ast.ClassDef))]
    return "\n".join(
        [f"from kernels import {classes}", *(ast.unparse(node) for node in [*rest, *functions]), ""]
    )


def signatures_at_runtime(kernels: ModuleType) -> str:
    """The same by the docstrings, which pybind11 begins with signatures."""
    lines = ["from __future__ import annotations", "from math import nan"]
    for name, function in vars(kernels).items():
        if not callable(function) or isinstance(function, type):
            continue
        for signature in re.findall(
            rf"^(?:\d+\. )?{name}(\(.*\) -> .*)$", function.__doc__ or "", re.M
        ):
            if signature.startswith("(arg0: "):
                continue  # what refuses arrays in a GPU's memory
            suffix = ON_STREAM if re.search(r"\bstream: ", signature) else ""
            lines.append(f"def {name}{suffix}{signature}: ...")
    return "\n".join([*lines, ""])


def arguments(signatures: str) -> dict[str, set[tuple[str, ...]]]:
    """For each function the arguments of its overloads, as a set of tuples of names."""
    found: dict[str, set[tuple[str, ...]]] = {}
    for node in ast.parse(signatures).body:
        if isinstance(node, ast.FunctionDef):
            found.setdefault(node.name, set()).add(arguments_of(node))
    return found


def arguments_of(function: ast.FunctionDef) -> tuple[str, ...]:
    every = function.args
    return tuple(argument.arg for argument in (*every.posonlyargs, *every.args, *every.kwonlyargs))
