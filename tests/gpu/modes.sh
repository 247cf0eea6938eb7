#!/bin/sh
# How programs die for want of code, and what is said of it: by the program, by NVIDIA's log, by
# compute-sanitizer, by kguard.       tests/gpu/modes.sh [PATTERN...]
# Needs what tests/gpu/check.sh needs, and build-gpu/ptxas-11.7. Results go to $OUT (modes.json), or to
# build-gpu/results; tests/gpu/modes/document.py makes docs/modes.md of a recorded one.
cd "$(dirname "$0")/../.." || exit 2
export PATH="$PATH:${CUDA_HOME:-/usr/local/cuda}/bin"
export OUT="${OUT:-$PWD/build-gpu/results}"
exec python3 -u tests/gpu/modes/modes.py "$@"
