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
python=''
for candidate in "python$version" ~/.pyenv/versions/"$version".*/bin/python; do  # pyenv's shim may refuse
  if "$candidate" -c '' 2>/dev/null; then python=$(command -v "$candidate"); fi
done
if [ -z "$python" ]; then
  echo "there is no python$version, neither in PATH nor in ~/.pyenv/versions" >&2
  exit 1
fi
newest=$(python3 -c "
import sys
sys.path.insert(0, '$here/../build_support')
import installed_tensorflow
print(installed_tensorflow.MINORS[-1])")
exec "$here/test_minor.sh" "${TENSORFLOW:-$newest}" --python "$python" "$@"
