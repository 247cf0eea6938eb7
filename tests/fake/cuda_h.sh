#!/bin/bash
# include/kg_cuda.h says what the toolkit's own cuda.h says. Needs a toolkit of CUDA 13 or newer, whose
# header knows every function of ours. CUDA=/usr/local/cuda
set -u
include=${CUDA:-/usr/local/cuda}/include
version=$(sed -nE 's/^#define CUDA_VERSION ([0-9]+).*/\1/p' "$include/cuda.h" 2>/dev/null)
[ "${version:-0}" -ge 13000 ] || { echo "no cuda.h of CUDA 13 in $include"; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
sed -nE 's/^    ((CU_|CUDA_)[A-Z0-9_a-z]+) = [0-9]+,?$/VALUE(\1)/p' include/kg_cuda.h >"$work/values.h"
cc=("${CC:-gcc}" -std=gnu11 -Wall -Wextra -Werror -Iinclude -I"$work" tests/fake/cuda_h.c)
# The functions are declared, not called: nothing to link.
"${cc[@]}" -o "$work/ours" && "${cc[@]}" -DTOOLKIT -isystem "$include" -o "$work/theirs" || exit 1
"$work/ours" >"$work/ours.txt"
"$work/theirs" >"$work/theirs.txt"
diff "$work/ours.txt" "$work/theirs.txt" && wc -l <"$work/ours.txt"
