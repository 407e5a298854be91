"""The CUDA kernels: on a GPU if the environment variable MASKLSTM_CUDA_KERNELS names a build of
`kernels` that has them (scripts/gpu_check.sh makes one); else on the CPU, by the emulator in
tests/cuda_emulator.
"""

import fcntl
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from support.loading import load

ROOT = Path(__file__).parents[2]


def build_emulated(folder):
    import pybind11

    configure = [
        *("cmake", "-S", ROOT, "-B", folder, "-GNinja", "-DCMAKE_BUILD_TYPE=Debug"),
        "-DCMAKE_CXX_FLAGS_DEBUG=-O0 -DNDEBUG",  # those of the CPU are of no interest here
        *("-DMASKLSTM_CUDA=EMULATED", "-DMASKLSTM_OPS=OFF", "-DMASKLSTM_X86_KERNELS=OFF"),
        *(f"-DPython_EXECUTABLE={sys.executable}", f"-Dpybind11_DIR={pybind11.get_cmake_dir()}"),
    ]
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "lock", "w") as lock:  # other test processes want the same
        fcntl.flock(lock, fcntl.LOCK_EX)
        for command in (configure, ["cmake", "--build", folder]):
            subprocess.run(command, check=True, stdout=sys.stderr)
    (built,) = folder.glob("kernels.*.so")
    return built


@pytest.fixture(scope="session")
def emulated():
    return "MASKLSTM_CUDA_KERNELS" not in os.environ


@pytest.fixture(scope="session")
def kernels(emulated):
    if not emulated:
        return load(os.environ["MASKLSTM_CUDA_KERNELS"])
    if not (ROOT / "CMakeLists.txt").exists():
        pytest.skip("the sources of the kernels are not here")
    for need in ("cmake", "ninja", "c++"):
        if shutil.which(need) is None:
            pytest.skip(f"{need} is needed to build the kernels with the emulator")
    pytest.importorskip("pybind11", reason="pybind11 is needed to build the kernels")
    return load(build_emulated(ROOT / "build" / "cuda-emulated"))


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def torch(emulated):
    """PyTorch with a GPU: it has streams, and work to keep them busy."""
    if emulated:
        pytest.skip("test_what_another_stream_still_writes is that of the emulator")
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("this PyTorch sees no GPU")
    return torch
