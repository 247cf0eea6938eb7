#!/bin/bash
# The parts of make check-system, one after the other: tests/system/system.sh PART...
set -u
cd "$(dirname "$0")/../.." || exit
export OBJDIR
OBJDIR=$(cd "${OBJDIR:-build}" && pwd)
out=$OBJDIR/system.txt
: >"$out"
failed=
part() { # name command...
    local name=$1
    shift
    echo "== $name" | tee -a "$out"
    "$@" 2>&1 | tee -a "$out"
    [ "${PIPESTATUS[0]}" = 0 ] || failed="$failed $name"
}
for name in "$@"; do
    case $name in
    harm) part harm tests/harm/system.sh ;;
    battery) ALL=1 part battery tests/gates/battery.sh ;;
    suites) part suites tests/system/suites.sh ;;
    aarch64) part aarch64 tests/system/aarch64.sh ;;
    image) part image tests/system/image.sh ;;
    # The packages, installed where nothing else is.
    pack) [ ! -x tests/system/pack.sh ] || part pack tests/system/pack.sh ;;
    *) part "$name" tests/system/chroot.sh "$name" ;;
    esac
done
echo "failed:${failed:- none}" | tee -a "$out"
[ -z "$failed" ]
