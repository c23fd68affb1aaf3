#!/bin/sh
# Builds the emulator into a folder and tests it: self_test.sh [FOLDER]
set -eu
here=$(cd "$(dirname "$0")" && pwd)
temporary=
trap '[ -z "$temporary" ] || rm -rf "$temporary"' EXIT
[ $# -ge 1 ] || temporary=$(mktemp -d)
out=${1:-$temporary}
"$here/build.sh" "$out"
test=$out/self_test
${CXX:-c++} -std=c++17 -O1 -Wall -Wextra -pthread -o "$test" "$here"/self_test/*.cpp -ldl
common=$here/../../../crates/engine/src/cuda/common.cuh
log=$out/self_test.log
# Most tests provoke a complaint; they only matter if one fails.
LD_LIBRARY_PATH=$out EMULATOR_CACHE=${EMULATOR_CACHE:-$out/cache} "$test" "$common" "$here/self_test/kernels.cu" 2>"$log" ||
    { cat "$log" >&2; exit 1; }
