#!/bin/sh
# Programs, tools and other projects' test suites on a real GPU, with build/libkguard.so preloaded and
# without: the same output, the same exit code, the same tests passed.    tests/gpu/system.sh [PATTERN...]
# Needs build/ and build-gpu/ (tests/gpu/prepare.sh, tests/gpu/system/prepare.sh); at most
# SYSTEM_SECONDS (140). Results go to $OUT (system.txt), or to build-gpu/results.
cd "$(dirname "$0")/../.." || exit 2
export PATH="$PATH:${CUDA_HOME:-/usr/local/cuda}/bin:/opt/nvidia/nsight-compute/2025.3.1"
export OUT="${OUT:-$PWD/build-gpu/results}"
exec python3 -u tests/gpu/system/system.py "$@"
