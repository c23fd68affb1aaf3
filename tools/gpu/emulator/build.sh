#!/bin/sh
# Builds the emulator's libraries: build.sh FOLDER
set -eu
[ $# -eq 1 ] || { echo "usage: $0 FOLDER" >&2; exit 2; }
command -v "${CXX:-c++}" >/dev/null || {
    echo "error: the emulator needs a C++ compiler: install g++ 12 or newer, or name one in CXX" >&2
    exit 1
}
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1"
out=$(cd "$1" && pwd)
flags="-std=c++17 -fPIC -shared -fvisibility=hidden -Wall -Wextra -Wno-unused-parameter -pthread"

# Libraries are replaced as wholes: a process that runs keeps the one that it has.
build() {
    name=$1
    shift
    ${CXX:-c++} $flags -Wl,-soname,"$name" -o "$out/$name.new" "$@" -ldl
    mv -f "$out/$name.new" "$out/$name"
}

build libcuda.so.1 -O2 "$here"/driver/*.cpp
build libnvrtc.so.13 -O2 "$here"/nvrtc/*.cpp
build libcublasLt.so.13 -O3 -march=native "$here"/cublaslt/*.cpp

# Under the names that programs look for.
ln -sf libcuda.so.1 "$out/libcuda.so"
for library in libnvrtc libcublasLt; do
    for end in so so.12; do ln -sf "$library.so.13" "$out/$library.$end"; done
done
rm -rf "$out/shim.new"
cp -r "$here/shim" "$out/shim.new"
rm -rf "$out/shim"
mv "$out/shim.new" "$out/shim"
