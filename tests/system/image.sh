#!/bin/bash
# examples/docker/Dockerfile, built by a tool that reads Dockerfiles (buildah: no daemon, no registry) over a
# Debian 12 in place of its base images, and what it makes, run as a container over the fake driver.
# So is what compose.kguard.yaml lays over a container. Root; after chroot.sh bookworm, whose system is the
# base. One line "ok WHAT" or "FAIL WHAT: why" for each.
set -u
cd "$(dirname "$0")/../.." || exit
OBJDIR=$(cd "${OBJDIR:-build}" && pwd)
base=${SYSTEM_DIR:-/var/tmp/kguard-system}/bookworm
[ -e "$base/complete" ] || { echo "no $base: tests/system/chroot.sh bookworm makes it" && exit 1; }
work=$(mktemp -d "${SYSTEM_DIR:-/var/tmp/kguard-system}/image.XXXXXX")
trap 'tool rm -a >/dev/null 2>&1; rm -rf "$work"' EXIT
export TMPDIR=$work BUILDAH_ISOLATION=chroot STORAGE_DRIVER=vfs REGISTRY_AUTH_FILE=/dev/null
unset LD_PRELOAD
tool() {
    buildah --root "$work/store" --runroot "$work/run" "$@"
}
failed=0
tell() { # name status log
    if [ "$2" = 0 ]; then
        echo "ok   $1"
    else
        echo "FAIL $1: $(tail -n 12 "$3" | tr '\n' '|' | cut -c1-800)"
        failed=1
    fi
}
buildah --version

# Where ptxas comes from: the real one where there is one, else what it gave once, which asks for the sources' folder.
ptxas=$(command -v ptxas || ls /usr/local/cuda/bin/ptxas 2>/dev/null || echo tests/scenarios/jit/ptxas)
mkdir -p "$work"/cuda/usr/local/cuda/bin "$work"/app/{opt/venv,fake,tests/scenarios/jit}
cp "$ptxas" "$work/cuda/usr/local/cuda/bin/ptxas"
cp tests/scenarios/jit/voxelize.compute_80.fatbin "$work/app/opt/venv/new.fatbin"
cp examples/voxelize.sm_60-90.fatbin "$work/app/opt/venv/old.fatbin"
cp tests/scenarios/jit/voxelize.sm_120.cubin "$work/app/tests/scenarios/jit/"
cp "$OBJDIR"/fake/580/libcuda.so.1 "$OBJDIR/scenarios/s60_jit_library" "$work/app/fake/"
tar -C "$base" -cf "$work/app/base.tar" --exclude=./src --exclude=./proc --exclude=./dev --exclude=./sys --exclude=./tmp \
    --exclude=./var/lib/apt --exclude=./var/cache --exclude=./usr/lib/gcc --exclude=./usr/share --exclude=./usr/include .
cat >"$work/app/Dockerfile" <<'END'
FROM scratch
ADD base.tar /
COPY opt /opt
COPY fake /fake
COPY tests /tests
ENV LD_LIBRARY_PATH=/fake
CMD ["/fake/s60_jit_library", "run", "image"]
END
printf 'FROM scratch\nCOPY usr /usr\n' >"$work/cuda/Dockerfile"
tool build -q -t my/app "$work/app" >"$work/log" 2>&1 && tool build -q -t my/cuda "$work/cuda" >>"$work/log" 2>&1
tell "the base images: Debian 12 with a program and its PTX; ptxas alone" $? "$work/log"

# As its head says, with the compiler's image of here.
mkdir "$work/context"
cp "$OBJDIR/kguard" "$OBJDIR/libkguard.so" "$work/context"
read -ra asked < <(sed -nE 's/^#.*docker build (.*) build$/\1/p' examples/docker/Dockerfile)
tool build --pull-never "${asked[@]}" --build-arg COMPILER=localhost/my/cuda "$work/context" >"$work/build" 2>&1
tell "the Dockerfile: ${asked[*]}" $? "$work/build"
grep -q '^1 compiled, 0 were there, 0 failed' "$work/build"
tell "its layer compiled what is PTX alone" $? "$work/build"
grep -q 'KG101' "$work/build" && grep -q 'old.fatbin' "$work/build"
tell "and said what no compiler can help" $? "$work/build"

# in_it [option...] -- line for the container's shell. Into a file of its own: buildah loses the end of what short
# programs say.
in_it() {
    local options=()
    while [ "$1" != -- ]; do options+=("$1") && shift; done
    rm -f "$work/said/log"
    tool run -v "$work/said:/said" "${options[@]}" "$container" -- /bin/sh -c "{ $2; } >/said/log 2>&1"
}
mkdir "$work/said"

# A container of it, which has no GPU of its own: the fake driver is in the image.
container=$(tool from --pull-never localhost/my/app:warm 2>"$work/log")
tell "a container" $? "$work/log"
in_it -e KGUARD_LOG=info -- '/fake/s60_jit_library run image'
grep -q 'JIT: 1 images from the cache' "$work/said/log" && grep -q ' 0 compiled' "$work/said/log"
tell "started: its image comes from the warmed layer, nothing is compiled" $? "$work/said/log"
in_it -- '[ -e /opt/kguard/libkguard.so ] && ! [ -e /opt/ptxas ] &&
    grep -q /opt/kguard/libkguard.so /proc/self/maps'
tell "in it: the library is preloaded, the compiler is not there" $? "$work/said/log"

# compose.kguard.yaml over a container without kguard: its variables and mounts, the volume a folder. (That
# compose itself reads the two files as one, pack.sh shows.)
mkdir "$work/volume"
mapfile -t laid < <(python3 - "$OBJDIR/libkguard.so" "$work/volume" <<'END'
import sys, yaml
(service,) = yaml.safe_load(open("examples/docker/compose.kguard.yaml"))["services"].values()
for name, value in service["environment"].items():
    print(f"--env={name}={value}")
for mount, source in zip(service["volumes"], sys.argv[1:]):
    print(f"--volume={source}:{mount['target']}" + (":ro" if mount.get("read_only") else ""))
END
)
container=$(tool from --pull-never localhost/my/app 2>"$work/log")
for said in 0 1; do
    in_it "${laid[@]}" -e KGUARD_LOG=info -e KGFAKE_LINKED=/tests/scenarios/jit/voxelize.sm_120.cubin -- \
        '/fake/s60_jit_library run image'
    grep -q "JIT: $said images from the cache" "$work/said/log"
    tell "the compose override, start $((said + 1)): $said images from the volume" $? "$work/said/log"
done
exit $failed
