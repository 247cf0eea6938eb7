#!/bin/sh
# A stack of three extensions, broken, half cured and cured, as its user runs it: kguard scan, the program
# alone, kguard run; and kguard doctor.
# Needs what tests/gpu/check.sh needs, and build/kguard. Results go to $OUT (stack.json), or to
# build-gpu/results; tests/stack/document.py makes docs/stack.md of them.
cd "$(dirname "$0")/../.." || exit 2
export OUT="${OUT:-$PWD/build-gpu/results}"
exec python3 -u tests/gpu/stack/stack.py
