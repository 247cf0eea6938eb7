#!/bin/sh
# The static TLS of a process is small and shared (512 bytes to spare on glibc 2.36): at most one
# word of it is ours. No executable stack, no relocations in code, no page that is writable and
# executable. The size is told, so that a change of it is seen.
set -eu
so=$OBJDIR/libkguard.so
tls=$(readelf -lW "$so" | awk '$1 == "TLS" {print $6}')
echo "TLS: ${tls:-none}; size: $(stat -c %s "$so") bytes, loaded $(size "$so" | awk 'NR == 2 {print $4}')"
[ $((${tls:-0})) -le 8 ]
readelf -lW "$so" | grep GNU_STACK | grep -q ' RW '
if readelf -lW "$so" | grep LOAD | grep 'RWE' || readelf -dW "$so" | grep TEXTREL; then
    exit 1
fi
