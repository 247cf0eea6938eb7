#!/bin/bash
# The library exports exactly what doors.def lists, dlsym, and include/kguard.h's: a name too few is a door left open, a
# name too many may capture a call of the host program.
set -eu
listed=$(${CC:-gcc} -E -P -x c -Ishim shim/doors/map.c.in | tr -s ' ;' '\n' |
    sed -n '/^global:$/,/^local:$/p' | grep -E '^[A-Za-z_][A-Za-z0-9_]*$'
    sed -nE 's/^KG_SHARED .*[ *](kg_[a-z_]+)\(.*/\1/p' include/kguard.h)
listed=$(echo "$listed" | sort)
exported=$(nm -D --defined-only "$OBJDIR/libkguard.so" | awk '{print $3}' | sed 's/@.*//' | sort)
diff <(echo "$listed") <(echo "$exported") && echo "$(echo "$exported" | wc -l) exports"
for name in dlsym cuLaunchKernel cuGetProcAddress_v2 cudaLaunchKernel __cudaRegisterFatBinary; do
    grep -qx "$name" <<<"$exported" || { echo "no $name"; exit 1; }
done
