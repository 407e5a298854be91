"""Runs CMake for the native part; everything else is in pyproject.toml."""

import os
import shutil
import subprocess
import sys
import sysconfig
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

ROOT = Path(__file__).parent.resolve()
# CMake options that may be set as environment variables.
OPTIONS = ("MASKLSTM_CUDA", "MASKLSTM_CUDA_ARCHITECTURES", "MASKLSTM_XLA")


def tensorflow_version():
    for name in ("tensorflow", "tensorflow-cpu"):
        try:
            return version(name)
        except PackageNotFoundError:
            continue
    return "none"  # CMake will say what is needed


class CMakeBuild(build_ext):
    def run(self):
        # A folder of its own for what cannot be mixed, so that rebuilds are incremental.
        python = f"py{sys.version_info.major}{sys.version_info.minor}"
        name = f"cmake-tf{tensorflow_version()}-{sysconfig.get_platform()}-{python}"
        build = ROOT / "build" / name
        package = Path(self.get_ext_fullpath("masklstm.kernels")).parent.resolve()
        import pybind11

        configure = [
            "cmake",
            f"-S{ROOT}",
            f"-B{build}",
            "-GNinja",
            # Named anew each time: an isolated build's ninja is gone when the next one starts.
            f"-DCMAKE_MAKE_PROGRAM={shutil.which('ninja') or 'ninja'}",
            f"-DPython_EXECUTABLE={sys.executable}",
            f"-Dpybind11_DIR={pybind11.get_cmake_dir()}",
            f"-DMASKLSTM_VERSION={self.distribution.get_version()}",
            # What an earlier build was told is forgotten.
            *(f"-D{n}={os.environ[n]}" if n in os.environ else f"-U{n}" for n in OPTIONS),
        ]
        self._cmake(configure, build)
        jobs = os.environ.get("CMAKE_BUILD_PARALLEL_LEVEL", str(os.cpu_count() or 1))
        self._cmake(["cmake", "--build", str(build), "--parallel", jobs], build)
        self._cmake(["cmake", "--install", str(build), "--prefix", str(package.parent)], build)

    def _cmake(self, command, build):
        print(" ".join(command), flush=True)
        try:
            subprocess.run(command, check=True)
        except FileNotFoundError:
            raise SystemExit("masklstm is built with CMake: pip install cmake ninja") from None
        except subprocess.CalledProcessError as error:
            raise SystemExit(f"Building masklstm failed (see above, and {build})") from error

    def get_outputs(self):
        package = Path(self.build_lib) / "masklstm"
        names = ("_masklstm_ops.so", "_build.json", Path(self.get_ext_filename("kernels")).name)
        return [str(package / name) for name in names]


setup(ext_modules=[Extension("masklstm.kernels", sources=[])], cmdclass={"build_ext": CMakeBuild})
