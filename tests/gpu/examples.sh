#!/bin/bash
# examples/ on a real GPU: the driver API program and the PyTorch extension, with the fault and cured.
# Needs what tests/gpu/check.sh needs, but of what is carried only build/; about two minutes. What was said goes
# to $OUT/examples.txt, or build-gpu/results.
set -eu
cd "$(dirname "$0")/../.."
out=${OUT:-build-gpu/results} cuda=${CUDA_HOME:-/usr/local/cuda}
export CUDA_HOME=$cuda PATH="$PATH:$cuda/bin" MAX_JOBS=4
mkdir -p "$out"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
exec > >(tee "$out/examples.txt") 2>&1

failed=0
# expect NAME CODE PATTERN... -- COMMAND: its exit code, and what it says
expect() {
    local name=$1 code=$2 patterns=() got=0 result=ok
    shift 2
    while [ "$1" != -- ]; do
        patterns+=("$1")
        shift
    done
    shift
    "$@" >"$work/said" 2>&1 || got=$?
    [ $got = "$code" ] || result="FAIL (exit $got)"
    for pattern in "${patterns[@]}"; do
        grep -qE "$pattern" "$work/said" || result="FAIL (not said: $pattern)"
    done
    [ "$result" = ok ] || failed=1
    echo "== $name: $result"
    sed 's/^/   /' "$work/said"
}

# The target of this GPU, and the file of the two that lacks it.
cc=$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader | head -n 1)
case $cc in
10.* | 12.*) lacks=60-90 fits=120 ;;
*) lacks=120 fits=60-90 ;;
esac
other=8.0
[ "$cc" = 8.0 ] && other=9.0

nvcc -x c -Iinclude examples/driver.c -o "$work/driver" -L"$cuda/lib64/stubs" -lcuda
expect "driver.c, works" 0 '^0$' '^1$' '^2$' -- build/kguard run -- "$work/driver" \
    examples/voxelize.sm_$fits.fatbin
expect "driver.c, fails" 1 "error\[KG101\]: kernel voxelize_kernel" -- build/kguard run -- \
    "$work/driver" examples/voxelize.sm_$lacks.fatbin

# As setup.py says, with this GPU's number where that is needed.
build() {
    rm -rf "$work/site" "$work/source"
    cp -r examples/torch_extension "$work/source"
    TORCH_CUDA_ARCH_LIST=$1 python3 -m pip install -q --no-index --no-deps --no-build-isolation \
        --target "$work/site" "$work/source" >"$work/log" 2>&1 || cat "$work/log"
}
build $other
expect "torch_extension, the fault" 1 "error\[KG101\]: kernel voxelize_kernel" "library .*voxelize" \
    "RuntimeError: CUDA error: no kernel image" -- \
    env PYTHONPATH="$work/site" build/kguard run -- python3 examples/torch_extension/run.py
expect "torch_extension, seen before" 1 KG101 -- build/kguard scan --target "$cc" "$work/site"
build "$cc+PTX"
expect "torch_extension, the cure" 0 'voxels: \[0, 1, 2\]' "no CUDA call was seen to fail" -- \
    env PYTHONPATH="$work/site" build/kguard run -- python3 examples/torch_extension/run.py
exit $failed
