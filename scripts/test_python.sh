#!/usr/bin/env bash
# Builds masklstm from its sdist for one version of Python, and runs the tests there.
usage() {
  cat <<'TEXT'
Usage: scripts/test_python.sh VERSION [OPTION ...] [-- PYTEST ARGUMENT ...]

VERSION is a version of Python, such as 3.12, whose python3.12 is in PATH or in pyenv's folder.
TENSORFLOW chooses TensorFlow's minor version (default: the newest). Options are those of
scripts/test_minor.sh.
TEXT
}
set -euo pipefail
version=${1:-}
case "$version" in
  -h|--help) usage; exit 0 ;;
  3.*) shift ;;
  *) usage >&2; exit 2 ;;
esac
here=$(dirname "$0")
python=$("$here/find_python.sh" "$version")
minors=$(python3 "$here/../build_support/installed_tensorflow.py" minors)
exec "$here/test_minor.sh" "${TENSORFLOW:-${minors##* }}" --python "$python" "$@"
