#!/bin/bash
# kguard's output over fixtures, compared with what was recorded.   [RECORD=1] tests/cli/golden.sh [CASE...]
# A case is a function below; its stdout, stderr and exit code are tests/cli/CASE.txt.
# shellcheck disable=SC2317 # the cases are called by name
set -u
kguard=$(realpath -e "${OBJDIR:-build}/kguard") || exit 1 # some cases work in another folder
F=tests/fixtures
set1=("$F"/{host.so,host_ptx.so,a_targets.fatbin,f_targets.fatbin,cuda_118.fatbin,stub.fatbin}
      "$F"/{empty.fatbin,cubin_90a.cubin,legacy.ptx,lto.fatbin,rdc.fatbin,host_object.o})
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT

text() { "$kguard" scan "${set1[@]}" --target sm_90,sm_120 --driver 580.65; }
# On each GPU another piece of PTX; and a name that no line of help has room for.
several_ptx() {
    local name=a_name_that_is_longer_than_a_line_of_help.fatbin
    cat $F/cuda_124.fatbin $F/default.fatbin >"$work/$name"
    (cd "$work" && "$kguard" scan -t sm_35,sm_70,sm_90,sm_120,sm_121 $name)
}
old_driver() { "$kguard" scan "${set1[@]}" -t 12.0 -d 570.26; }
all_targets() {
    [ -e /proc/driver/nvidia ] && return 77 # judges this machine's GPUs
    "$kguard" scan "${set1[@]}"
}
quiet() { "$kguard" scan -q -t sm_120 "${set1[@]}"; }
color() { "$kguard" scan --color=always -t sm_120,sm_80 $F/host.so $F/host_ptx.so; }
why() {
    "$kguard" scan --why -t sm_100 $F/host.so $F/plain_targets.fatbin $F/rdc.fatbin
    "$kguard" scan --why -t sm_50,sm_120 $F/host.so
}
# Not all images of a file are alike: how many say what the answer says.
some_images() {
    cat $F/default.fatbin $F/cuda_118.fatbin >"$work/two.fatbins"
    cd "$work" && "$kguard" scan --why -t sm_80,sm_90,sm_120 -d 570.26 two.fatbins
    "$kguard" scan --why -t sm_50,sm_90 -d 580.65.06 two.fatbins
}
# Names of more bytes than letters: the table stays one, and cuts none in two.
letters() {
    cp $F/default.fatbin "$work/kürzer.fatbin"
    cp $F/legacy.ptx "$work/x$(printf 'é%.0s' {1..70}).ptx"
    cd "$work" && "$kguard" scan -t sm_120 kürzer.fatbin x*.ptx | tail -n 3
}
kernels() { "$kguard" scan --kernels -t sm_80,sm_120 $F/host.so $F/default.fatbin; }
kernels_json() { "$kguard" scan --kernels --why --format json -t sm_90 $F/default.fatbin $F/lz4.fatbin; }
json() { "$kguard" scan --format json -t sm_90,sm_120 --driver 580.65 "${set1[@]}"; }
jsonl() { "$kguard" scan --format jsonl -t sm_120 $F/host.so $F/legacy.ptx; }
tsv() { "$kguard" scan --format tsv -t sm_90,sm_120 "${set1[@]}"; }
sarif() { "$kguard" scan --format sarif -t sm_120 $F/host.so $F/host_ptx.so $F/rdc.fatbin; }
fail_on() {
    local on
    for on in cannot jit never; do
        "$kguard" scan -q -t sm_120 --fail-on $on $F/legacy.ptx
        echo "$on: $?"
        "$kguard" scan -q -t sm_120 --fail-on=$on $F/cubin_90a.cubin
        echo "$on: $?"
    done
}
output_file() {
    "$kguard" scan -t sm_90 $F/legacy.ptx --format tsv --output "$work/out"
    echo "$?"
    cat "$work/out"
    "$kguard" scan -t sm_90 $F/legacy.ptx -o "$work/no/such/folder"
}
# A cubin whose kernels have names from outside it is one all the same, with and without --kernels.
kernels_without_names() {
    python3 - $F/cubin_80.cubin >"$work/nameless.cubin" <<'PYTHON'
import struct, sys
elf = bytearray(open(sys.argv[1], 'rb').read())
at, count = struct.unpack_from('<Q', elf, 0x28)[0], struct.unpack_from('<H', elf, 0x3c)[0]
for section in range(at, at + 64 * count, 64):
    kind, offset, size = struct.unpack_from('<4xI16x2Q', elf, section)
    for symbol in range(offset, offset + size, 24) if kind == 2 else ():
        struct.pack_into('<I', elf, symbol, 0x7fffffff)
sys.stdout.buffer.write(elf)
PYTHON
    cd "$work" && "$kguard" scan -t sm_80 nameless.cubin
    "$kguard" scan -t sm_80 --kernels nameless.cubin
}
# What can be wrong with a file: it is named, with the place; the others are still judged.
bad_input() {
    head -c 3000 $F/plain_targets.fatbin >"$work/cut.fatbin"
    head -c 12 $F/plain_targets.fatbin >"$work/header.fatbin"
    head -c 9000 $F/host.so >"$work/cut.so"
    head -c 2000 $F/cubin_90a.cubin >"$work/cut.cubin"
    { head -c 16 $F/default.fatbin; head -c 64 /dev/zero; } >"$work/entry.fatbin"
    printf '.version nine\n.target sm_90\n' >"$work/bad.ptx"
    printf '// a text\nint x;\n' >"$work/text.c"
    cp $F/legacy.ptx "$work/good.ptx"
    { cat $F/legacy.ptx; head -c 40000000 /dev/zero | tr '\0' '\n'; } >"$work/long.ptx"
    cd "$work" && "$kguard" scan -t sm_120 cut.fatbin header.fatbin cut.so cut.cubin entry.fatbin bad.ptx \
        text.c good.ptx long.ptx nothing
}
usage() {
    local arguments
    for arguments in "" frobnicate scan "scan --target sm_1x f" "scan --target" "scan --frob f" "scan -z f" \
        "scan --format xml f" "scan --quiet=yes f" "scan --driver old f" "explain" "explain KG999"; do
        # shellcheck disable=SC2086 # words
        "$kguard" $arguments
        echo "kguard $arguments: $?"
    done
}
help() { "$kguard" --help && "$kguard" scan --help && "$kguard" explain kg104; }
advice() {
    printf '# ours\nno-code\t35-120\tnone|host\t-\task build@example.com for {sm}\n' >"$work/ours.tsv"
    printf 'no-code\tany\n' >"$work/wrong.tsv"
    "$kguard" scan -t sm_120,sm_35 --advice "$work/ours.tsv" $F/host.so
    echo "$?"
    "$kguard" scan -t sm_120 --advice="$work/wrong.tsv" $F/host.so
    echo "$?"
    "$kguard" scan -t sm_120 --advice "$work/none" $F/host.so
}
# A wheel as pip gets it, and the folder that pip makes of it.
wheel() {
    python3 - "$work" <<'PYTHON'
import sys, zipfile
info = 'demo_ext-1.2.dist-info/'
with zipfile.ZipFile(sys.argv[1] + '/demo_ext-1.2-cp311-cp311-linux_x86_64.whl', 'w', zipfile.ZIP_DEFLATED) as z:
    z.write('tests/fixtures/host_ptx.so', 'demo_ext/_C.so')
    z.writestr('demo_ext/__init__.py', 'from ._C import *\n')
    z.writestr(info + 'METADATA', 'Metadata-Version: 2.1\nName: demo-ext\nVersion: 1.2\n')
    z.writestr(info + 'RECORD', 'demo_ext/_C.so,,\ndemo_ext/__init__.py,,\n')
    z.extractall(sys.argv[1] + '/site-packages')
PYTHON
    cd "$work" && "$kguard" scan -t sm_80,sm_120 ./*.whl site-packages
}
from_stdin() { "$kguard" scan -t sm_120 --format tsv - <$F/host.so; }

cases=${*:-$(declare -F | sed 's/declare -f //')}
failed=0
for c in $cases; do
    (NO_COLOR="" "$c") >"$work/$c" 2>"$work/$c.err" </dev/null
    status=$?
    [ $status = 77 ] && continue
    { cat "$work/$c"; sed 's/^/stderr: /' "$work/$c.err"; echo "exit $status"; } |
        sed "s|$work|WORK|g" >"$work/$c.got"
    if [ -n "${RECORD-}" ]; then
        cp "$work/$c.got" "tests/cli/$c.txt"
    elif ! diff -u "tests/cli/$c.txt" "$work/$c.got"; then
        echo "FAIL: $c"
        failed=1
    fi
done
exit $failed
