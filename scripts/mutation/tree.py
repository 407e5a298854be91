"""A copy of the sources, in which one mutant after the other is tried."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mutation.mutant import Mutant

ROOT = Path(__file__).parents[2]
# The baseline alone of the instruction sets: mutants are compiled often.
OPTIONS = [
    "-GNinja",
    "-DCMAKE_BUILD_TYPE=Debug",
    "-DMASKLSTM_X86_KERNELS=OFF",
    "-DMASKLSTM_VERSION=0",
]
# The module alone is compiled fastest without optimizing; the tests of the op would take minutes
# then. XLA's headers take longer than all the rest.
FLAGS = {
    "quick": ["-DCMAKE_CXX_FLAGS_DEBUG=-O0", "-DMASKLSTM_OPS=OFF"],
    "op": ["-DCMAKE_CXX_FLAGS_DEBUG=-O1", "-DMASKLSTM_XLA=OFF"],
    "xla": ["-DCMAKE_CXX_FLAGS_DEBUG=-O1"],
    # As tests/gpu does it, which finds what is built there.
    "cuda-emulated": [
        *("-DCMAKE_CXX_FLAGS_DEBUG=-O0 -DNDEBUG", "-DMASKLSTM_OPS=OFF"),
        "-DMASKLSTM_CUDA=EMULATED",
    ],
}
LIBRARIES = ("kernels.*.so", "_masklstm_ops.so")


class DoesNotCompileError(Exception):
    """What has not become a program cannot be tried."""


class Tree:
    def __init__(self, path: Path):
        self.path = path = path.resolve()
        names = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT,
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for name in filter(None, names.split("\0")):
            if (ROOT / name).exists():
                (path / name).parent.mkdir(parents=True, exist_ok=True)
                # What is the same keeps its time: nothing is compiled for it.
                if not _same(ROOT / name, path / name):
                    shutil.copyfile(ROOT / name, path / name)
        # The module that the command starts lies beside the package.
        self.package = path / "masklstm"
        self.link_installed()

    def link_installed(self) -> None:
        """The libraries of the installation, as they are, and what the package says of them."""
        self._link_all(ROOT / "masklstm")
        shutil.copyfile(ROOT / "masklstm" / "_build.json", self.package / "_build.json")

    def link_built(self, kind: str) -> None:
        self._link_all(self.folder(kind))
        shutil.copyfile(self.folder(kind) / "build.json", self.package / "_build.json")

    def _link_all(self, folder: Path) -> None:
        for pattern in LIBRARIES:
            for library in folder.glob(pattern):
                self._link(library)

    def _link(self, library: Path) -> None:
        link = self.package / library.name
        link.unlink(missing_ok=True)
        link.symlink_to(library)

    def folder(self, kind: str) -> Path:
        return self.path / "build" / kind

    def build(self, kind: str) -> None:
        import pybind11

        options = ["-DMASKLSTM_CUDA=OFF", *OPTIONS, *FLAGS[kind]]
        folder = self.folder(kind)
        if not (folder / "build.ninja").exists():
            self._run(
                *("cmake", "-S", str(self.path), "-B", str(folder), *options),
                *(
                    f"-DPython_EXECUTABLE={sys.executable}",
                    f"-Dpybind11_DIR={pybind11.get_cmake_dir()}",
                ),
            )
        self._run("ninja", "-C", str(folder), "-j1", "all")

    def _run(self, *command: str) -> None:
        process = subprocess.run(command, capture_output=True, text=True)
        if process.returncode != 0:
            raise DoesNotCompileError(process.stdout[-3000:] + process.stderr[-3000:])

    @contextmanager
    def mutated(self, mutant: Mutant) -> Iterator[None]:
        file = self.path / mutant.file
        text = file.read_text()
        file.write_text(mutant.changed(text))
        try:
            yield
        finally:
            file.write_text(text)

    def environment(self) -> dict[str, str]:
        """In which `import masklstm` is this tree's."""
        own = {
            "PYTHONPATH": f"{self.path}:{self.path / 'tests'}:{ROOT / 'scripts'}",
            "PYTHONDONTWRITEBYTECODE": "1",
            "TF_CPP_MIN_LOG_LEVEL": "3",
        }
        # Of the ways to start several workers the fastest, unless others are asked for.
        return {"MASKLSTM_TEST_WORKERS": "2 TF_CONFIG"} | os.environ | own


def _same(one: Path, other: Path) -> bool:
    return other.exists() and one.read_bytes() == other.read_bytes()
