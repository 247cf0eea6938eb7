#!/bin/bash
# KGUARD_JIT with no place for a cache (no HOME, no XDG_CACHE_HOME, no KGUARD_CACHE_DIR): a program whose
# kernel is PTX alone runs as ever, and no file is made, opened for writing, renamed or removed anywhere,
# the current directory and /tmp included (P18). The same program with a place does make one: the trace
# would have shown it.
set -eu
OBJDIR=$(cd "${OBJDIR:-build}" && pwd)
root=$PWD
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
command -v strace >/dev/null || { echo "no strace"; exit 77; }
strace -o "$work/probe" true 2>/dev/null || { echo "strace may not trace here"; exit 77; }

run() { # name, more environment
    name=$1
    shift
    mkdir "$work/$name"
    (cd "$work/$name" && strace -f -o "$work/$name.trace" -e trace=file,desc \
        env -i "LD_LIBRARY_PATH=$OBJDIR/fake/580" KGUARD_JIT=auto \
        "KGFAKE_LINKED=$root/tests/scenarios/jit/voxelize.sm_120.cubin" "$@" \
        "LD_PRELOAD=$OBJDIR/libkguard.so" "$OBJDIR/scenarios/s60_jit_library" run cold \
        >"$work/$name.out" 2>"$work/$name.err")
    grep -q 'cuLaunchKernel = 0' "$work/$name.out"
    # What changes a file system.
    grep -E 'O_(WRONLY|RDWR|CREAT)|(mkdir|rename|unlink|link|symlink|mknod|chmod|truncate)(at|at2)?\(' \
        "$work/$name.trace" | grep -vE '/dev/(null|tty)|readlink' || true
}
run place "HOME=$work/home" >"$work/made"
grep -q "$work/home/.cache/kguard" "$work/made" || { echo "the trace does not show a cache being made"; exit 1; }
left=$(run nowhere)
[ -z "$left" ] || { echo "without a place:"; echo "$left"; exit 1; }
[ -z "$(ls -A "$work/nowhere")" ]
