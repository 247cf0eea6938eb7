#!/bin/bash
# The fake driver tells nothing that a real one did not: the recorder is run on it, as on a GPU, and
# every answer it gives must be the recorded one. "Unknown" (999) is allowed where it knows of nothing
# like the image. KNOWN are answers that it gets wrong, by what it leaves out on purpose, and those
# to a cubin mislabelled as kind 0x10 or 0x123, where two recordings on one machine differed.
set -u
OBJDIR=${OBJDIR:-build}
real=tests/recorded/driver-580.tsv
KNOWN='/(pick_)?kind_(10|123)_|/options_unknown\.fatbin/|^cache/|^link/host\.o/'
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
export LD_LIBRARY_PATH=$OBJDIR/fake/580 KGFAKE_CC=9.0 OUT=$out JOBS=2
tests/gpu/record.sh >/dev/null 2>"$out/said" || { cat "$out/said"; exit 1; }
awk -F'\t' -v known="$KNOWN" '
    NR == FNR { recorded[$1] = $3; next }
    $1 ~ /^image\// || $3 == 999 { next }
    $1 ~ known { left++; next }
    !($1 in recorded) {
        prefix = $1
        sub("/[^/]*$", "/signal", prefix)
        if (prefix in recorded)    # there the real driver died of the image
            next
        print $1 " = " $3 ", never recorded"; wrong++; next
    }
    recorded[$1] != $3 { print $1 " = " $3 ", recorded " recorded[$1]; wrong++; next }
    { same++ }
    END {
        print same + 0 " answers as recorded, " wrong + 0 " not, " left + 0 " known to differ"
        exit wrong > 0 || same < 6500
    }' "$real" "$out/driver-580.tsv"
