#!/usr/bin/env bash
# Prints the interpreter of a version of Python: scripts/find_python.sh 3.12
set -euo pipefail
version=${1:?scripts/find_python.sh needs a version, such as 3.12}
for candidate in "python$version" ~/.pyenv/versions/"$version".*/bin/python; do
  # pyenv's own python3.12 refuses to run where another version is chosen.
  if "$candidate" -c '' 2>/dev/null; then
    command -v "$candidate"
    exit
  fi
done
echo "there is no python$version, neither in PATH nor in ~/.pyenv/versions" >&2
exit 1
