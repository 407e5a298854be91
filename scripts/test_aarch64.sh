#!/usr/bin/env bash
# Compiles the CPU kernels for 64-bit ARM, runs their tests in an emulator, and compares their bits with
# those of this machine's.
usage() {
  cat <<'TEXT'
Usage: scripts/test_aarch64.sh [--record] [PYTEST ARGUMENT ...]

  --record   put the result into docs/tested.jsonl and the table of docs/wheels.md

Runs tests/kernels under qemu, with Debian's Python for ARM and the wheels of NumPy, which are kept in
build/aarch64; TensorFlow is not needed. Needs Debian 12 or newer and its packages
g++-aarch64-linux-gnu and qemu-user. PYTHON chooses the interpreter (default: .venv/bin/python); it has
masklstm and its test requirements.
TEXT
}
set -euo pipefail
record=''
case "${1:-}" in
  -h|--help) usage; exit 0 ;;
  --record) record=yes; shift ;;
esac
cd "$(dirname "$0")/.."
python=$(command -v "${PYTHON:-.venv/bin/python}")
step() { printf '\n== %s\n' "$1"; }
for tool in aarch64-linux-gnu-g++ qemu-aarch64 apt-get dpkg-deb; do
  command -v "$tool" >/dev/null || {
    echo "$tool is needed: apt-get install g++-aarch64-linux-gnu qemu-user" >&2; exit 1; }
done
folder=$PWD/build/aarch64
root=$folder/root packages=$folder/packages

# Debian's Python 3 for ARM, by a package manager with a state of its own: this system is left alone.
if [ ! -e "$folder/.unpacked" ]; then
  step "Python for ARM"
  rm -rf "$folder"
  mkdir -p "$root" "$folder"/apt/{lists/partial,cache/archives/partial}
  touch "$folder/apt/status"
  apt=(apt-get -qq -o APT::Architecture=arm64 -o APT::Architectures=arm64 -o "Dir::State=$folder/apt"
    -o "Dir::State::status=$folder/apt/status" -o "Dir::Cache=$folder/apt/cache"
    -o APT::Sandbox::User=root -o APT::Install-Recommends=false)
  "${apt[@]}" update
  version=$("${apt[@]}" -s install python3 | grep -o 'python3\.[0-9]*' | head -1)
  "${apt[@]}" -y --download-only install "$version" "lib$version-dev" libstdc++6
  for package in "$folder"/apt/cache/archives/*.deb; do dpkg-deb -x "$package" "$root"; done
  "$python" -m pip install --quiet --disable-pip-version-check --target "$packages" \
    --only-binary :all: --implementation cp --python-version "${version#python}" \
    --platform manylinux2014_aarch64 --platform manylinux_2_28_aarch64 \
    numpy ml_dtypes pytest pytest-xdist
  # What starts Python again starts the emulator.
  cat >"$folder/python" <<TEXT
#!/bin/sh
export PYTHONHOME=$root/usr PYTHONPATH=$packages\${PYTHONPATH:+:\$PYTHONPATH}
exec qemu-aarch64 -L $root $root/usr/bin/$version "\$@"
TEXT
  chmod +x "$folder/python"
  echo "import sys; sys.executable = '$folder/python'" >"$packages/sitecustomize.py"
  touch "$folder/.unpacked"
fi
version=$("$folder/python" -c 'import sys; print("python%d.%d" % sys.version_info[:2])')

step "build"
cmake -S . -B "$folder/build" -GNinja -DMASKLSTM_OPS=OFF -DMASKLSTM_CUDA=OFF \
  -DCMAKE_SYSTEM_NAME=Linux -DCMAKE_SYSTEM_PROCESSOR=aarch64 \
  -DCMAKE_CXX_COMPILER=aarch64-linux-gnu-g++ "-DCMAKE_CXX_FLAGS=-idirafter $root/usr/include" \
  "-DPython_EXECUTABLE=$python" "-DPython_INCLUDE_DIR=$root/usr/include/$version" \
  "-Dpybind11_DIR=$("$python" -m pybind11 --cmakedir)"
cmake --build "$folder/build"
kernels=$(ls "$folder"/build/kernels.*.so)

step "the same bits as this machine's baseline"
export PYTHONPATH=tests TF_CPP_MIN_LOG_LEVEL=3
here=$("$python" -c 'import importlib.util; print(importlib.util.find_spec("masklstm").submodule_search_locations[0])')
MASKLSTM_KERNELS=$(ls "$here"/kernels.*.so) MASKLSTM_ISA=baseline "$python" tests/kernels/bits.py "$folder/numbers.npz" --draw \
  >"$folder/bits-here"
MASKLSTM_KERNELS=$kernels "$folder/python" tests/kernels/bits.py "$folder/numbers.npz" \
  >"$folder/bits-there"
cat "$folder/bits-there"
if ! diff "$folder/bits-here" "$folder/bits-there"; then
  echo "the bits differ" >&2
  exit 1
fi

step "tests: half an hour"
status=0
MASKLSTM_KERNELS=$kernels "$folder/python" -m pytest -q -p no:cacheprovider --numprocesses 2 \
  --dist worksteal --confcutdir=tests/kernels "--junitxml=$folder/results.xml" tests/kernels "$@" || status=$?
if [ -n "$record" ]; then
  versions=$("$folder/python" -c 'import numpy, platform; print(platform.python_version(), numpy.__version__)')
  # shellcheck disable=SC2086  # two words
  "$python" docs/scripts/tested.py add-arm $versions "$folder/results.xml"
fi
exit $status
