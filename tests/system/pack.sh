#!/bin/bash
# Installs kguard the ways people do, into fresh Debian 12 systems: `make install`, the packages, the wheel;
# and builds those twice, elsewhere. Root, a network, debootstrap and lintian; about four minutes.
#     tests/system/pack.sh [FOLDER]     FOLDER keeps the bare system for the next time
# What it said the last time stands in pack.txt.
set -eu
cd "$(dirname "$0")/../.."
folder=${1-/var/tmp/kguard-pack}
for tool in debootstrap lintian; do
    command -v $tool >/dev/null || { echo "no $tool" && exit 77; }
done
[ "$(id -u)" = 0 ] || { echo "not root" && exit 77; }
mkdir -p "$folder"
base=$folder/bookworm systems=()
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct 2>/dev/null || stat -c %Y CHANGELOG.md)
export SOURCE_DATE_EPOCH LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive
unset MAKEFLAGS MAKELEVEL LD_PRELOAD OBJDIR SAN

log=$folder/log
exec 3>&1 >"$log" 2>&1

away() {
    [ $? = 0 ] || tail -n 20 "$log" >&3
    for system in "${systems[@]}"; do
        umount "$folder/$system/proc" 2>/dev/null || true
        rm -rf --one-file-system "${folder:?}/$system"
    done
}
trap away EXIT

if [ ! -e "$base.done" ]; then
    rm -rf "$base"
    mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Component: main' |
        grep '/debian/*$' | head -n 1)
    debootstrap --variant=minbase bookworm "$base" "$mirror"
    chroot "$base" apt-get -qq update
    touch "$base.done"
fi

# fresh NAME: a system of its own;  in_it NAME COMMAND: in a shell there
fresh() {
    systems+=("$1")
    rm -rf "${folder:?}/$1"
    cp -a "$base" "$folder/$1"
    cp /etc/resolv.conf "$folder/$1/etc/"
    mount -t proc proc "$folder/$1/proc"
}
in_it() {
    chroot "$folder/$1" /bin/bash -eu -c "$2"
}
ok() {
    echo "ok  $*" >&3
}
# The library is there under its bare name, and a program that does not care says nothing of it.
bare_name='
    [ -z "$(LD_PRELOAD=libkguard.so /bin/true 2>&1)" ]
    LD_PRELOAD=libkguard.so cat /proc/self/maps | grep -q /libkguard.so'
no_bare_name='LD_PRELOAD=libkguard.so /bin/true 2>&1 | grep -q "cannot be preloaded"'

echo "Debian $(cat "$base/etc/debian_version"), glibc $(chroot "$base" dpkg-query -W -f '${Version}' libc6)" >&3

# ---- make install, as root and not, on a machine that has nothing --------------------------------------------

fresh built
mkdir -p "$folder/built/src" "$folder/built/other/place"
for to in src other/place; do
    git ls-files -z | xargs -0 tar -c | tar -x -C "$folder/built/$to"
done
in_it built 'apt-get -qq install -y --no-install-recommends make
    cd /src && make -j2 install'
in_it built "$bare_name"
in_it built 'kguard --version && kguard run -- true && [ ! -e /etc/ld.so.conf.d/kguard.conf ]'
ok "make install: into /usr/local, where ld.so already looks"
in_it built 'cd /src && make uninstall && [ -z "$(find /usr/local /etc/ld.so.conf.d -name "*kguard*")" ]'
in_it built "$no_bare_name"
ok "make uninstall: nothing is left"
in_it built 'cd /src && make install PREFIX=/opt/kg && grep -qx /opt/kg/lib /etc/ld.so.conf.d/kguard.conf'
in_it built "$bare_name"
in_it built 'cd /src && make uninstall PREFIX=/opt/kg && [ ! -e /etc/ld.so.conf.d/kguard.conf ]'
in_it built "$no_bare_name"
ok "make install PREFIX=/opt/kg: ld.so is told, and uninstall takes that back"
in_it built 'cd /src && chown -R nobody . && mkdir /home/n && chown nobody /home/n
    setpriv --reuid nobody --clear-groups make install PREFIX=/home/n/.local
    [ ! -e /etc/ld.so.conf.d/kguard.conf ] && setpriv --reuid nobody /home/n/.local/bin/kguard run -- true' \
   
ok "make install PREFIX=~/.local: without being root"

# ---- the packages and the wheel, twice ------------------------------------------------------------------------

in_it built 'apt-get -qq install -y --no-install-recommends python3
    chown -R root /src
    cd /src && make deb wheel
    cd /other/place && make -j2 OBJDIR=elsewhere deb wheel
    cd /src/build && for f in deb/*.deb wheel/*.whl; do cmp $f /other/place/elsewhere/$f; done'
ok "make deb, make wheel: built in two places, the same bytes"
mkdir -p "$folder/out"
cp "$folder"/built/src/build/{deb/*.deb,wheel/*.whl} "$folder/out"
lintian --fail-on error,warning "$folder"/out/*.deb
ok "lintian: no error, no warning"

fresh packages
cp "$folder"/out/*.deb "$folder/packages/tmp"
in_it packages 'apt-get -qq install -y --no-install-recommends man-db
    dpkg -i /tmp/libkguard_*.deb /tmp/kguard_*.deb >/dev/null'
in_it packages "$bare_name"
in_it packages 'kguard --version >/dev/null && kguard run -- true 2>/dev/null
    for page in "1 kguard" "5 kguard-cache" "7 libkguard"; do MANPAGER=cat man $page | grep -q SEE.ALSO; done
    source /usr/share/bash-completion/completions/kguard && complete -p kguard >/dev/null'
mkdir "$folder/packages/fake"
cp "${OBJDIR:-build}/fake/libcuda.so.1" examples/voxelize.sm_60-90.fatbin "$folder/packages/fake"
gcc -Iinclude examples/driver.c -o "$folder/packages/fake/driver" "-L${OBJDIR:-build}/fake" -l:libcuda.so.1
in_it packages 'cd /fake && export LD_LIBRARY_PATH=/fake
    ! kguard run -- ./driver voxelize.sm_60-90.fatbin 2>log
    grep -q "error\[KG101\]: kernel voxelize_kernel(float\*, int)" log && grep -q "first cause" log'
ok "the packages: bare name, command, man pages, completion, a report"
in_it packages 'dpkg -r kguard libkguard >/dev/null && [ -z "$(find /usr /etc -name "*kguard*")" ]'
in_it packages "$no_bare_name"
ok "the packages: gone without a trace"

# ---- examples/docker, by the real thing's own reading ----------------------------------------------------------

in_it packages 'apt-get -qq install -y --no-install-recommends docker-compose'
mkdir -p "$folder/packages/src/examples"
cp -r examples/docker "$folder/packages/src/examples"
in_it packages 'cd /src/examples/docker
    docker-compose -f compose.yaml -f compose.kguard.yaml config >/tmp/merged
    grep -q "source: /src/build/libkguard.so" /tmp/merged && grep -q "image: my/app" /tmp/merged
    grep -q "KGUARD_CACHE_DIR: /var/cache/kguard" /tmp/merged'
ok "docker-compose config: the override and the service it is laid over"

fresh wheel
cp "$folder"/out/*.whl "$folder/wheel/tmp"
cp examples/voxelize.sm_60-90.fatbin "$folder/wheel/tmp"
in_it wheel 'apt-get -qq install -y --no-install-recommends python3-venv
    python3 -m venv /venv && . /venv/bin/activate
    pip -q install --no-index /tmp/kguard-*.whl
    kguard run -- python3 -c "print(open(\"/proc/self/maps\").read().count(\"/venv/lib/libkguard.so\") > 0)" \
        2>/dev/null | grep -qx True
    kguard scan --target sm_120 /tmp | grep -q KG101
    kguard scan --target sm_90 /tmp >/dev/null
    pip -q uninstall -y kguard && [ -z "$(find /venv -name "*kguard*")" ]'
ok "the wheel: into a bare environment by pip --no-index, kguard run and scan, and out again"
