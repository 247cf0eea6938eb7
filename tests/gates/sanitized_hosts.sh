#!/bin/bash
# Host programs built with gcc's sanitizers, whose runtimes call dlsym before anything of theirs is
# set up. ASan insists on being first in the list; verify_asan_link_order=0 lets it off.
set -eu
cd "$(mktemp -d)"
cat >hello.c <<'EOF'
#include <stdio.h>
#include <string.h>
int main(int argc, char **argv)
{
    return printf("hello %d\n", argc + (strcmp(argv[0], "x") == 0)) == 8 ? 7 : 1;
}
EOF
for kind in address thread undefined leak; do
    runtime=$(gcc -print-file-name="lib${kind:0:1}san.so")
    [ $kind = undefined ] && runtime=$(gcc -print-file-name=libubsan.so)
    gcc -fsanitize=$kind -o hello hello.c
    for preload in "$runtime $OBJDIR/libkguard.so" "$OBJDIR/libkguard.so"; do
        status=0
        out=$(ASAN_OPTIONS=verify_asan_link_order=0:detect_leaks=0 LSAN_OPTIONS=detect_leaks=0 \
            LD_PRELOAD=$preload ./hello) || status=$?
        echo "$kind: $out, exit $status"
        [ "$out" = "hello 1" ] && [ $status = 7 ]
    done
done
