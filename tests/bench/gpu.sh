#!/bin/sh
# What the shim costs on a real GPU, measured side by side in this run: launches per second, and
# PyTorch's import with its first 1 000 operations. Needs build/ and build-gpu/ (tests/gpu/prepare.sh)
# and an otherwise idle machine. Under 3 minutes; numbers go to $OUT/bench-gpu.txt too.
cd "$(dirname "$0")/../.." || exit 2
export OUT="${OUT:-$PWD/build-gpu/results}"
exec python3 -u tests/bench/gpu.py "$@"
