#!/bin/sh
# Images as umoci and skopeo write them (they must be installed): an OCI layout, the same with zstd layers,
# as an OCI tar, as docker-archive, as that through gzip and through a pipe, and as dir:. Each holds one file
# that a layer removes, one in a folder that a layer empties, one that stays and one that is new; then a
# blob is changed.     OBJDIR=build tests/corpus/images.sh
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
kguard=$(realpath "${OBJDIR:-$root/build}/kguard")
temp=$(mktemp -d)
trap 'rm -rf "$temp"' EXIT
cd "$temp"
failed=0

# expect NAME EXIT_CODE "FILES" ARGUMENT...: the names of the libraries that kguard shows there
expect() {
    name=$1 code=$2 files=$3
    shift 3
    got=0
    "$kguard" scan --target sm_120 --fail-on=never --format=tsv "$@" >out 2>err || got=$?
    shown=$(tail -n +2 out | cut -f 1 | sed 's,.*!/,,' | sort | tr '\n' ' ')
    if [ "$got" = "$code" ] && [ "$shown" = "$files" ]; then
        echo "ok: $name: $shown"
    else
        echo "FAILED: $name: exit $got, $shown"
        cat err
        failed=1
    fi
}

mkdir -p base/usr/lib base/opt/old
cp "$root/tests/fixtures/host.so" base/usr/lib/libremoved.so
cp "$root/tests/fixtures/host.so" base/usr/lib/libkept.so
cp "$root/tests/fixtures/host.so" base/opt/old/libemptied.so
mkdir empty
umoci init --layout oci
umoci new --image oci:app
umoci insert --image oci:app base /
umoci insert --image oci:app "$root/tests/fixtures/host_ptx.so" /usr/lib/libnew.so
umoci insert --whiteout --image oci:app /usr/lib/libremoved.so
umoci insert --opaque --image oci:app empty /opt/old
copy() {
    skopeo --insecure-policy copy -q "$@" >/dev/null
}
copy --dest-compress --dest-compress-format zstd oci:oci:app oci:zstd:app
copy oci:oci:app oci-archive:oci.tar:app
copy oci:oci:app docker-archive:docker.tar:app:1
copy oci:oci:app dir:dir
gzip -k docker.tar
cp -r oci changed
blob=$(tar xOf oci.tar index.json | grep -o 'sha256:[0-9a-f]*' | cut -d: -f2)
layers=$(grep -o 'sha256:[0-9a-f]*' "oci/blobs/sha256/$blob" | cut -d: -f2 | tail -n +2)
# shellcheck disable=SC2086
set -- $layers
cat "oci/blobs/sha256/$1" >"changed/blobs/sha256/$2"

all="usr/lib/libkept.so usr/lib/libnew.so "
for image in oci zstd oci.tar docker.tar docker.tar.gz dir; do
    expect "$image" 0 "$all" "$image"
done
for image in oci.tar docker.tar; do
    expect "$image, by a pipe" 0 "$all" - <"$image"
done
expect "a layer with the bytes of another" 3 "usr/lib/libkept.so " changed
grep -q "changed: blobs/sha256/$2: its bytes are not those of its name; their SHA-256 is $1" err || {
    echo "FAILED: not said of $2:"
    cat err
    failed=1
}
exit $failed
