"""What can be said about a build with CUDA where there is no GPU."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BUILD = ROOT / "build" / "cuda-check"
# nvcc takes minutes for each. .ci/run takes one each week, and "none" while nothing has changed;
# "all" is what a release has.
ARCHITECTURES = os.environ.get("MASKLSTM_TEST_CUDA_ARCHITECTURES", "90")
# The kernels that training steps run.
HOT = ("SumVectors", "GradientOfVectors", "SumElements", "GradientOfElements")

pytestmark = [
    pytest.mark.skipif(not (ROOT / "CMakeLists.txt").exists(), reason="the sources are not here"),
    pytest.mark.skipif(shutil.which("cmake") is None, reason="cmake is not on this machine"),
    pytest.mark.skipif(shutil.which("c++") is None, reason="there is no C++ compiler"),
]
needs_nvcc = pytest.mark.skipif(shutil.which("nvcc") is None, reason="nvcc is not on this machine")


def configure(folder, *options, path=None):
    import pybind11

    command = [
        *("cmake", "-S", ROOT, "-B", folder, "-GNinja", f"-DPython_EXECUTABLE={sys.executable}"),
        *(f"-Dpybind11_DIR={pybind11.get_cmake_dir()}", "-DMASKLSTM_VERSION=0", *options),
    ]
    environment = os.environ | ({"PATH": path} if path else {})
    environment.pop("CUDACXX", None)
    return subprocess.run(command, capture_output=True, text=True, env=environment)


@pytest.fixture(scope="module")
def log():
    """Builds everything with the CUDA kernels; the output of all builds."""
    if ARCHITECTURES == "none":
        pytest.skip("MASKLSTM_TEST_CUDA_ARCHITECTURES=none: the emulator's build has to do")
    BUILD.mkdir(parents=True, exist_ok=True)
    # What runs on the CPU, and under XLA, is that of every other build: as little as can be of it,
    # unoptimized.
    options = [
        *("-DMASKLSTM_PTXAS_FLAGS=-v", "-DMASKLSTM_X86_KERNELS=OFF", "-DMASKLSTM_XLA=OFF"),
        *(
            "-DCMAKE_BUILD_TYPE=Debug",
            "-DCMAKE_CXX_FLAGS_DEBUG=-O0",
            "-DCMAKE_CUDA_FLAGS_DEBUG=-O3 -DNDEBUG",
        ),
    ]
    chosen = "" if ARCHITECTURES == "all" else ARCHITECTURES
    cuda = "-DMASKLSTM_CUDA=ON", f"-DMASKLSTM_CUDA_ARCHITECTURES={chosen}"
    configured = configure(BUILD, *cuda, *options)
    assert configured.returncode == 0, configured.stdout + configured.stderr
    built = subprocess.run(["cmake", "--build", BUILD], capture_output=True, text=True)
    assert built.returncode == 0, built.stdout[-5000:]
    # A build that has nothing to do says nothing.
    file = BUILD / f"build-{ARCHITECTURES.replace(';', '-')}.log"
    if "ptxas info" in built.stdout:
        file.write_text(built.stdout)
    return file.read_text()


def libraries():
    (kernels,) = BUILD.glob("kernels.*.so")
    return BUILD / "_masklstm_ops.so", kernels


def output(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@needs_nvcc
def test_no_warning_and_no_spilled_register(log):
    assert "warning" not in log.replace("-Wno-", "")
    reports = re.findall(
        r"Compiling entry function '(\S+)' for '(\w+)'.*?(\d+) bytes stack frame, "
        r"(\d+) bytes spill stores, (\d+) bytes spill loads.*?Used (\d+) registers",
        log,
        re.DOTALL,
    )
    hot = [report for report in reports if any(name in report[0] for name in HOT)]
    assert len(hot) > 100
    assert [report for report in hot if set(report[2:5]) != {"0"}] == []


@needs_nvcc
def test_machine_code_for_each_major_architecture_and_ptx_of_the_newest(tmp_path):
    configured = configure(tmp_path, "-DMASKLSTM_CUDA=ON")
    assert configured.returncode == 0, configured.stderr
    expected = major_architectures()
    build = json.loads((tmp_path / "build.json").read_text())
    assert build["cuda"] is True
    assert [int(name) for name in build["cuda_architectures"]] == expected
    commands = (tmp_path / "build.ninja").read_text()
    for name in expected:
        assert re.search(rf"code=\[?(compute_{name},)?sm_{name}\b", commands)
    assert f"code=[compute_{expected[-1]}]" in commands


def major_architectures():
    known = sorted(map(int, re.findall(r"sm_(\d+)", output("nvcc", "--list-gpu-code"))))
    known = [name for name in known if name >= 75]
    return sorted({known[0], *(name for name in known if name % 10 == 0)})


@needs_nvcc
def test_the_machine_code_is_of_the_architectures_that_were_asked_for(log):
    if ARCHITECTURES == "all":
        expected = major_architectures()
    else:
        expected = sorted(map(int, ARCHITECTURES.split(";")))
    found = set(map(int, re.findall(r"Compiling entry function '\S+' for 'sm_(\d+)'", log)))
    assert sorted(found) == expected
    build = json.loads((BUILD / "build.json").read_text())
    assert [int(name) for name in build["cuda_architectures"]] == expected


@needs_nvcc
def test_nothing_of_cuda_is_needed_to_load_the_libraries(log, record_property):
    for library in libraries():
        undefined = output("nm", "-D", "--undefined-only", str(library))
        assert re.findall(r" _*(?:cuda|cu[A-Z])\w*", undefined) == []
        dynamic = output("readelf", "-d", str(library))
        assert not re.search(r"R(UN)?PATH", dynamic)
        assert not re.search(r"NEEDED.*(libcuda|libcudart|libnv)", dynamic)
        megabytes = library.stat().st_size / 2**20
        record_property(f"size of {library.name}, MiB", round(megabytes, 1))
        print(f"{library.name}: {megabytes:.1f} MiB")
        assert megabytes < 100


@needs_nvcc
def test_the_library_with_cuda_works_without_a_gpu(log, tmp_path):
    package = tmp_path / "masklstm"
    shutil.copytree(ROOT / "masklstm", package, ignore=shutil.ignore_patterns("*.so", "_build*"))
    for library in libraries():
        shutil.copy(library, package)
    shutil.copy(BUILD / "build.json", package / "_build.json")
    program = """
import numpy as np, tensorflow as tf, masklstm
from masklstm import kernels
assert masklstm.__file__.startswith(PACKAGE), masklstm.__file__
print(masklstm.build_summary()["cuda"])
y_true, y_pred = np.float32([1, np.nan, 3]), np.float32([2, 5, 5])
with tf.GradientTape() as tape:
    predictions = tf.constant(y_pred)
    tape.watch(predictions)
    loss = masklstm.ops.masked_loss(y_true, predictions)
print(loss.numpy(), tape.gradient(loss, predictions).numpy())
print(kernels.masked_loss(y_true, y_pred)[0])
try:
    kernels.to_device(y_true)
except RuntimeError as error:
    print("refused:", error)
"""
    process = subprocess.run(
        [sys.executable, "-c", f"PACKAGE = {str(package)!r}\n{program}"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(tmp_path), "CUDA_VISIBLE_DEVICES": ""},
    )
    assert process.returncode == 0, process.stderr
    lines = process.stdout.splitlines()
    assert re.match(r"\d+\.\d+\.\d+, for compute capability \d", lines[0])
    assert lines[1:3] == ["2.5 [1. 0. 2.]", "2.5"]
    assert lines[3].startswith("refused: masklstm's CUDA kernels could not run: cudaError")


@pytest.fixture
def path_without_nvcc():
    """Such a PATH, or as much of it as the build needs."""
    folders = os.environ["PATH"].split(os.pathsep)
    path = os.pathsep.join(f for f in folders if not (Path(f) / "nvcc").exists())
    for need in ("cmake", "ninja", "c++"):
        if shutil.which(need, path=path) is None:
            pytest.skip(f"{need} lies beside nvcc")
    return path


def test_without_nvcc_the_build_goes_on_and_says_so(path_without_nvcc, tmp_path):
    configured = configure(tmp_path, "-DMASKLSTM_CUDA=AUTO", path=path_without_nvcc)
    assert configured.returncode == 0, configured.stderr
    text = " ".join(configured.stdout.split())
    assert "CUDA left out, since there is no nvcc" in text
    assert "put its nvcc into PATH" in text
    assert "MASKLSTM_CUDA=ON" in text
    assert json.loads((tmp_path / "build.json").read_text())["cuda"] is False


def test_without_nvcc_a_build_that_asks_for_cuda_fails(path_without_nvcc, tmp_path):
    configured = configure(tmp_path, "-DMASKLSTM_CUDA=ON", path=path_without_nvcc)
    assert configured.returncode != 0
    text = " ".join(configured.stderr.split())
    assert "MASKLSTM_CUDA=ON, but there is no nvcc" in text
    assert "MASKLSTM_CUDA=AUTO or OFF" in text


def with_cards(folder, *capabilities):
    """A PATH whose nvidia-smi names cards of these compute capabilities, or fails without any."""
    (folder / "bin").mkdir()
    smi = folder / "bin" / "nvidia-smi"
    lines = "".join(f"echo '{capability}'\n" for capability in capabilities)
    smi.write_text("#!/bin/sh\n" + (lines or "echo No devices were found\nexit 6\n"))
    smi.chmod(0o755)
    return f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}"


@needs_nvcc
def test_without_a_card_cuda_is_left_out_unless_asked_for(tmp_path):
    configured = configure(tmp_path / "build", path=with_cards(tmp_path))
    assert configured.returncode == 0, configured.stderr
    text = " ".join(configured.stdout.split())
    assert "CUDA left out, since nvidia-smi names no card" in text
    assert "MASKLSTM_CUDA=ON" in text
    assert json.loads((tmp_path / "build" / "build.json").read_text())["cuda"] is False


@needs_nvcc
def test_with_cards_the_kernels_are_built_for_these_alone(tmp_path):
    path = with_cards(tmp_path, "8.6", "9.0")
    configured = configure(tmp_path / "build", "-DMASKLSTM_CUDA=AUTO", path=path)
    assert configured.returncode == 0, configured.stderr
    build = json.loads((tmp_path / "build" / "build.json").read_text())
    assert build["cuda"] is True
    assert build["cuda_architectures"] == ["86", "90"]
    commands = (tmp_path / "build" / "build.ninja").read_text()
    assert set(re.findall(r"code=\[?compute_(\d+)", commands)) == {"90"}


@pytest.mark.parametrize(
    ("capabilities", "expected"),
    [
        ((), ""),
        (("9.0",), "90"),
        (("8.6", "9.0", "8.6"), "86;90;86"),
        (("6.1", "8.0"), "80"),  # one card is too old for the kernels
        (("8.7",), "86"),
        (("12.0",), "100"),  # newer than nvcc: PTX of its newest
        (("[N/A]",), ""),
    ],
    ids=str,
)
def test_which_architectures_cards_need(tmp_path, capabilities, expected):
    script = tmp_path / "script.cmake"
    script.write_text(
        f'include("{ROOT}/cmake/CudaCards.cmake")\n'
        'masklstm_architectures_of_cards("75;80;86;90;100" found)\n'
        'message(STATUS "[${found}]")\n'
    )
    environment = os.environ | {"PATH": with_cards(tmp_path, *capabilities)}
    process = subprocess.run(
        ["cmake", "-P", script], capture_output=True, text=True, env=environment, check=True
    )
    assert process.stdout == f"-- [{expected}]\n"


def test_another_value_is_refused(tmp_path):
    configured = configure(tmp_path, "-DMASKLSTM_CUDA=YES")
    text = " ".join(configured.stderr.split())
    assert "MASKLSTM_CUDA must be AUTO, ON or OFF. Received: YES" in text


def test_the_gpu_check_says_how_it_is_used():
    help_text = output(str(ROOT / "scripts" / "gpu_check.sh"), "--help")
    assert "--build-only" in help_text
    output("bash", "-n", str(ROOT / "scripts" / "gpu_check.sh"))


DIVISIONS = """
#include <cstdio>
#include <random>

#include "csrc/cuda/invariant_divisor.h"

using masklstm::InvariantDivisor;

template <typename Number>
int WrongOnes(int bits, std::mt19937_64& random) {
  const Number most = static_cast<Number>((uint64_t{1} << bits) - 1);
  int wrong = 0;
  for (int i = 0; i < 200000; ++i) {
    const Number power = Number{1} << (random() % bits);
    const Number divisors[] = {1, most, power, static_cast<Number>(random() % power + 1),
                               static_cast<Number>(power - (power > 1))};
    for (const Number divisor : divisors) {
      const InvariantDivisor invariant(static_cast<int64_t>(divisor));
      const Number any = static_cast<Number>(random()) & most;
      const Number multiple = any / divisor * divisor;
      for (const Number n : {any, multiple, static_cast<Number>(multiple - (multiple > 0)), most}) {
        wrong += n / invariant != n / divisor;
      }
    }
  }
  return wrong;
}

int main() {
  std::mt19937_64 random(1);
  std::printf("%d %d", WrongOnes<uint32_t>(31, random), WrongOnes<uint64_t>(62, random));
}
"""


@pytest.mark.skipif(shutil.which("c++") is None, reason="there is no C++ compiler")
def test_division_by_multiplication_is_exact(tmp_path):
    command = ["c++", "-std=c++17", "-O1", f"-I{ROOT}", "-xc++", "-", "-o", tmp_path / "program"]
    subprocess.run(command, input=DIVISIONS, check=True, text=True)
    assert output(tmp_path / "program") == "0 0"
