#!/usr/bin/env bash
# Builds the CUDA kernels for this machine's GPU, tests them, and measures them.
#
# Needs nvcc, CMake, ninja, a C++ compiler, and Python with NumPy, ml_dtypes, pybind11, pytest and
# rich; no network and no TensorFlow. PyTorch and CuPy are compared with where they are installed, and
# where TensorFlow sees a GPU and masklstm is installed, the op's tests run on it as well.
usage() {
  cat <<'TEXT'
Usage: scripts/gpu_check.sh [--out FILE] [--no-sanitizers] [--no-bench] [--build-only]

  --out FILE         where the measurements go (default: bench/results/gpu.json)
  --no-sanitizers    leave compute-sanitizer out
  --no-bench         leave the measurements out
  --build-only       build, and collect the tests; needs no GPU

PYTHON chooses the interpreter, MASKLSTM_CUDA_ARCHITECTURES the architecture (default: this GPU's).
TEXT
}
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}
out=bench/results/gpu.json
sanitizers=yes bench=yes run=yes
while [ $# -gt 0 ]; do
  case "$1" in
    --out) out=${2:?--out needs a file}; shift ;;
    --no-sanitizers) sanitizers=no ;;
    --no-bench) bench=no ;;
    --build-only) run=no ;;
    -h|--help) usage; exit 0 ;;
    *) echo "unknown argument: $1" >&2; usage >&2; exit 2 ;;
  esac
  shift
done
step() { printf '\n== %s\n' "$1"; }
need() { command -v "$1" >/dev/null || { echo "$1 is needed: $2" >&2; exit 1; }; }
need nvcc "install NVIDIA's CUDA toolkit, and put its bin folder into PATH"
need cmake "pip install cmake"
need ninja "pip install ninja"

step "build"
architecture=${MASKLSTM_CUDA_ARCHITECTURES:-}
if [ -z "$architecture" ]; then
  need nvidia-smi "without a GPU name an architecture: MASKLSTM_CUDA_ARCHITECTURES=90"
  architecture=$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader | head -1 | tr -d .)
fi
build=build/gpu-check
cmake -S . -B "$build" -GNinja -DMASKLSTM_CUDA=ON -DMASKLSTM_OPS=OFF \
  "-DMASKLSTM_CUDA_ARCHITECTURES=$architecture" "-DPython_EXECUTABLE=$(command -v "$python")" \
  "-Dpybind11_DIR=$("$python" -m pybind11 --cmakedir)"
cmake --build "$build"
MASKLSTM_CUDA_KERNELS=$(echo "$PWD/$build"/kernels.*.so)
export MASKLSTM_CUDA_KERNELS
# Only what is in tests/gpu: the other tests' fixtures need TensorFlow.
pytest=("$python" -m pytest -p no:cacheprovider --confcutdir=tests/gpu tests/gpu)

if [ $run = no ]; then
  step "tests, collected"
  "${pytest[@]}" -q --collect-only | tail -1
  exit
fi

step "tests"
"${pytest[@]}" -q

if [ $sanitizers = yes ]; then
  if command -v compute-sanitizer >/dev/null; then
    for tool in memcheck racecheck; do
      step "compute-sanitizer, $tool"
      compute-sanitizer --tool "$tool" --error-exitcode 1 "${pytest[@]}" -q -m sanitize
    done
  else
    step "compute-sanitizer is not in PATH: left out"
  fi
fi

if [ $bench = yes ]; then
  step "measurements"
  "$python" -m bench.gpu --kernels "$MASKLSTM_CUDA_KERNELS" --out "$out"
fi

step "TensorFlow"
if "$python" -c 'import masklstm, tensorflow as tf; exit(not tf.config.list_physical_devices("GPU"))' \
  2>/dev/null; then
  "$python" -m pytest -q tests --ignore=tests/gpu -k "not xla"
else
  echo "no TensorFlow with a GPU and masklstm here: the op's tests are left out"
fi
