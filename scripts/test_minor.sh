#!/usr/bin/env bash
# Builds masklstm from its sdist for one minor version of TensorFlow, as a user does, and runs the tests
# there, away from the source tree.
usage() {
  cat <<'TEXT'
Usage: scripts/test_minor.sh MINOR [OPTION ...] [-- PYTEST ARGUMENT ...]

MINOR is a minor version of TensorFlow, such as 2.19.

  --python P       the interpreter (default: python3)
  --package NAME   what provides TensorFlow (default: tensorflow-cpu)
  --keras VERSION  which Keras, such as 3.6 (default: the newest that fits)
  --tree           from the source tree instead, which uses what was compiled there before
  --pure           without the native part (MASKLSTM_NATIVE=OFF), and without a compiler in PATH
  --record         put the result into docs/tested.jsonl and the table of docs/wheels.md

Fails if installing masklstm changes the installed TensorFlow. Needs 3 GB of room in TMPDIR.
TEXT
}
set -euo pipefail
minor=${1:-}
case "$minor" in
  -h|--help) usage; exit 0 ;;
  [0-9]*.[0-9]*) shift ;;
  *) usage >&2; exit 2 ;;
esac
python=python3 package=tensorflow-cpu keras='' tree='' pure='' record=''
while [ $# -gt 0 ]; do
  case "$1" in
    --python) python=${2:?--python needs an interpreter}; shift ;;
    --package) package=${2:?--package needs a name}; shift ;;
    --keras) keras=${2:?--keras needs a version}; shift ;;
    --tree) tree=yes ;;
    --pure) pure=yes ;;
    --record) record=yes ;;
    --) shift; break ;;
    *) echo "unknown argument: $1" >&2; usage >&2; exit 2 ;;
  esac
  shift
done
python=$(command -v "$python")
sources=$(realpath "$(dirname "$0")/..")
step() { printf "\n== %s: %s\n" "$(date +%T)" "$1"; }

elsewhere=$(mktemp -d)
trap 'rm -rf "$elsewhere"' EXIT
# What is not imported need not be compiled either.
export PIP_NO_COMPILE=1 PIP_DISABLE_PIP_VERSION_CHECK=1 TF_CPP_MIN_LOG_LEVEL=2
venv=$elsewhere/venv

step "$package $minor for $("$python" --version)"
"$python" -m venv "$venv"
"$venv/bin/pip" install --quiet --upgrade "pip>=23" build
"$venv/bin/pip" install --quiet "$package==$minor.*" ${keras:+"keras==$keras.*"}
# The name, the version and the size of each file of TensorFlow's.
tensorflow_files() {
  "$venv/bin/python" -c '
import importlib.metadata, sys
distribution = importlib.metadata.distribution(sys.argv[1])
print(distribution.version)
for file in distribution.files:
    path = file.locate()
    print(file, path.stat().st_size if path.exists() else None)
' "$package" | grep -v -e __pycache__ -e '\.dist-info/'
}
tensorflow_files >"$elsewhere/before"

step "masklstm"
from=$sources
if [ -z "$tree" ]; then
  "$venv/bin/python" -m build --sdist --outdir "$elsewhere/dist" "$sources" >"$elsewhere/sdist.log" ||
    { cat "$elsewhere/sdist.log"; exit 1; }
  from=$(ls "$elsewhere"/dist/*.tar.gz)
fi
if [ -n "$pure" ]; then
  MASKLSTM_NATIVE=OFF PATH=$venv/bin "$venv/bin/pip" install --quiet "$from[test]"
else
  "$venv/bin/pip" install --quiet "$from[test]"
fi
tensorflow_files >"$elsewhere/after"
if ! cmp -s "$elsewhere/before" "$elsewhere/after"; then
  echo "installing masklstm changed $package:" >&2
  diff "$elsewhere/before" "$elsewhere/after" | head >&2
  exit 1
fi
"$venv/bin/pip" check

cp -r "$sources/tests" "$sources/pyproject.toml" "$elsewhere/"
cd "$elsewhere"
location=$(venv/bin/python -W ignore -c "import masklstm; print(masklstm.__file__)")
case "$location" in
  "$elsewhere"/venv/*) ;;
  *) echo "expected the installed package, got $location" >&2; exit 1 ;;
esac
venv/bin/python -W ignore -m masklstm info

step "the tests, away from the source tree"
status=0
venv/bin/python -m pytest --numprocesses 2 --dist worksteal -q --junitxml=results.xml "$@" || status=$?
if [ -n "$record" ]; then
  venv/bin/python -W ignore "$sources/docs/scripts/tested.py" add "$package" results.xml
fi
exit $status
