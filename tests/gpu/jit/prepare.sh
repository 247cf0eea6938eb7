#!/bin/bash
# Prepares build-gpu/jit/ for check.sh and bench.sh: device code as PTX alone, programs, and a cache that
# kguard warm fills. Needs nvcc 13, the runtimes that tests/gpu/prepare.sh put into build-gpu/cudart, and
# build/kguard (or KGUARD=path). REAL=file: also the PTX of a real library, xformers' _C.so.
set -eu
cd "$(dirname "$0")/../../.."
root=$PWD
out=$root/build-gpu/jit
here=$root/tests/gpu/jit
cuda=${CUDA_HOME:-/usr/local/cuda}
PATH="$cuda/bin:$PATH"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$out"
cd "$out"
ptx="-gencode arch=compute_80,code=compute_80"
python3 "$here/generate.py" "$work"

for name in big device; do
    source=$work/$name.cu
    [ -e "$source" ] || source=$here/$name.cu
    # shellcheck disable=SC2086 # a list of words
    nvcc -fatbin $ptx -o $name.fatbin "$source"
    nvcc -ptx -arch=compute_80 -o $name.ptx "$source"
    ptxas -arch=sm_90 -m64 -o $name.cubin $name.ptx
done
sed 's/^\.version .*/.version 9.9/' device.ptx >too_new.ptx
# The same in a large module, of which kernels are compiled one by one.
mkdir -p large
sed 's/big_/filler_/g' "$work/big.cu" | cat "$here/device.cu" - >"$work/large.cu"
nvcc -fatbin $ptx -o large/device.fatbin "$work/large.cu"
nvcc -ptx -arch=compute_80 -o large/device.ptx "$work/large.cu"
nvcc -fatbin -gencode arch=compute_80,code=compute_80 -gencode arch=compute_90,code=sm_90 \
    -o both.fatbin "$here/device.cu"

flags="-O2 -g -I$cuda/include"
stubs="-L$cuda/lib64/stubs -lcuda"
# shellcheck disable=SC2086
{
    gcc $flags "$here/first.c" -o first $stubs
    gcc $flags "$here/contexts.c" -o contexts $stubs -lpthread
    for v in 12.4 13.0; do
        gcc $flags -Wno-deprecated-declarations "-DFATBIN_DIR=\"$out/large\"" -I"$root/tests/gpu/programs" \
            "$here/values.c" -o values-$v-large "$root"/build-gpu/cudart/$v/libcudart.so.* \
            "-Wl,-rpath,\$ORIGIN/../cudart/$v"
    done
    for v in 11.8 12.4 13.0; do
        gcc $flags -Wno-deprecated-declarations "-DFATBIN_DIR=\"$out\"" -I"$root/tests/gpu/programs" \
            "$here/values.c" -o values-$v-shared "$root"/build-gpu/cudart/$v/libcudart.so.* \
            "-Wl,-rpath,\$ORIGIN/../cudart/$v"
        [ $v = 11.8 ] || gcc $flags -Wno-deprecated-declarations "-DFATBIN_DIR=\"$out\"" \
            -I"$root/tests/gpu/programs" "$here/values.c" -o values-$v-static \
            "$root/build-gpu/cudart/$v/libcudart_static.a" -ldl -lrt -lpthread
    done
}
# A hundred translation units, each with a fatbin of its own, as nvcc builds them: of PTX, and of code.
parts() { # program, what to compile for
    export work target=$2
    # shellcheck disable=SC2016
    seq 0 99 | xargs -P "$(nproc)" -I{} sh -c 'nvcc -O1 $target -c -o "$work/part_{}.o" "$work/part_{}.cu"'
    # shellcheck disable=SC2086
    nvcc -O1 $2 -cudart shared -o "$1" "$work"/main_parts.cu "$work"/part_*.o \
        -Xlinker '-rpath,$ORIGIN/../cudart/13.0'
}
parts parts "$ptx"
parts parts_code "-gencode arch=compute_90,code=sm_90"
# What would be the least: all hundred in one cubin.
cat "$work"/part_?.cu "$work"/part_??.cu >"$work/merged.cu"
nvcc -O1 -gencode arch=compute_90,code=sm_90 -cudart shared -o parts_merged "$work/main_parts.cu" "$work/merged.cu" \
    -Xlinker '-rpath,$ORIGIN/../cudart/13.0'
# Where a hit's time goes. From the root: sources name data files relative to it.
# shellcheck disable=SC2086
(cd "$root" && gcc -std=gnu11 $flags -D_GNU_SOURCE -Iinclude -Ishim -Wl,--wrap=dl_iterate_phdr "$here/split.c" shim/base/[!s]*.c \
    shim/code/*.c shim/rules/*.c shim/jit/*.c -l:liblz4.a -l:libzstd.a -l:libmd.a -l:libsupc++.a \
    -o "$out/split")
# PTX of a real library, and what ptxas makes of it: the payload of the largest entry.
if [ -n "${REAL-}" ]; then
    python3 "$here/real.py" "$REAL" .
    for fatbin in real_*.fatbin; do
        "${KGUARD:-$root/build/kguard}" warm --target sm_90 --cache "$work/$fatbin.cache" "$fatbin"
        python3 - "$work/$fatbin.cache" "${fatbin%.fatbin}.cubin" <<'P'
import glob, os, struct, sys
entry = open(max(glob.glob(sys.argv[1] + "/??/*"), key=os.path.getsize), "rb").read()
start, size = struct.unpack_from("<I", entry, 12)[0], struct.unpack_from("<Q", entry, 48)[0]
open(sys.argv[2], "wb").write(entry[start:start + size])
P
    done
fi
# The first kernel of each, to ask for.
for fatbin in real_*.fatbin; do
    [ ! -e "$fatbin" ] || "${KGUARD:-$root/build/kguard}" scan --kernels --format json "$fatbin" |
        grep -o '"kernel_mangled":"[^"]*"' | head -n 1 | cut -d '"' -f 4 >"${fatbin%.fatbin}.kernel"
done
# A cache filled here, where there is no GPU.
rm -rf warm
set -- big.fatbin big.ptx device.ptx parts values-1*-* large
for fatbin in real_*.fatbin; do
    [ ! -e "$fatbin" ] || set -- "$@" "$fatbin"
done
"${KGUARD:-$root/build/kguard}" warm --target sm_90 --cache warm "$@"
du -sh "$out" | sed 's/^/prepared: /'
ls -l "$out"
