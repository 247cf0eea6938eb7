#!/bin/sh
# The command on a machine with a GPU and PyTorch's libraries: that it finds this GPU and its driver by
# itself, that it reads a process which uses it, and what the scan costs (scan.py).
#     tests/bench/scan.sh [KGUARD [CUOBJDUMP]]
# Results also go to $OUT/bench-scan.txt. Under 90 seconds on 16 cores.
set -u
here=$(cd "$(dirname "$0")" && pwd)
kguard=$(realpath "${1-$here/../../build/kguard}")
CUOBJDUMP=$(realpath "${2-$here/../../build-dev/cuobjdump}")
export CUOBJDUMP
log=${OUT:-.}/bench-scan.txt
failed=0

# expect TEXT COMMAND...: its output holds a line that matches
expect() {
    pattern=$1
    shift
    output=$("$@" 2>&1)
    if echo "$output" | grep -Eq "$pattern"; then
        echo "ok: $(echo "$output" | grep -E "$pattern" | head -n 1)"
    else
        echo "FAILED: no \"$pattern\" from $*:"
        echo "$output" | head -n 20
        failed=$((failed + 1))
    fi
}

gpu_and_process() {
    cc=$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader | head -n 1 | tr -d .)
    driver=$(nvidia-smi --query-gpu=driver_version --format=csv,noheader | head -n 1)
    echo "this machine: sm_$cc, driver $driver; $(nvidia-smi -L | head -n 1)"
    expect "\"targets\":\[\"sm_$cc\"\],\"driver\":\"$driver\"" \
        sh -c "'$kguard' scan --format=json --fail-on=never '$1' | head -c 200"
    python3 -c 'import sys, torch; torch.ones(8, device="cuda"); print("up", flush=True); sys.stdin.read()' \
        <"$fifo" >"$fifo.out" 2>&1 &
    child=$!
    exec 9>"$fifo"
    for _ in $(seq 300); do
        grep -q up "$fifo.out" && break
        sleep 0.1
    done
    echo "process: $(cat "$fifo.out")"
    expect 'libtorch_cuda\.so.*native' "$kguard" scan --pid "$child" --format=tsv --fail-on=never
    expect '^0$' sh -c "'$kguard' scan --pid $child --quiet --fail-on=never >/dev/null; echo \$?"
    exec 9>&-
    wait "$child"
}

all() {
    site=$(python3 -c 'import torch, os; print(os.path.dirname(os.path.dirname(torch.__file__)))')
    torch=$site/torch/lib/libtorch_cuda.so
    lt=$(find "$site" /usr/local/cuda*/ -name 'libcublasLt.so.1[0-9]' 2>/dev/null | head -n 1)
    gpu_and_process "$torch"
    find "$site" -type f -exec cat {} + >/dev/null
    python3 -u "$here/scan.py" "$kguard" "$lt" "$torch" "$site" || failed=$((failed + 1))
    echo "$failed parts failed"
    return "$failed"
}

fifo=$(mktemp -u)
mkfifo "$fifo"
all >"$log" 2>&1
cat "$log"
rm -f "$fifo" "$fifo.out"
tail -n 1 "$log" | grep -q '^0 parts'
