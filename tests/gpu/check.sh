#!/bin/sh
# Everything that only a real GPU can show, with build/libkguard.so preloaded and without.
#     tests/gpu/check.sh [PATTERN...]      only the checks whose name holds one of the patterns
# Needs a machine with a GPU, nvcc and the frameworks, and a carried build/ and build-gpu/ (made by
# tests/gpu/prepare.sh); installs nothing. KGUARD_SO=build-gpu/inert.so shows that the checks can
# fail. Results go to $OUT, or to build-gpu/results.
cd "$(dirname "$0")/../.." || exit 2
export PATH="$PATH:${CUDA_HOME:-/usr/local/cuda}/bin"
export OUT="${OUT:-$PWD/build-gpu/results}"
exec python3 -u tests/gpu/check.py "$@"
