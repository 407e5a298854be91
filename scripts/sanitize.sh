#!/usr/bin/env bash
# Builds the CPU kernels with gcc's AddressSanitizer and UndefinedBehaviorSanitizer, and runs their
# tests on NumPy arrays with them.
usage() {
  cat <<'TEXT'
Usage: scripts/sanitize.sh [-k EXPRESSION] [PYTEST ARGUMENTS]

Runs tests/kernels with a build of masklstm.kernels that stops at the first access out of bounds, integer
overflow or the like. Arguments are handed on to pytest. Once per instruction set that this machine has;
MASKLSTM_ISA chooses one.

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

export MASKLSTM_KERNELS=$(ls "$PWD/$build"/kernels.*.so)
# NumPy's memory is not given back at the end.
export ASAN_OPTIONS=detect_leaks=0
export UBSAN_OPTIONS=print_stacktrace=1
preload=$(gcc -print-file-name=libasan.so):$(gcc -print-file-name=libubsan.so)
# Those that were built and that this processor has, as the error for another one lists them.
load='import importlib.util, os
spec = importlib.util.spec_from_file_location("kernels", os.environ["MASKLSTM_KERNELS"])
spec.loader.exec_module(importlib.util.module_from_spec(spec))'
sets=${MASKLSTM_ISA:-$(LD_PRELOAD=$preload MASKLSTM_ISA=none "$python" -c "$load" 2>&1 |
  sed -n 's/.*one of {\(.*\)}.*/\1/p' | tr -d , || true)}
for isa in $sets; do
  step "$isa"
  LD_PRELOAD=$preload MASKLSTM_ISA=$isa "$python" -m pytest -q -p no:cacheprovider \
    --confcutdir=tests/kernels tests/kernels "$@"
done
step "all clean"
