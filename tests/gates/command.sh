#!/bin/bash
# kguard is one static program: it runs where there is no loader and no library, not even libc.
set -eu
kguard=${OBJDIR:-build}/kguard
if readelf -lW "$kguard" | grep -E 'INTERP|NEEDED'; then
    echo "$kguard needs a loader"
    exit 1
fi
readelf -dW "$kguard" | grep NEEDED && exit 1
env -i "$kguard" --version
