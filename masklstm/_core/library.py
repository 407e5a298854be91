"""Loads the native library once, after checking that it fits the TensorFlow in use.

A library built for another minor version of TensorFlow does not fail cleanly: it crashes, or gives
wrong numbers. So the versions are compared before anything is loaded.
"""

import json
import os
import warnings
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any

import tensorflow as tf

from masklstm._core.keras_compat import op_def_registry

_FOLDER = Path(__file__).parent.parent
_BUILD_FILE = _FOLDER / "_build.json"
_LIBRARY_FILE = _FOLDER / "_masklstm_ops.so"
_BACKENDS = ("native", "reference")
_FROM_SOURCES = "built from its sources on Linux with a C++ compiler it has one"


def _requested_backend() -> str | None:
    backend = os.environ.get("MASKLSTM_BACKEND") or None
    if backend not in (None, *_BACKENDS):
        raise ImportError(
            "Invalid value for the environment variable MASKLSTM_BACKEND. "
            f"Expected one of {_BACKENDS}. Received: {backend!r}"
        )
    return backend


def _minor(version: str) -> str:
    return ".".join(version.split(".")[:2])


def _read_build() -> dict[str, Any]:
    """What was built, after checking that it is complete and fits."""
    # No advice here may put another TensorFlow over the one that is installed.
    rebuild = "build masklstm again from its sources (`pip install --no-deps .`)"
    way_out = "set MASKLSTM_BACKEND=reference to run on the slower pure-TensorFlow reference"
    try:
        build: dict[str, Any] = json.loads(_BUILD_FILE.read_text())
        if not build["native"]:
            return build
        built_for = build["tensorflow"]
    except FileNotFoundError as error:
        raise _incomplete(_BUILD_FILE, rebuild, way_out) from error
    except (ValueError, KeyError, TypeError) as error:
        raise ImportError(f"{_BUILD_FILE} is damaged. Either {rebuild}, or {way_out}.") from error
    if not _LIBRARY_FILE.exists():
        raise _incomplete(_LIBRARY_FILE, rebuild, way_out)
    if _minor(built_for) != _minor(tf.__version__):
        raise ImportError(
            f"masklstm was built for TensorFlow {built_for}, but TensorFlow {tf.__version__} was "
            f"found. Its native library cannot be loaded there. Either {way_out}, or use masklstm "
            f"in an environment of its own, with TensorFlow {_minor(built_for)}."
        )
    return build


def _incomplete(file: Path, rebuild: str, way_out: str) -> ImportError:
    return ImportError(
        f"masklstm's native library is incomplete: {file} is missing. "
        f"Either {rebuild}, or {way_out}."
    )


def _load() -> ModuleType:
    # A second registration of an XLA lowering would abort the process.
    if op_def_registry.get("Masklstm>MaskedLoss") is not None:
        raise ImportError(
            "The ops of masklstm are registered already: another copy of its native library was "
            f"loaded in this process, before {_LIBRARY_FILE}. Import only one of them."
        )
    try:
        return tf.load_op_library(str(_LIBRARY_FILE))  # type: ignore[no-any-return]
    except tf.errors.OpError as error:
        raise ImportError(
            f"masklstm's native library {_LIBRARY_FILE} could not be loaded: {error.message}"
        ) from error


_requested = _requested_backend()
build: dict[str, Any] = {"native": False} if _requested == "reference" else _read_build()
backend = "native" if build["native"] else "reference"

if _requested == "native" != backend:
    raise ImportError(
        "MASKLSTM_BACKEND=native, but this masklstm was installed without its native part "
        f"({_FROM_SOURCES})."
    )

if backend == "native":
    ops = _load()
    from masklstm import kernels

    losses = kernels.losses()
    losses_with_channels = {
        name for name, loss in kernels.descriptions().items() if loss["channels"]
    }
else:
    # TensorFlow's own ops, which XLA knows.
    build = {"native": False, "instruction_sets": [], "cuda": False, "xla": True}
    _reason = (
        "as MASKLSTM_BACKEND=reference asks"
        if _requested
        else f"since it was installed without its native part ({_FROM_SOURCES})"
    )
    warnings.warn(
        f"masklstm runs on its pure-TensorFlow reference, {_reason}: same results, slower.",
        stacklevel=2,
    )


def _cuda() -> str:
    if not build["cuda"]:
        return "no"
    capabilities = (f"{int(name) / 10:.1f}" for name in build["cuda_architectures"])
    return f"{build['cuda_version']}, for compute capability {', '.join(capabilities)}"


def build_summary() -> dict[str, str]:
    """What runs here: versions, backend, instruction set, and what was built.

    Example:

    >>> import masklstm
    >>> masklstm.build_summary()["backend"] in ("native", "reference")
    True
    """
    summary = {
        "masklstm": version("masklstm"),
        "tensorflow": tf.__version__,
        "keras": version("keras"),
        "backend": backend,
    }
    if backend == "native":
        summary |= {
            "built for TensorFlow": build["tensorflow"],
            "compiler": f"{build['compiler']}, {build['build_type']}",
            "instruction_sets": ", ".join(build["instruction_sets"]),
            "instruction_set": kernels.instruction_set(),
            "cuda": _cuda(),
            "xla": "yes" if build["xla"] else "no",
        }
    else:
        summary |= dict.fromkeys(("instruction_set", "cuda", "xla"), "TensorFlow's")
    return summary
