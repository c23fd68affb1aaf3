#!/usr/bin/env bash
# What babyllama does on this machine's NVIDIA GPU, in less than ten minutes and without a network: every operation, whole
# runs and changes of the device against the CPU; speeds; a step that does not fit. Writes a log and a table.
#
#   tools/gpu/check.sh target/release/babyllama
#   tools/gpu/check.sh ./babyllama --output checked --peer hf_train.py --python venv/bin/python
#
# Only the program is needed. Beside it, where they are given or found:
#   --tokens FILE   little-endian 16-bit ids below 16,000 for the measured steps, in place of tokens by Zipf's law
#   --peer FILE     a PyTorch program to race against (tools/bench/race.py), with --python, an interpreter that has torch
#   recipes/        beside tools/: the quickstart's whole run
# --device names another GPU (cuda:1), --seconds another limit (570), --steps those of the runs that are compared (100).
set -u

usage() {
    sed -n '2,/^set -u/{/^#/s/^# \{0,1\}//p}' "$0"
    exit 2
}

[ $# -ge 1 ] || usage
program=$1 && shift
output=gpu-check tokens= peer= python=python3 device=cuda seconds=570 steps=100
while [ $# -gt 0 ]; do
    [ $# -ge 2 ] || usage
    case $1 in
        --output) output=$2 ;;
        --tokens) tokens=$2 ;;
        --peer) peer=$2 ;;
        --python) python=$2 ;;
        --device) device=$2 ;;
        --seconds) seconds=$2 ;;
        --steps) steps=$2 ;;
        *) usage ;;
    esac
    shift 2
done
case $program in */*) ;; *) program=./$program ;; esac
[ -x "$program" ] || { echo "error: $program is no program" >&2; exit 2; }
repository=$(cd "$(dirname "$0")/../.." && pwd)
mkdir -p "$output" || exit 1
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
log=$output/log.txt table=$output/table.txt failed=0
: >"$log"

# Folders of NVRTC and cuBLASLt: the toolkit's, the system's, conda's, and those of Python's packages.
library_folders() {
    local folder
    {
        printf '%s\n' /usr/local/cuda*/lib64 /usr/local/cuda*/targets/*/lib "${CONDA_PREFIX:-/none}/lib"
        "$python" -c 'import glob, sys
for path in filter(None, sys.path):
    print(*sorted(glob.glob(path + "/nvidia/*/lib")), sep="\n")' 2>/dev/null
    } | while read -r folder; do
        [ -n "$folder" ] && compgen -G "$folder/lib[nc][vu][rb][tl]*.so*" >/dev/null && echo "$folder"
    done
}
found=$(library_folders | awk '!seen[$0]++' | paste -sd: -)
export LD_LIBRARY_PATH="${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH${found:+:}}$found"
# A cache of its own, so that the kernels are compiled here and now.
export XDG_CACHE_HOME="$work/cache"

say() { echo "$@" | tee -a "$log"; }

# The numbers of a part that belong into the table.
findings() {
    awk '
        /^tokens\/s / { add($(NF - 1) " tokens/s") }
        /^tokens\/s, outputs on the device/ { add($(NF - 1) " tokens/s with outputs on the device") }
        /^sentences\/s / { add($(NF - 1) " sentences/s") }
        /^TFLOP\/s  / { add($(NF - 1) " TFLOP/s") }
        /^of the dense product peak/ { add($(NF - 3) " % of the dense peak") }
        /^product of two matrices/ { add($(NF - 1) " TFLOP/s dense") }
        /^memory, one vector to another/ { add($(NF - 1) " GB/s") }
        /kernels a step, .* in .* graphs/ { add($0) }
        /^device memory in use/ { sub("device memory in use: ", ""); add($0 " in use") }
        /checks passed|checks FAILED/ { add($0) }
        /of a step.s .* at a time/ { sub("^.*takes ", ""); add($0) }
        /^error:/ { add($0) }
        /, ratio [0-9]/ { sub(", pair [0-9]*:", ":"); sub(";.*", ""); add($0) }
        function add(text) { line = line (line == "" ? "" : "; ") text }
        END { print line }
    ' "$@"
}

# part NAME LIMIT COMMAND...: runs a command for so many seconds at most and puts a line into the table.
part() {
    local name=$1 limit=$2 left=$((seconds - SECONDS)) begun=$SECONDS status verdict
    shift 2
    say "== $name"
    [ "$limit" -gt "$left" ] && limit=$left
    if [ "$limit" -lt 5 ]; then
        row "$name" 0 "left out" "no time left"
        return 1
    fi
    echo "$ $*" >>"$log"
    timeout -k 5 "$limit" "$@" >"$work/out" 2>"$work/err"
    status=$?
    cat "$work/err" "$work/out" >>"$log"
    case $status in
        0) verdict=ok ;;
        124 | 137) verdict="TIMED OUT" && failed=1 ;;
        *) verdict="FAILED ($status)" && failed=1 ;;
    esac
    row "$name" $((SECONDS - begun)) "$verdict" "$(findings "$work/out" "$work/err")"
    return $status
}

row() {
    printf '%-34s %4s s  %-12s %s\n' "$1" "$2" "$3" "$4" >>"$table.new"
    echo "   $3 ${4:+: $4}"
}

facts() {
    date -u +'%Y-%m-%d %H:%M UTC'
    "$program" --version
    sha256sum "$program" 2>/dev/null
    grep -m1 'model name' /proc/cpuinfo 2>/dev/null
    echo "$(nproc) cores; libraries in ${LD_LIBRARY_PATH:-the usual places}"
    nvidia-smi --query-gpu=index,name,compute_cap,driver_version,memory.total,memory.used,clocks.max.sm,power.limit \
        --format=csv || echo "nvidia-smi does not answer"
}

# A step of a million tokens, more than any card holds at a time.
too_large() {
    cat >"$work/large.toml" <<'RECIPE'
[corpus]
source = "builtin"
[models.large]
architecture = "llama"
hidden_size = 512
intermediate_size = 1024
num_layers = 16
num_heads = 8
[models.large.train]
batch_size = 8192
sequence_length = 128
max_steps = 2
RECIPE
    yes | head -c 2200000 >"$work/large.bin"
    part "a step of 1,048,576 tokens, 58m" 60 "$program" pretrain --config "$work/large.toml" --model large \
        --tokens "$work/large.bin" --raw-tokens --vocab-size 16000 --output "$work/large" --device "$device"
}

bench() {
    local name=$1 limit=$2
    shift 2
    part "$name" "$limit" "$program" bench "$@" --device "$device"
}

: >"$table.new"
say "== facts"
facts 2>&1 | tee -a "$log" "$work/facts"
for precision in f32 bf16; do
    part "check in $precision" 120 "$program" check --steps "$steps" --device "$device" --precision "$precision"
done
read=(${tokens:+--tokens "$tokens" --raw-tokens})
bench "products and memory, 345m" 40 machine --preset 345m
bench "58m, 4,096 tokens a step" 40 train --preset 58m --steps 30 --warmup 6 "${read[@]}"
bench "16m, 2,048 tokens a step" 30 train --preset 16m --steps 60 --warmup 8 "${read[@]}"
bench "the same without graphs" 30 train --preset 16m --steps 60 --warmup 8 --only-steps --no-graphs "${read[@]}"
bench "345m, 16,384 tokens a step" 60 train --preset 345m --tokens-per-step 16384 --steps 20 --warmup 6 "${read[@]}"
bench "345m, all 16,384 at a time" 60 train --preset 345m --tokens-per-step 16384 --micro-batch-size 0 --steps 20 \
    --warmup 6 --only-steps "${read[@]}"
bench "58m from 360m and 705m, hidden" 60 distill --preset babyllama-1 --teachers hidden --steps 20 --warmup 6 "${read[@]}"
bench "58m from 360m and 705m, online" 60 distill --preset babyllama-1 --steps 10 --warmup 6 "${read[@]}"
bench "scoring of minimal pairs, 58m" 40 evaluate --preset 58m
too_large
if [ -f "$repository/recipes/quickstart.toml" ]; then
    part "the quickstart's whole run" 150 "$program" run "$repository/recipes/quickstart.toml" \
        --output "$work/quickstart" --device "$device"
fi
if [ -n "$peer" ]; then
    part "race against $(basename "$peer")" 300 "$python" "$repository/tools/bench/race.py" --babyllama "$program" \
        --peer "$peer" --python "$python" --device "$device" --work "$work/race" --output "$output/race.md" \
        --cases 345m-16k:10:1 58m-compile:20:1 babyllama-1-hidden:5:1
fi

{
    cat "$work/facts"
    echo
    cat "$table.new"
    echo
    [ "$failed" = 0 ] && echo "Everything that was run went well, in $SECONDS seconds." || echo "SOMETHING FAILED; see log.txt."
} >"$table"
rm -f "$table.new"
echo
cat "$table" | tee -a "$log"
exit "$failed"
