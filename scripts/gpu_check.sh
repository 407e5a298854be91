#!/usr/bin/env bash
# Builds the CUDA kernels for this machine's GPU, tests them, and measures them.
#
# Needs nvcc, CMake, ninja and a C++ compiler (with --kernels none of these), and Python with NumPy,
# ml_dtypes, pybind11, pytest and rich; no network and no TensorFlow. PyTorch and CuPy are compared with
# where they are installed, and where TensorFlow sees a GPU and masklstm is installed, the op's tests
# run on it as well.
usage() {
  cat <<'TEXT'
Usage: scripts/gpu_check.sh [--kernels FILE] [--out FILE] [--no-sanitizers] [--no-bench] [--build-only]

  --kernels FILE     the module kernels.*.so of a build with CUDA, made elsewhere: nothing is built
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
kernels='' sanitizers=yes bench=yes run=yes
while [ $# -gt 0 ]; do
  case "$1" in
    --kernels) kernels=$(realpath "${2:?--kernels needs a file}"); shift ;;
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
if [ -n "$kernels" ]; then
  [ -f "$kernels" ] || { echo "--kernels: there is no file $kernels" >&2; exit 2; }
else
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
  kernels=$(echo "$PWD/$build"/kernels.*.so)
fi
export MASKLSTM_CUDA_KERNELS=$kernels
# Only what is in tests/gpu: the other tests' fixtures need TensorFlow.
pytest=("$python" -m pytest -p no:cacheprovider --confcutdir=tests/gpu tests/gpu)

if [ $run = no ]; then
  step "tests, collected"
  "${pytest[@]}" -q --collect-only | tail -1
  exit
fi

# What fails does not keep the rest from running.
failed=()
attempt() { step "$1"; local name=$1; shift; "$@" || failed+=("$name"); }

attempt "tests" "${pytest[@]}" -q

if [ $sanitizers = yes ]; then
  if command -v compute-sanitizer >/dev/null; then
    for tool in memcheck racecheck; do
      attempt "compute-sanitizer, $tool" \
        compute-sanitizer --tool "$tool" --error-exitcode 1 "${pytest[@]}" -q -m sanitize
    done
  else
    step "compute-sanitizer is not in PATH: left out"
  fi
fi

if [ $bench = yes ]; then
  attempt "measurements" "$python" -m bench.gpu --kernels "$MASKLSTM_CUDA_KERNELS" --out "$out"
fi

# Away from the source tree, so that the installed package is tested.
elsewhere=$(mktemp -d)
trap 'rm -rf "$elsewhere"' EXIT
cp -r tests pyproject.toml "$elsewhere/"
cd "$elsewhere"
has_op='
import masklstm, tensorflow as tf
from masklstm._core import library
assert tf.config.list_physical_devices("GPU"), "TensorFlow sees no GPU"
assert library.build["cuda"], "the installed masklstm was built without CUDA"
assert "GPU" in masklstm.ops.masked_loss(tf.ones(3), tf.ones(3)).device
'
if reason=$("$python" -c "$has_op" 2>&1); then
  attempt "the op within TensorFlow" \
    "$python" -m pytest -q tests --ignore=tests/gpu -k "not xla and not replica"
else
  step "the op within TensorFlow is left out: $(echo "$reason" | tail -1)"
fi

if [ ${#failed[@]} -gt 0 ]; then
  step "failed: ${failed[*]}"
  exit 1
fi
step "all passed"
