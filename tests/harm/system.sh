#!/bin/bash
# The rules of harmlessness that need root, or packages beyond those of make check. Part of make
# check-system, which installs them.
#
# shellcheck disable=SC2034,SC2154 # shared with check.bash, and with the lines that it evaluates
. tests/harm/check.bash
libdir=/usr/lib/$(gcc -dumpmachine)

# ---- H4: allocators and time, before us and after us
for other in libjemalloc.so.2 libmimalloc.so.2.0 libtcmalloc_minimal.so.4 faketime/libfaketime.so.1; do
    for order in before after; do
        name=$(basename "$other")
        list='$libdir/$other $preload'
        [ $order = after ] && list='$preload $libdir/$other'
        check "H4 $name $order us" yes "LD_PRELOAD=\"$list\" \$host use"
        check "H4 $name $order us, threads" yes "LD_PRELOAD=\"$list\" \$host stacks"
        check "H4 $name $order us, no CUDA" no "LD_PRELOAD=\"$list\" python3 -c 'import threading, json; print(json.dumps(list(range(9))))'"
    done
done
check "H4 faketime's time" no 'FAKETIME="@2020-01-01 00:00:00" LD_PRELOAD="$preload $libdir/faketime/libfaketime.so.1" date -u +%Y-%m-%d'

# ---- H12: children of the other class: the loader's own line, and nothing else
cat >hello.c <<'C'
#include <stdio.h>
int main(int argc, char **argv) { puts("hello"); return argc > 9; }
C
gcc -m32 -I"/usr/include/$(gcc -dumpmachine)" -o hello32 hello.c # gcc-multilib, which has that path, expels the cross compilers
check "H12 a 32-bit child: as without, beside the loader's line" no 'run ./hello32'
run_error() { LD_PRELOAD=$1 "${@:2}" 2>&1 >/dev/null | grep -v 'wrong ELF class'; }
check "H12 nothing else on its standard error" no 'run_error "$preload" ./hello32; true'

# ---- H13: set-id programs and capabilities, of another user
cat >loaded.c <<'C'
#include <stdio.h>
#include <string.h>
int main(void)
{
    char line[512];
    FILE *maps = fopen("/proc/self/maps", "r");
    int loaded = 0;
    while (maps && fgets(line, sizeof line, maps))
        loaded |= strstr(line, "libkguard") != NULL;
    printf("hello\n");
    fprintf(stderr, "loaded %d\n", loaded);
    return 0;
}
C
gcc -o loaded loaded.c
install -m 4755 loaded setid
install -m 755 loaded capable && setcap cap_net_raw+ep capable
chmod 755 . "$OBJDIR" 2>/dev/null
# For another user to read, wherever this is built.
shared=/usr/lib/libkguard-check.so
install -m 755 "$so" "$shared"
as_nobody='setpriv --reuid 65534 --regid 65534 --clear-groups env LD_LIBRARY_PATH='
was_loaded() { grep -qx "loaded $1" with.err || { echo "FAIL $2: $(cat with.err)"; failed=1; }; }
check "H13 an ordinary program of another user" no "$as_nobody LD_PRELOAD=\${preload:+$shared} ./loaded"
was_loaded 1 "H13 it is loaded there"
check "H13 a set-id program" no "$as_nobody LD_PRELOAD=\${preload:+$shared} ./setid"
was_loaded 0 "H13 the loader leaves it out of a set-id program"
check "H13 a program with capabilities" no "$as_nobody LD_PRELOAD=\${preload:+$shared} ./capable"
was_loaded 0 "H13 the loader leaves it out of a program with capabilities"
# A set-id library by its bare name is what a set-id program does take: in it, it does nothing.
chmod 4755 "$shared"
check "H13 in a set-id program by its bare name" no "$as_nobody KGUARD_LOG=debug LD_PRELOAD=\${preload:+libkguard-check.so} ./setid"
was_loaded 1 "H13 it is loaded by its bare name"
check "H13 in su by its bare name" no "$as_nobody LD_PRELOAD=\${preload:+libkguard-check.so} su --version"
rm -f "$shared"

# ---- H20: debuggers
check "H20 gdb" yes 'LD_PRELOAD= gdb -q -batch -ex "set exec-wrapper env LD_PRELOAD=$preload" -ex run --args $host use 2>&2 | grep -vE "^\[(New|Thread|Using|Inferior)|thread_db|host libthread|debuginfod" | grep -E "start|use"'
check "H20 gdb: a breakpoint, a backtrace, on" yes 'LD_PRELOAD= gdb -q -batch -ex "set exec-wrapper env LD_PRELOAD=$preload" -ex "set breakpoint pending on" -ex "break exit" -ex run -ex "bt 1" -ex continue --args $host use | grep -oE "^start.*|^use.*|#0 .* exit|exited normally"'
check "H20 fakeroot" no 'LD_PRELOAD=$preload fakeroot sh -c "id -u; touch f; chown 12:13 f; stat -c %u:%g f"'

# ---- H22: without /proc, and with nothing that can be written
check "H22 no /proc" any 'LD_PRELOAD= unshare -m sh -c "mount -t tmpfs none /proc; LD_PRELOAD=$preload exec $host use"'
check "H22 a read-only root" yes 'KGUARD_JIT=auto LD_PRELOAD= unshare -m sh -c "mount --make-rprivate / && mount -o remount,ro,bind / && LD_PRELOAD=$preload exec $host use"'
check "H22 a read-only root, storm" any 'LD_PRELOAD= unshare -m sh -c "mount --make-rprivate / && mount -o remount,ro,bind / && LD_PRELOAD=$preload exec $host storm"'
check "H22 another network, user and process space" yes 'LD_PRELOAD= unshare -n -p -f sh -c "LD_PRELOAD=$preload exec $host use"'
end
