#!/bin/sh
# A library that asks for a newer glibc than the host has ends every dynamic process there before
# main. 2.17 (2012) is the oldest that any CUDA 11 program runs on.
set -eu
versions=$(objdump -T "$OBJDIR/libkguard.so" | grep -F '*UND*' | grep -o 'GLIBC_[0-9.]*' | sort -Vu)
[ -n "$versions" ]
highest=$(echo "$versions" | tail -n 1)
echo "highest: $highest"
[ "$(printf '%s\nGLIBC_2.17\n' "$highest" | sort -V | tail -n 1)" = GLIBC_2.17 ]
