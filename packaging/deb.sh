#!/bin/bash
# Makes the Debian packages from an installed tree, with dpkg-deb alone; run by `make deb`.
#   packaging/deb.sh VERSION MACHINE NOTICES FOLDER    the tree is FOLDER/tree, and is used up
# KGUARD_MAINTAINER="name <address>": who answers for the packages.
# The revision sorts before that of a package which Debian itself would make.
set -eu
umask 022
version=$1-0kguard1 machine=$2 notices=$3 folder=$4
case $machine in
x86_64) arch=amd64 ;;
aarch64) arch=arm64 ;;
*) echo "deb.sh: no packages for $machine" >&2 && exit 2 ;;
esac
maintainer=${KGUARD_MAINTAINER:-kguard authors <kguard@users.noreply.github.com>}
here=$(dirname "$0")

# take NAME PATH...: moves what is of a package there
take() {
    local root=$folder/$1 path
    shift
    for path; do
        mkdir -p "$root/$(dirname "$path")"
        mv "$folder/tree/$path" "$root/$path"
    done
}

# package NAME FIELD... <DESCRIPTION
package() {
    local name=$1 root=$folder/$1 doc=$folder/$1/usr/share/doc/$1
    shift
    mkdir -p "$doc" "$root/DEBIAN"
    {
        echo "kguard is written by its authors, and is theirs:"
        echo
        cat "$here/../LICENSE"
        echo
        echo "Other libraries are linked into its binaries. NOTICES.gz beside this file has their"
        echo "authors and licences."
    } >"$doc/copyright"
    cp "$notices" "$doc/NOTICES"
    cp "$here/../CHANGELOG.md" "$doc/changelog"
    cat >"$doc/changelog.Debian" <<EOF
kguard ($version) unstable; urgency=medium

  * Made by kguard's own make deb. What is new stands in changelog.gz.

 -- $maintainer  $(date -u -R -d "@$SOURCE_DATE_EPOCH")
EOF
    gzip -9n "$doc/NOTICES" "$doc/changelog" "$doc/changelog.Debian"
    find "$root/usr/share/man" -type f -exec gzip -9n {} +
    if [ -e "$here/$name.lintian-overrides" ]; then
        install -D -m 644 "$here/$name.lintian-overrides" "$root/usr/share/lintian/overrides/$name"
    fi
    (cd "$root" && find usr -type f -print0 | LC_ALL=C sort -z | xargs -0 md5sum) >"$root/DEBIAN/md5sums"
    {
        echo "Package: $name"
        echo "Source: kguard"
        echo "Version: $version"
        echo "Architecture: $arch"
        echo "Maintainer: $maintainer"
        echo "Installed-Size: $(du -ks --apparent-size "$root/usr" | cut -f 1)"
        echo "Section: devel"
        echo "Priority: optional"
        printf '%s\n' "$@"
        cat
    } >"$root/DEBIAN/control"
    find "$root" -newermt "@$SOURCE_DATE_EPOCH" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
    dpkg-deb --root-owner-group -Zxz --build "$root" "$folder" >/dev/null
    echo "$folder/${name}_${version}_$arch.deb"
}

lib=usr/lib/$machine-linux-gnu
rm -rf "$folder/libkguard" "$folder/kguard"
take libkguard $lib usr/include usr/share/man/man7
take kguard usr/bin usr/share/man/man1 usr/share/man/man5 usr/share/bash-completion
if [ -n "$(find "$folder/tree" -type f)" ]; then
    find "$folder/tree" -type f >&2
    echo "deb.sh: in no package" >&2
    exit 1
fi

mkdir -p "$folder/libkguard/DEBIAN"
echo "activate-noawait ldconfig" >"$folder/libkguard/DEBIAN/triggers"
package libkguard "Depends: libc6 (>= 2.17)" "Multi-Arch: same" <<'EOF'
Description: preloaded library that explains CUDA calls without code for the GPU
 A program that fails with "no kernel image is available for execution on the
 device" holds no code for the GPU that it runs on. With libkguard.so in
 LD_PRELOAD it says which kernel that is, of which library and package, why it
 cannot run, and what fixes it. Other programs never hear of it.
 .
 Also holds libkguard.a and kguard.h, which tell the same of files.
EOF
package kguard "Depends: libkguard (= $version)" "Multi-Arch: foreign" <<'EOF'
Description: name the CUDA kernel and library that cannot run on a GPU, and why
 Looks through programs, libraries, wheels, container images and running
 processes for CUDA code that a given GPU cannot run, without having one; runs
 programs under libkguard and sums up what failed and what fixes it; compiles
 PTX ahead of time for GPUs that are not there.
EOF
