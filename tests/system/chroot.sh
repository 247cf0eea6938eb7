#!/bin/bash
# A Debian of another year: tests/system/chroot.sh SUITE. Makes $SYSTEM_DIR/SUITE with debootstrap, once,
# builds there the demo's, the rules' and the scenarios' programs from these sources with its compiler,
# and runs them under the library as it was built outside. As root; minutes the first time.
# One line "ok WHAT" or "FAIL WHAT: why" for each.
set -u
suite=$1
cd "$(dirname "$0")/../.." || exit
OBJDIR=$(cd "${OBJDIR:-build}" && pwd)
dir=${SYSTEM_DIR:-/var/tmp/kguard-system}
root=$dir/$suite
mkdir -p "$dir"
if [ ! -e "$root/complete" ]; then
    mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Component: main' |
        grep '/debian/*$' | head -n 1)
    rm -rf "$root"
    debootstrap --variant=minbase --include=gcc,libc6-dev,make,liblz4-dev,libzstd-dev,python3,binutils \
        "$suite" "$root" "$mirror" >"$dir/$suite.log" 2>&1 || { tail -n 5 "$dir/$suite.log"; exit 1; }
    rm -rf "$root"/var/cache/apt/archives/*.deb
    touch "$root/complete"
fi

# The sources as they are, without what was built of them; the library beside them.
rm -rf "$root/src" && mkdir -p "$root/src/build" "$root/proc" "$root/dev"
tar cf - --exclude='./build*' --exclude=./.git . | tar xf - -C "$root/src"
cp "$OBJDIR/libkguard.so" "$root/src/build/"
mount -t proc proc "$root/proc" && mount --bind /dev "$root/dev" && mount --bind /dev/pts "$root/dev/pts"
trap 'umount "$root/proc" "$root/dev/pts" "$root/dev"' EXIT
inside() {
    chroot "$root" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root bash -c "cd /src && $1"
}
libc=$(inside "ldd --version" | sed -n '1s/.* //p')
echo "$suite: glibc $libc, gcc $(inside 'gcc -dumpfullversion'), python $(inside 'python3 -V' | cut -d' ' -f2), $(sha256sum <"$OBJDIR/libkguard.so" | cut -c1-12)"

failed=0 good=0
tell() { # name status log
    if [ "$2" = 0 ]; then
        echo "ok   $suite $1"
        good=$((good + 1))
    else
        echo "FAIL $suite $1: $(tail -n 12 "$3" | tr '\n' '|' | cut -c1-600)"
        failed=$((failed + 1))
    fi
}
log=$root/src/log
# The library and what it was made of count as built: this compiler makes the programs of the tests alone.
inside "make -j2 -k -o build/libkguard.so SYSTEM=1 fake harm scenarios build/soak" >"$root/src/make.log" 2>&1
tell "builds the tests' programs" $? "$root/src/make.log"
inside "KG_FAKE=/src/build/fake LD_PRELOAD=/src/build/libkguard.so python3 examples/run.py; test \$? = 1" >"$log" 2>&1 &&
    grep -q 'voxelize_kernel(float\*, int) has no code for this GPU' "$log"
tell demo $? "$log"
inside "LD_PRELOAD=/src/build/libkguard.so /bin/true && LD_PRELOAD=/src/build/libkguard.so /bin/echo x" >"$log" 2>&1 &&
    [ "$(cat "$log")" = x ]
tell "a program without CUDA" $? "$log"
for source in "$root"/src/tests/scenarios/s[0-9]*.c; do
    name=$(basename "$source")
    [ -x "$root/src/build/scenarios/${name%.c}" ] || continue
    inside "OBJDIR=/src/build timeout 60 tests/scenarios/scenario.sh tests/scenarios/$name" >"$log" 2>&1
    tell "${name%.c}" $? "$log"
done
inside "OBJDIR=/src/build tests/harm/rules.sh" >"$log" 2>&1
tell rules $? "$log"
echo "$suite: $good passed, $failed failed (glibc $libc)"
[ $failed = 0 ]
