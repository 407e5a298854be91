#!/usr/bin/env bash
# Builds the CPU kernels with gcc's AddressSanitizer and UndefinedBehaviorSanitizer, and runs their
# tests on NumPy arrays with them.
usage() {
  cat <<'TEXT'
Usage: scripts/sanitize.sh [-k EXPRESSION] [PYTEST ARGUMENTS]

Tests tests/ops/test_kernels.py and tests/layers/test_recurrent_kernels.py with a build of
masklstm.kernels that stops at the first access out of bounds, integer overflow or the like. Arguments
are handed on to pytest. Once per instruction set that this machine has; MASKLSTM_ISA chooses one.

PYTHON chooses the interpreter (default: .venv/bin/python), which has masklstm's test requirements.
TEXT
}
set -euo pipefail
case "${1:-}" in -h | --help) usage; exit ;; esac
cd "$(dirname "$0")/.."
python=${PYTHON:-$PWD/.venv/bin/python}
step() { printf '\n== %s\n' "$1"; }

step "build"
build=build/sanitize
# Unoptimized: it compiles in minutes, and wrong accesses stay where they are.
cmake -S . -B "$build" -GNinja -DMASKLSTM_OPS=OFF -DMASKLSTM_CUDA=OFF -DCMAKE_BUILD_TYPE=Debug \
  "-DCMAKE_CXX_FLAGS_DEBUG=-O0 -g1 -fno-omit-frame-pointer -fsanitize=address,undefined \
-fno-sanitize=alignment -fno-sanitize-recover=all" \
  "-DPython_EXECUTABLE=$(command -v "$python")" "-Dpybind11_DIR=$("$python" -m pybind11 --cmakedir)"
cmake --build "$build"

# The package beside the tests, with these kernels in the place of its own.
elsewhere=$(mktemp -d)
trap 'rm -rf "$elsewhere"' EXIT
cp -r masklstm tests pyproject.toml "$elsewhere/"
rm -f "$elsewhere"/masklstm/kernels.*.so
cp "$build"/kernels.*.so "$elsewhere/masklstm/"
cd "$elsewhere"

# TensorFlow, which only the fixtures need, leaks at its end and mixes ways to free memory.
export ASAN_OPTIONS=detect_leaks=0:alloc_dealloc_mismatch=0
export UBSAN_OPTIONS=print_stacktrace=1
preload=$(gcc -print-file-name=libasan.so):$(gcc -print-file-name=libubsan.so)
sets=${MASKLSTM_ISA:-$("$python" -c '
import json
from pathlib import Path
flags = Path("/proc/cpuinfo").read_text()
needs = {"baseline": "", "avx2": "fma", "avx512": "avx512vl"}
built = json.loads(Path("masklstm/_build.json").read_text())["instruction_sets"]
print(*(name for name in built if needs[name] in flags))')}
for isa in $sets; do
  step "$isa"
  LD_PRELOAD=$preload MASKLSTM_ISA=$isa "$python" -m pytest -q -p no:cacheprovider \
    tests/ops/test_kernels.py tests/layers/test_recurrent_kernels.py "$@"
done
step "all clean"
