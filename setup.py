"""What depends on the TensorFlow that is there: the native part, which CMake builds, the version
and the requirements. Everything else is in pyproject.toml.
"""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.command.build_py import build_py
from setuptools.command.egg_info import egg_info

ROOT = Path(__file__).parent.resolve()
sys.path.insert(0, str(ROOT / "build_support"))

import installed_tensorflow  # noqa: E402
import masklstm_build  # noqa: E402

# CMake options that may be set as environment variables.
OPTIONS = (
    "MASKLSTM_CUDA",
    "MASKLSTM_CUDA_ARCHITECTURES",
    "MASKLSTM_OPS",
    "MASKLSTM_X86_KERNELS",
    "MASKLSTM_XLA",
)
# One target of CMake's to build, and nothing to install: a head start, for the Makefile.
TARGET = "MASKLSTM_TARGET"


class CMakeBuild(build_ext):
    def run(self):
        found = installed_tensorflow.find_tensorflow()
        if found and found.minor != TENSORFLOW.minor:
            raise installed_tensorflow.BuildError(
                f"This build is for TensorFlow {TENSORFLOW.minor}, but would compile against "
                f"{found.version} in {found.folder}. Let pip build it in isolation (without "
                "--no-build-isolation), or install that TensorFlow first."
            )
        # A folder of its own for what cannot be mixed, so that rebuilds are incremental. Versions
        # of TensorFlow share one: the kernels, which take longest, know nothing of it.
        python = f"py{sys.version_info.major}{sys.version_info.minor}"
        build = ROOT / "build" / f"cmake-{sysconfig.get_platform()}-{python}"
        package = Path(self.get_ext_fullpath("masklstm.kernels")).parent.resolve()
        configure = [
            "cmake",
            f"-S{ROOT}",
            f"-B{build}",
            "-GNinja",
            # Named anew each time: an isolated build's ninja is gone when the next one starts.
            f"-DCMAKE_MAKE_PROGRAM={shutil.which('ninja') or 'ninja'}",
            f"-DPython_EXECUTABLE={sys.executable}",
            f"-Dpybind11_DIR={self._pybind11(build)}",
            f"-DMASKLSTM_VERSION={self.distribution.get_version()}",
            # What an earlier build was told is forgotten.
            *(f"-D{n}={os.environ[n]}" if n in os.environ else f"-U{n}" for n in OPTIONS),
        ]
        self._cmake(configure, build)
        jobs = os.environ.get("CMAKE_BUILD_PARALLEL_LEVEL", str(os.cpu_count() or 1))
        target = ["--target", os.environ[TARGET]] if TARGET in os.environ else []
        self._cmake(["cmake", "--build", str(build), "--parallel", jobs, *target], build)
        if target:
            return
        self._cmake(["cmake", "--install", str(build), "--prefix", str(package.parent)], build)

    def _pybind11(self, build):
        """Its CMake files, under a name that stays where an isolated build has it in another folder
        each time: what was compiled with it is used again.
        """
        import pybind11

        link = build / f"pybind11-{pybind11.__version__}"
        build.mkdir(parents=True, exist_ok=True)
        link.unlink(missing_ok=True)
        link.symlink_to(Path(pybind11.__file__).parent)
        return link / Path(pybind11.get_cmake_dir()).relative_to(Path(pybind11.__file__).parent)

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


class PureBuild(build_py):
    """Without the native part only the file that says so is built."""

    def run(self):
        super().run()
        package = ROOT if self.editable_mode else Path(self.build_lib)
        about = {"masklstm": self.distribution.get_version(), "native": False}
        (package / "masklstm" / "_build.json").write_text(json.dumps(about) + "\n")


class EggInfo(egg_info):
    """Wheels for different versions of TensorFlow differ in their own local version."""

    def finalize_options(self):
        self.tag_build = f"+tf{TENSORFLOW.minor.replace('.', '')}" if NATIVE and TENSORFLOW else ""
        super().finalize_options()


def requirements():
    if TENSORFLOW:
        tensorflow = installed_tensorflow.requirement(TENSORFLOW, NATIVE)
    else:
        tensorflow = f"tensorflow>={installed_tensorflow.FIRST_PURE}"
    return [tensorflow, "keras>=3.6", "numpy>=1.26", "typing-extensions>=4.6"]


try:
    NATIVE = masklstm_build.is_native()
    TENSORFLOW = None if "sdist" in sys.argv else installed_tensorflow.target()  # sources serve all
    commands = {"build_ext": CMakeBuild} if NATIVE else {"build_py": PureBuild}
    setup(
        install_requires=requirements(),
        ext_modules=[Extension("masklstm.kernels", sources=[])] if NATIVE else [],
        cmdclass={**commands, "egg_info": EggInfo},
    )
except installed_tensorflow.BuildError as problem:
    sys.exit(str(problem))
