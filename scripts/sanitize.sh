#!/usr/bin/env bash
# Builds the CPU kernels with one of gcc's sanitizers, and runs their tests and a share of the campaign.
usage() {
  cat <<'TEXT'
Usage: scripts/sanitize.sh [asan|ubsan|tsan ...] [--record] [-- PYTEST ARGUMENT ...]

  asan    AddressSanitizer: accesses out of bounds, memory that was given back
  ubsan   UndefinedBehaviorSanitizer: overflows, shifts, conversions without a meaning
  tsan    ThreadSanitizer: data races of the kernels' threads

Without one of these all three, one after the other. Each is first shown a fault that it must see
(tests/sanitizers/canary.cc). Runs tests/kernels and the campaign's parts on NumPy arrays with a build of
masklstm.kernels that stops at the first fault, once for each instruction set that this machine has;
MASKLSTM_ISA chooses one. --record adds lines to docs/sanitizers.jsonl. SANITIZE_CASES is the number of the campaign's cases of each part (default 2000).

PYTHON chooses the interpreter (default: .venv/bin/python), which has masklstm's test requirements.
TEXT
}
set -euo pipefail
chosen=() record=''
while [ $# -gt 0 ]; do
  case "$1" in
    -h | --help) usage; exit ;;
    asan | ubsan | tsan) chosen+=("$1"); shift ;;
    --record) record=yes; shift ;;
    --) shift; break ;;
    *) echo "unknown argument: $1" >&2; usage >&2; exit 2 ;;
  esac
done
[ ${#chosen[@]} -gt 0 ] || chosen=(asan ubsan tsan)
cd "$(dirname "$0")/.."
python=$(command -v "${PYTHON:-$PWD/.venv/bin/python}")
cases=${SANITIZE_CASES:-2000}
step() { printf '\n== %s: %s\n' "$(date +%T)" "$1"; }

# Unoptimized: it compiles in minutes, and wrong accesses stay where they are.
declare -A flags=(
  [asan]="-O0 -fsanitize=address"
  [ubsan]="-O0 -fsanitize=undefined -fno-sanitize=alignment -fno-sanitize-recover=all"
  [tsan]="-O1 -fsanitize=thread"
)
declare -A reports=(
  [asan]="heap-buffer-overflow" [ubsan]="signed integer overflow" [tsan]="data race"
)
# NumPy's memory is not given back at the end.
export ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=print_stacktrace=1 TSAN_OPTIONS=halt_on_error=1

for sanitizer in "${chosen[@]}"; do
  options="${flags[$sanitizer]} -g1 -fno-omit-frame-pointer"
  build=$PWD/build/sanitize-$sanitizer
  # With the library of C++: else AddressSanitizer finds no exceptions in a Python without it.
  preload="$(gcc -print-file-name=lib$sanitizer.so) $(gcc -print-file-name=libstdc++.so)"
  mkdir -p "$build"

  step "$sanitizer: does it see a fault?"
  # shellcheck disable=SC2086  # several words
  g++ $options -shared -fPIC -pthread tests/sanitizers/canary.cc -o "$build/canary.so"
  if LD_PRELOAD=$preload "$python" -c "
import ctypes
ctypes.CDLL('$build/canary.so').$sanitizer(3)" >"$build/canary.log" 2>&1 ||
    ! grep -q "${reports[$sanitizer]}" "$build/canary.log"; then
    cat "$build/canary.log"
    echo "$sanitizer did not see the seeded fault" >&2
    exit 1
  fi
  grep -m1 "${reports[$sanitizer]}" "$build/canary.log"

  step "$sanitizer: build"
  cmake -S . -B "$build" -GNinja -DMASKLSTM_OPS=OFF -DMASKLSTM_CUDA=OFF -DCMAKE_BUILD_TYPE=Debug \
    "-DCMAKE_CXX_FLAGS_DEBUG=$options" "-DPython_EXECUTABLE=$python" \
    "-Dpybind11_DIR=$("$python" -m pybind11 --cmakedir)" >"$build/configure.log" ||
    { cat "$build/configure.log"; exit 1; }
  cmake --build "$build"
  export MASKLSTM_KERNELS=$(ls "$build"/kernels.*.so)
  # Those that were built and that this processor has, as the error for another one lists them.
  load='import importlib.util, os
spec = importlib.util.spec_from_file_location("kernels", os.environ["MASKLSTM_KERNELS"])
spec.loader.exec_module(importlib.util.module_from_spec(spec))'
  sets=${MASKLSTM_ISA:-$(LD_PRELOAD=$preload MASKLSTM_ISA=none "$python" -c "$load" 2>&1 |
    sed -n 's/.*one of {\(.*\)}.*/\1/p' | tr -d , || true)}
  [ -n "$sets" ] || { echo "$sanitizer: no instruction set could be run" >&2; exit 1; }
  for isa in $sets; do
    step "$sanitizer: tests, $isa"
    LD_PRELOAD=$preload MASKLSTM_ISA=$isa "$python" -m pytest -q -p no:cacheprovider \
      --confcutdir=tests/kernels tests/kernels "$@" | tee "$build/tests.log"
    step "$sanitizer: campaign, $isa"
    parts=(kernels channels recurrent arrays)
    (cd tests && LD_PRELOAD=$preload MASKLSTM_ISA=$isa "$python" -m campaign \
      "${parts[@]}" --cases "$cases" --seed 1)
    # Each of these ends at the first report, and with it this script.
    [ -z "$record" ] || printf '{"sanitizer": "%s", "instruction_set": "%s", "passed": %d, "cases": %d, "reports": 0, "date": "%s", "commit": "%s"}\n' \
      "$sanitizer" "$isa" "$(grep -oE '[0-9]+ passed' "$build/tests.log" | grep -oE '[0-9]+')" \
      $((${#parts[@]} * cases)) "$(date +%F)" "$(git rev-parse --short HEAD)" >>docs/sanitizers.jsonl
  done
done
step "all clean"
