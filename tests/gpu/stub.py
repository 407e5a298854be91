"""Whether `kernels.pyi` says what a build of `kernels` has."""

import ast
import os
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

# Beside the sources, or installed; not imported, which needs TensorFlow.
SOURCES = Path(__file__).parents[2] / "masklstm" / "__init__.py"
STUB = (SOURCES if SOURCES.exists() else Path(find_spec("masklstm").origin)).parent / "kernels.pyi"
WITH_CUDA_ALONE = ("DeviceArray", "copy", "cuda_launches", "synchronize", "to_device")


def names_that_differ(library, folder, stub=STUB):
    """What mypy's stubtest says of names that only the stub or only the library has."""
    pytest.importorskip("mypy")
    shutil.copy(library, folder)
    shutil.copy(stub, folder / "kernels.pyi")
    process = subprocess.run(
        [sys.executable, "-m", "mypy.stubtest", "--concise", "kernels"],
        cwd=folder,
        env=os.environ | {"MYPYPATH": ".", "PYTHONPATH": "."},
        capture_output=True,
        text=True,
    )
    found = process.stdout.splitlines(True)
    assert process.returncode == 0 or any(line.startswith("kernels.") for line in found), process
    return "".join(line for line in found if " is not present " in line)


def arguments_in_stub(stub=STUB):
    """For each function the arguments of its overloads, as a set of tuples of names."""
    found = {}
    for node in ast.parse(stub.read_text()).body:
        if isinstance(node, ast.FunctionDef):
            names = tuple(argument.arg for argument in node.args.args)
            found.setdefault(node.name, set()).add(names)
    return found


def arguments_at_runtime(kernels):
    """The same by the docstrings, which pybind11 begins with signatures."""
    found = {}
    for name, function in vars(kernels).items():
        if callable(function) and not isinstance(function, type):
            signatures = re.findall(rf"^(?:\d+\. )?{name}\((.*)\) -> ", function.__doc__, re.M)
            found[name] = {
                tuple(re.findall(r"(?:^|, )(?!arg0)(\w+): ", signature)) for signature in signatures
            } - {()}  # that which refuses arrays in a GPU's memory
            found[name] = found[name] or {()}
    return found
