"""Builds and loads stream.c; ImportError where there is no C compiler with OpenMP."""

import atexit
import ctypes
import shutil
import subprocess
import tempfile
from pathlib import Path

from bench.case import Case

SOURCE = Path(__file__).parent / "stream.c"


def supports(case: Case) -> bool:
    return case.dtype == "float32"


def _build() -> ctypes.CDLL:
    folder = tempfile.mkdtemp(prefix="masklstm-stream-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    library = f"{folder}/stream.so"
    command = ["cc", "-O3", "-march=native", "-fopenmp", "-shared", "-fPIC", str(SOURCE)]
    try:
        subprocess.run([*command, "-o", library], check=True, capture_output=True, text=True)
        return ctypes.CDLL(library)
    except (OSError, subprocess.CalledProcessError) as error:
        reason = getattr(error, "stderr", None) or error
        raise ImportError(f"{SOURCE.name} could not be built: {reason}") from error


_POINTER, _SIZE, _FLOAT = ctypes.c_void_p, ctypes.c_ssize_t, ctypes.c_float
library = _build()
library.stream_read.argtypes = [_POINTER, _SIZE]
library.stream_read.restype = ctypes.c_uint64
library.stream_triad.argtypes = [_POINTER, _POINTER, _FLOAT, _POINTER, _SIZE]
library.stream_triad.restype = None
