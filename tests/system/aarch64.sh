#!/bin/bash
# The library for aarch64, cross-built, under the same scenarios as here: fake driver and programs for
# aarch64 too, run by qemu-user. Part of make check-system; tests/gates/aarch64.sh, which builds it, is in
# make check.
set -u
cd "$(dirname "$0")/../.." || exit
export OBJDIR=${OBJDIR:-$PWD/build}
tests/gates/aarch64.sh >"$OBJDIR/aarch64.log" 2>&1 || { tail "$OBJDIR/aarch64.log"; exit 1; }
echo "ok   gate: imports, exports, look-up chain, an old driver, cache entries"
out=$OBJDIR/aarch64
lib=$out/root/usr/lib/aarch64-linux-gnu
unset MAKEFLAGS MAKELEVEL SAN
unpacked() { # file package...: Debian's for arm64 beside the objects, unless the file is there
    [ -e "$lib/$1" ] && return
    mkdir -p "$out/$1.debs"
    (cd "$out/$1.debs" && APT_CONFIG=$out/apt/conf apt-get -qq download "${@:2}" &&
        for package in *.deb; do dpkg-deb -x "$package" "$out/root"; done)
}
unpacked libcmocka.so libcmocka-dev libcmocka0 || exit 1
# Unit tests. Not here: base_demangle, base_memory, base_options (small stacks, limits and set-id programs
# are the host's affair under qemu), report_package (asks this machine's dpkg), and what starts programs.
units="base_file base_lock base_log base_map base_text code_cubin code_elf code_fatbin code_ptx code_hostile
    rules_advice rules_verdict rules_recorded jit_sha256 jit_cache_entry report_json report_text"
cross=(make --no-print-directory -j2 OBJDIR="$out" CC="aarch64-linux-gnu-gcc -L$lib"
    OBJCOPY=aarch64-linux-gnu-objcopy STRIP=aarch64-linux-gnu-strip RUNNER=qemu-aarch64-static
    STATIC_LIBS="$lib/liblz4.a $lib/libzstd.a $lib/libmd.a $out/root/usr/lib/llvm-14/lib/libunwind.a -l:libsupc++.a")
# shellcheck disable=SC2046,SC2086 # lists of words
"${cross[@]}" \
    $(printf "$out/unit/%s " $units) >"$OBJDIR/aarch64.log" 2>&1 || { tail "$OBJDIR/aarch64.log"; exit 1; }
failed=0 good=0
for unit in $units; do
    if timeout 300 qemu-aarch64-static -L /usr/aarch64-linux-gnu -E LD_LIBRARY_PATH="$lib" "$out/unit/$unit" \
        >"$OBJDIR/aarch64.log" 2>&1; then
        echo "ok   $unit"
        good=$((good + 1))
    else
        echo "FAIL $unit: $(grep -E 'ERROR|FAILED' "$OBJDIR/aarch64.log" | head -n 4 | tr '\n' '|')"
        failed=$((failed + 1))
    fi
done
"${cross[@]}" fake scenarios "$out/harm/host" >"$OBJDIR/aarch64.log" 2>&1 ||
    { tail "$OBJDIR/aarch64.log"; exit 1; }
# qemu-user knows the processor, not the kernel.
declare -A left_out=(
    [s08_get_proc_address_refuses]="qemu adds a line to a crash that is meant"
    [s19_broken_images]="qemu's /proc/self/mem reads what the program may not"
    [s45_abnormal_end]="qemu adds a line to an abort"
    [s49_closed_descriptors]="qemu has descriptors of its own"
    [s94_load_meets_failed_load]="qemu does not know process_vm_readv")
for name in s13_no_cuda s16_exec_chain $(grep -lE '\bagain(_failing)?\(' tests/scenarios/s*.c | sed 's,.*/,,; s,\.c$,,'); do
    left_out[$name]="starts programs, which qemu does not for another processor"
done
for source in tests/scenarios/s[0-9]*.c; do
    name=$(basename "${source%.c}")
    [ -n "${left_out[$name]-}" ] && { echo "     $name: ${left_out[$name]}"; continue; }
    if OBJDIR=$out RUNNER="qemu-aarch64-static -L /usr/aarch64-linux-gnu" timeout 300 \
        tests/scenarios/scenario.sh "$source" >"$OBJDIR/aarch64.log" 2>&1; then
        echo "ok   $name"
        good=$((good + 1))
    else
        echo "FAIL $name: $(head -n 8 "$OBJDIR/aarch64.log" | tr '\n' '|' | cut -c1-400)"
        failed=$((failed + 1))
    fi
done

tell() { # name status
    if [ "$2" = 0 ]; then
        echo "ok   $1"
        good=$((good + 1))
    else
        echo "FAIL $1: $(tail -n 8 "$OBJDIR/aarch64.log" | tr '\n' '|' | cut -c1-400)"
        failed=$((failed + 1))
    fi
}
emulated() { # preload program argument...
    qemu-aarch64-static -L /usr/aarch64-linux-gnu -E LD_PRELOAD="$1" -E LD_LIBRARY_PATH="$out/fake" "${@:2}"
}
emulated "$out/libkguard.so" "$out/harm/host" walks >"$OBJDIR/aarch64.log" 2>&1
tell "forked children ask the loader, while threads of their parent do" $?

# The packages, made here for there. Both kinds can be installed at once: what is not for one processor
# is the same in both, byte for byte.
unpacked libarchive.a libarchive-dev libjansson-dev nettle-dev liblzma-dev libbz2-dev zlib1g-dev || exit 1
"${cross[@]}" deb wheel >"$OBJDIR/aarch64.log" 2>&1 &&
    make --no-print-directory OBJDIR="$OBJDIR" deb >>"$OBJDIR/aarch64.log" 2>&1
tell "make deb wheel, cross-built" $?
lintian --fail-on error,warning "$out"/deb/*.deb >"$OBJDIR/aarch64.log" 2>&1
tell "lintian: no error, no warning" $?
for arch in amd64 arm64; do
    rm -rf "$out/installed-$arch"
    for package in {"$OBJDIR","$out"}/deb/*"_$arch.deb"; do
        [ ! -e "$package" ] || dpkg-deb -x "$package" "$out/installed-$arch"
    done
done
diff -rq "$out"/installed-{amd64,arm64}/usr/share >"$OBJDIR/aarch64.log" 2>&1 &&
    diff -rq "$out"/installed-{amd64,arm64}/usr/include >>"$OBJDIR/aarch64.log" 2>&1
tell "beside the amd64 ones: the same pages, headers and notices" $?
emulated "" "$out/installed-arm64/usr/bin/kguard" scan --target sm_120 examples >"$OBJDIR/aarch64.log" 2>&1
[ $? = 1 ] && grep -q 'KG101  examples/voxelize.sm_60-90.fatbin' "$OBJDIR/aarch64.log"
tell "the installed command scans" $?
emulated "$out/installed-arm64/usr/lib/aarch64-linux-gnu/libkguard.so" "$out/harm/host" use >"$OBJDIR/aarch64.log" 2>&1 &&
    grep -q 'error\[KG101\]: kernel voxelize_kernel(float\*, int)' "$OBJDIR/aarch64.log"
tell "the installed library explains" $?
echo "aarch64: $good passed, $failed failed"
[ $failed = 0 ]
