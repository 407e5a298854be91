#!/usr/bin/env bash
# Installs a wheel in a fresh environment and runs the tests away from the source tree.
usage() {
  cat <<'TEXT'
Usage: scripts/test_wheel.sh WHEEL [tensorflow|tensorflow-cpu] [PYTEST ARGUMENT ...]

The second argument says which of TensorFlow's packages to install (default: tensorflow).
PYTHON chooses the interpreter.
TEXT
}
set -euo pipefail
case "${1:-}" in
  -h|--help) usage; exit 0 ;;
  "") usage >&2; exit 2 ;;
esac
wheel=$(realpath "$1")
tensorflow=${2:-tensorflow}
shift $(($# < 2 ? $# : 2))
sources=$(realpath "$(dirname "$0")/..")

elsewhere=$(mktemp -d)
trap 'rm -rf "$elsewhere"' EXIT
"${PYTHON:-python3}" -m venv "$elsewhere/venv"
pip=("$elsewhere/venv/bin/pip" --quiet --disable-pip-version-check)
"${pip[@]}" install --no-deps "$wheel"
# What the wheel asks for, but for the choice of TensorFlow's package.
"$elsewhere/venv/bin/python" - "$tensorflow" >"$elsewhere/requirements.txt" <<'PYTHON'
import re
import sys
from importlib.metadata import requires

pending, seen = {"", "test"}, set()
while pending:
    extra = pending.pop()
    seen.add(extra)
    for line in requires("masklstm"):
        requirement, _, marker = line.partition(";")
        if (re.search(r'extra == "(\w+)"', marker) or ["", ""])[1] != extra:
            continue
        ours = re.match(r"masklstm\[(\w+)\]", requirement)
        if ours:
            pending |= {ours[1]} - seen
        else:
            print(re.sub(r"^tensorflow(?=\W)", sys.argv[1], requirement.strip()))
PYTHON
"${pip[@]}" install -r "$elsewhere/requirements.txt"

cp -r "$sources/tests" "$sources/pyproject.toml" "$elsewhere/"
cd "$elsewhere"
export TF_CPP_MIN_LOG_LEVEL=2
location=$(TF_CPP_MIN_LOG_LEVEL=3 venv/bin/python -c "import masklstm; print(masklstm.__file__)")
case "$location" in
  "$elsewhere"/venv/*) echo "testing $location with $tensorflow" ;;
  *) echo "expected the installed package, got $location" >&2; exit 1 ;;
esac
venv/bin/masklstm info
venv/bin/python -m pytest --numprocesses 2 tests "$@"
