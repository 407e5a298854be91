"""The build backend: setuptools', and what an isolated build needs besides it.

That depends on the environment that the package goes into (installed_tensorflow.py), so it cannot
stand in pyproject.toml.
"""

import os
import shutil
import sys
import sysconfig
from typing import Any

import installed_tensorflow
from setuptools.build_meta import (
    build_editable,
    build_sdist,
    build_wheel,
    get_requires_for_build_sdist,
    prepare_metadata_for_build_editable,
    prepare_metadata_for_build_wheel,
)

__all__ = [
    "build_editable",
    "build_sdist",
    "build_wheel",
    "get_requires_for_build_editable",
    "get_requires_for_build_sdist",
    "get_requires_for_build_wheel",
    "prepare_metadata_for_build_editable",
    "prepare_metadata_for_build_wheel",
]

TOOLS = ["cmake>=3.24", "ninja", "pybind11>=2.12"]


def is_native() -> bool:
    """Whether the native part is built: MASKLSTM_NATIVE, ON unless it says OFF."""
    value = os.environ.get("MASKLSTM_NATIVE", "ON").upper()
    if value not in ("ON", "OFF"):
        sys.exit(f"MASKLSTM_NATIVE must be ON or OFF. Received: {value}")
    return value == "ON"


def get_requires_for_build_wheel(config_settings: Any = None) -> list[str]:
    # All that can be wrong is said before anything is downloaded.
    if is_native():
        check_compiler()
    try:
        tensorflow = installed_tensorflow.target()
        if tensorflow.folder is None:
            installed_tensorflow.check_visible()
        installed_tensorflow.check_minor(tensorflow, is_native())
    except installed_tensorflow.BuildError as problem:
        sys.exit(str(problem))
    if not is_native():
        return []
    return [*TOOLS, installed_tensorflow.build_requirement(tensorflow)]


get_requires_for_build_editable = get_requires_for_build_wheel


def check_compiler() -> None:
    """Exits where the native part cannot be compiled."""
    way_out = (
        "Set MASKLSTM_NATIVE=OFF to install masklstm without its native part, on the slower "
        "pure-TensorFlow reference."
    )
    if not sys.platform.startswith("linux"):
        sys.exit(f"masklstm's native part is built on Linux alone. {way_out}")
    # CMake looks for the same ones.
    names = [os.environ.get("CXX", "").split(" ")[0], "c++", "g++", "clang++"]
    if not any(name and shutil.which(name) for name in names):
        sys.exit(
            "masklstm's native part needs a C++ compiler, and there is none: install g++ (on "
            f"Debian and Ubuntu `apt-get install g++`), or name one in the variable CXX. {way_out}"
        )
    header = os.path.join(sysconfig.get_paths()["include"], "Python.h")
    if not os.path.exists(header):
        sys.exit(
            f"masklstm's native part needs Python's headers, and {header} is missing (on Debian "
            f"and Ubuntu: `apt-get install python3-dev`). {way_out}"
        )
