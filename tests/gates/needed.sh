#!/bin/sh
# One file that loads in any container: it may need libc.so.6 and nothing else. An extra library is
# paid for by every process of the host (libstdc++: +540 us per exec, measured), or kills it.
set -eu
needed=$(readelf -dW "$OBJDIR/libkguard.so" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p')
echo "needs: $needed"
[ "$needed" = libc.so.6 ]
