#!/bin/sh
# KGUARD_JIT on a real GPU: tests/gpu/jit/check.sh [PATTERN...]. Needs build/libkguard.so and build-gpu/
# (tests/gpu/prepare.sh, then tests/gpu/jit/prepare.sh); results in $OUT, or build-gpu/results.
cd "$(dirname "$0")/../../.." || exit 2
export OUT="${OUT:-$PWD/build-gpu/results}"
exec python3 -u tests/gpu/jit/check.py check "$@"
