#!/bin/bash
# What a program without CUDA pays for the library, in what can be counted: pages that are touched, a
# microsecond or more each. The time itself is make bench's.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
${CC:-gcc} -std=gnu11 -O2 -o "$dir/exec" tests/bench/exec.c
echo 'extern int empty; int empty;' | ${CC:-gcc} -shared -fPIC -x c -o "$dir/libempty.so" -
cp "$OBJDIR/libkguard.so" "$dir"
read -r _ _ empty shim < <("$dir/exec" 100 "$dir/libempty.so" "$dir/libkguard.so")
echo "page faults: $empty with an empty library, $shim with ours (at most 2 more)"
awk "BEGIN { exit !($shim - $empty <= 2) }"
