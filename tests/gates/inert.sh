#!/bin/bash
# A program without CUDA: preloaded, it makes the system calls that it takes to map one more library,
# and no other. Each of those calls names our file or follows its descriptor.
set -eu
command -v strace >/dev/null || { echo "no strace"; exit 77; }
strace -e trace=none true 2>/dev/null || { echo "strace may not trace here"; exit 77; }
cd "$(mktemp -d)"
empty=$PWD/libempty.so
echo 'int empty_library;' | ${CC:-gcc} -shared -fPIC -x c -o "$empty" -
# Beside an empty library the same calls must come in the same order; only how many segments it has,
# and where, may differ.
calls() { # library
    strace -E LD_PRELOAD="$1" -o trace /bin/true
    sed -E 's/\(.*//' trace | grep -v -E '^(mmap|mprotect|munmap|pread64|exit_group|\+\+\+)'
}
calls "$empty" >before
calls "$OBJDIR/libkguard.so" >after
diff before after
# Our mappings are those of the file's segments; memory of our own there is none yet.
strace -E LD_PRELOAD="$empty" -o trace /bin/true
grep -c 'mmap.*MAP_ANONYMOUS.*-1, 0' trace >before || :
strace -E LD_PRELOAD="$OBJDIR/libkguard.so" -o trace /bin/true
grep -c 'mmap.*MAP_ANONYMOUS.*-1, 0' trace >after || :
echo "anonymous mappings: $(cat before) before, $(cat after) after (at most one more: our .bss)"
[ "$(cat after)" -le $(($(cat before) + 1)) ]
