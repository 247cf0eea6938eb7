#!/bin/bash
# The whole library for aarch64, and its behaviour there under qemu: a chain of RTLD_NEXT look-ups
# through the assembly dlsym, and a failing load through the hook that dlsym handed out. Its static
# libraries are Debian's for arm64, unpacked beside the objects: nothing is installed.
set -eu
cc=aarch64-linux-gnu-gcc
for tool in $cc qemu-aarch64; do
    command -v "$tool" >/dev/null || { echo "no $tool"; exit 77; }
done
out=$OBJDIR/aarch64
root=$out/root
if [ ! -e "$root/usr/lib/aarch64-linux-gnu/libmd.a" ]; then
    mkdir -p "$out/apt/lists/partial" "$out/apt/cache/archives/partial" "$root"
    cd "$out/apt"
    : >status
    cat >conf <<EOF
APT::Architecture "arm64";
APT::Architectures { "arm64"; };
Dir::State "$PWD";
Dir::State::status "$PWD/status";
Dir::Cache "$PWD/cache";
APT::Sandbox::User "root";
EOF
    export APT_CONFIG=$PWD/conf
    packages="liblz4-dev libzstd-dev libmd-dev libunwind-14-dev"
    # shellcheck disable=SC2086 # a list of words
    if ! { apt-get -qq update && apt-get -qq download $packages; }; then
        echo "no arm64 packages to be had"
        exit 77
    fi
    for package in *.deb; do
        dpkg-deb -x "$package" "$root"
    done
    cd - >/dev/null
fi
lib=$root/usr/lib/aarch64-linux-gnu
unset MAKEFLAGS MAKELEVEL SAN
# The headers of lz4, zstd, libmd and xxHash are the same for every processor; libunwind.h too.
make --no-print-directory OBJDIR="$out" CC=$cc "$out/libkguard.so" \
    STATIC_LIBS="$lib/liblz4.a $lib/libzstd.a $lib/libmd.a \
        $root/usr/lib/llvm-14/lib/libunwind.a -l:libsupc++.a"
so=$out/libkguard.so

[ "$(readelf -dW "$so" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p')" = libc.so.6 ]
[ "$(objdump -T "$so" 2>/dev/null | grep -F '*UND*' | grep -o 'GLIBC_[0-9.]*' | sort -Vu |
    tail -n 1)" = GLIBC_2.17 ]
diff <(nm -D --defined-only "$OBJDIR/libkguard.so" | awk '{print $3}' | sort) \
    <(nm -D --defined-only "$so" | awk '{print $3}' | sort)

flags="-std=gnu11 -O1 -D_GNU_SOURCE -Iinclude"
mkdir -p "$out/old"
for i in 1 2 3; do
    # shellcheck disable=SC2086 # flags is a list of words
    $cc $flags -O$((i % 2)) -shared -fPIC -o "$out/libtool$i.so" tests/scenarios/libtool$i.c
done
# shellcheck disable=SC2086
{
    $cc $flags -shared -fPIC -Wl,-soname,libcuda.so.1 -o "$out/old/libcuda.so.1" \
        tests/scenarios/libold.c
    $cc $flags -o "$out/chain" tests/scenarios/s01_openmp_chain.c -L"$out" \
        -Wl,--no-as-needed -ltool1 -ltool2 -ltool3
    $cc $flags -o "$out/old_driver" tests/scenarios/s48_old_driver.c
    $cc $flags -Ishim -Wl,--wrap=dl_iterate_phdr -o "$out/golden" tests/unit/jit_cache_golden.c \
        "$out"/shim/{base,code,rules,jit}/*.o "$lib"/lib{lz4,zstd,md}.a -l:libsupc++.a
}
emulated() { # preload program
    qemu-aarch64 -L /usr/aarch64-linux-gnu -E LD_PRELOAD="$1" -E LD_LIBRARY_PATH="$out:$out/old" \
        "$2" 2>"$out/said"
}
for program in chain old_driver; do
    plain=$(emulated "" "$out/$program")
    with=$(emulated "$so" "$out/$program")
    echo "$with"
    cat "$out/said"
    [ "$plain" = "$with" ]
done
grep -q 'kguard.*voxelize_kernel' "$out/said"

# A cache entry is the same bytes here.
qemu-aarch64 -L /usr/aarch64-linux-gnu "$out/golden"
