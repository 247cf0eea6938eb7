#!/bin/sh
# Records what this machine's driver answers: $OUT/driver-BRANCH.tsv (default build/recorded).
# Needs a GPU and a C compiler (nvcc's host compiler will do); takes a minute or two.
set -eu
cd "$(dirname "$0")/../.."
out=${OUT:-build/recorded}
mkdir -p "$out"
tool=$out/record.bin
flags="-std=gnu11 -D_GNU_SOURCE -O1 -Iinclude tests/gpu/record.c -o $tool -ldl"
if command -v "${CC:-gcc}" >/dev/null; then
    "${CC:-gcc}" $flags
else
    nvcc -x c -D_GNU_SOURCE -O1 -Iinclude tests/gpu/record.c -o "$tool" -ldl
fi
(cd tests/gpu/cases && sha256sum --quiet -c SHA256SUMS)
status=0
"$tool" tests/gpu/cases "${JOBS:-12}" >"$out/recorded.tsv" || status=$?
rm -f "$tool"
if [ $status -ne 0 ]; then
    rm -f "$out/recorded.tsv"
    exit $status
fi
branch=$(sed -n 's/^proc.*file.*libcuda\.so\.\([0-9]*\)\..*/\1/p' "$out/recorded.tsv" | head -1)
mv "$out/recorded.tsv" "$out/driver-${branch:-unknown}.tsv"
wc -l "$out/driver-${branch:-unknown}.tsv"
