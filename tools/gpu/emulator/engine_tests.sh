#!/usr/bin/env bash
# Builds the emulator, tests it, and runs the engine's CUDA tests on it: engine_tests.sh [FOLDER]
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cd "$here/../../.."
out=${1:-target/emulator}
mkdir -p "$out"
out=$(cd "$out" && pwd)
export EMULATOR_CACHE=$out/kernels
mkdir -p "$EMULATOR_CACHE"
"$here/self_test.sh" "$out"

# The engine's unit tests, as the workspace builds them.
tests=$(cargo test --release --workspace --locked --lib --no-run --message-format=json |
    sed -n 's/.*"name":"engine".*"executable":"\([^"]*\)".*/\1/p')
[ -x "$tests" ] || { echo "error: the engine's unit tests were not built" >&2; exit 1; }

# run NAME PRECISION ORDER ARGUMENTS...: runs tests on the emulated GPU.
run() {
    local name=$1 precision=$2 order=$3
    shift 3
    LD_LIBRARY_PATH=$out BABYLLAMA_TEST_DEVICE=cuda:$precision EMULATED_ORDER=$order \
        "$tests" --test-threads=1 "$@" >"$out/$name.log" 2>&1 ||
        { cat "$out/$name.log" >&2; echo "error: CUDA tests failed: $name" >&2; return 1; }
    echo "CUDA tests on the emulator, $name: $(grep '^test result' "$out/$name.log")"
}

# All tests in f32; every operation against the CPU in bf16, in either order of blocks and threads.
run f32 f32 forward --include-ignored &
in_f32=$!
run bf16 bf16 forward --ignored a_device_computes
run bf16-backward bf16 backward --ignored a_device_computes
wait "$in_f32"
