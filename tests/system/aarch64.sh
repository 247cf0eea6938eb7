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
# Unit tests. Not here: base_demangle, base_memory, base_options (small stacks, limits and set-id programs
# are the host's affair under qemu), report_package (asks this machine's dpkg), and what starts programs.
if [ ! -e "$lib/libcmocka.so" ]; then
    (mkdir -p "$out/cmocka" && cd "$out/cmocka" &&
        APT_CONFIG=$out/apt/conf apt-get -qq download libcmocka-dev libcmocka0 &&
        for package in *.deb; do dpkg-deb -x "$package" "$out/root"; done) || exit 1
fi
units="base_file base_lock base_log base_map base_text code_cubin code_elf code_fatbin code_ptx code_hostile
    rules_advice rules_verdict rules_recorded jit_sha256 jit_cache_entry report_json report_text"
# shellcheck disable=SC2046,SC2086 # lists of words
make --no-print-directory -j2 OBJDIR="$out" CC="aarch64-linux-gnu-gcc -L$lib" \
    STATIC_LIBS="$lib/liblz4.a $lib/libzstd.a $lib/libmd.a $out/root/usr/lib/llvm-14/lib/libunwind.a -l:libsupc++.a" \
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
make --no-print-directory -j2 OBJDIR="$out" \
    CC="aarch64-linux-gnu-gcc -L$lib" fake scenarios >"$OBJDIR/aarch64.log" 2>&1 ||
    { tail "$OBJDIR/aarch64.log"; exit 1; }
# qemu-user knows the processor, not the kernel.
declare -A left_out=(
    [s08_get_proc_address_refuses]="qemu adds a line to a crash that is meant"
    [s19_broken_images]="qemu's /proc/self/mem reads what the program may not"
    [s45_abnormal_end]="qemu adds a line to an abort"
    [s49_closed_descriptors]="qemu has descriptors of its own")
for name in s13_no_cuda s16_exec_chain s60_jit_library s61_jit_module s62_jit_first_use s63_jit_refused s64_jit_fails \
    s65_jit_ptxas s66_jit_runtime11 s67_jit_runtime12 s68_jit_runtime13 s69_jit_force s83_jit_terminal; do
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
echo "aarch64: $good passed, $failed failed"
[ $failed = 0 ]
