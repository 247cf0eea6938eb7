#!/bin/sh
# Puts what was built where it belongs, and takes it away again; run by make from the repository's root.
#     packaging/install.sh install|uninstall BINARIES PAGES
# BINARIES, PAGES: the folders where those are. VERSION, DESTDIR, PREFIX, BINDIR, LIBDIR, INCLUDEDIR and
# DATADIR come in the environment; the last four are below PREFIX unless they are set.
set -eu
action=$1 from=$2 pages=$3
BINDIR=${BINDIR:-$PREFIX/bin} LIBDIR=${LIBDIR:-$PREFIX/lib}
INCLUDEDIR=${INCLUDEDIR:-$PREFIX/include} DATADIR=${DATADIR:-$PREFIX/share}
conf=/etc/ld.so.conf.d/kguard.conf

files() {
    cat <<EOF
755 $BINDIR/kguard $from/kguard
644 $LIBDIR/libkguard.so $from/libkguard.so
644 $LIBDIR/libkguard.a $from/libkguard.a
644 $LIBDIR/pkgconfig/kguard.pc packaging/kguard.pc.in
644 $INCLUDEDIR/kguard.h include/kguard.h
644 $DATADIR/man/man1/kguard.1 $pages/kguard.1
644 $DATADIR/man/man5/kguard-cache.5 $pages/kguard-cache.5
644 $DATADIR/man/man7/libkguard.7 $pages/libkguard.7
644 $DATADIR/bash-completion/completions/kguard $pages/kguard.bash
EOF
}

# The paths below prefix move with it.
fill() {
    sed -e "s|@prefix@|$PREFIX|" -e "s|@libdir@|$LIBDIR|" -e "s|@includedir@|$INCLUDEDIR|" \
        -e "s|@version@|$VERSION|" -e "/^prefix=/!s|=$PREFIX/|=\${prefix}/|" "$1"
}

files | while read -r mode to file; do
    case $action:$file in
    uninstall:*) rm -f "$DESTDIR$to" ;;
    # A new file each time: one that running programs have mapped must not be written to.
    *.pc.in) fill "$file" | install -D -m "$mode" /dev/stdin "$DESTDIR$to" ;;
    *) install -D -m "$mode" "$file" "$DESTDIR$to" ;;
    esac
done

# Into this system, by its administrator: ld.so is to find the bare name.
[ -z "$DESTDIR" ] && [ "$(id -u)" = 0 ] && command -v ldconfig >/dev/null || exit 0
if [ "$action" = uninstall ] && grep -qsxF "$LIBDIR" $conf; then
    rm $conf
fi
ldconfig
found=$(ldconfig -p | sed -n 's/.*libkguard\.so .*=> //p' | head -n 1)
if [ "$action" = install ] && [ "$(readlink -f "$found")" != "$(readlink -f "$LIBDIR/libkguard.so")" ]; then
    mkdir -p "$(dirname $conf)"
    echo "$LIBDIR" >$conf
    ldconfig
fi
