#!/bin/bash
# Runs one scenario: tests/scenarios/scenario.sh tests/scenarios/sNN_name.c    (or .py)
#
# A line of the program's head
#     run: [VARIABLE=value...] [argument...]
# is one run; without such a line there is one with nothing set. Each is done twice, without and with
# the library preloaded: what the program prints and its exit code must be the same. What was said
# goes, with PIDs, addresses and paths taken out, beside the program's output, and must be as
# recorded in sNN_name.txt (under a sanitizer but for the stack, where its own frames stand).
# RECORD=1 records it anew: read the difference before committing it.
#
# Of the variables, PRELOAD_BEFORE and PRELOAD_AFTER name libraries to preload beside ours; @ in a
# value is the directory of the scenarios' libraries, TMP an empty directory of this run's own: files
# found there afterwards belong to what was said. "unsanitized: why" in the head: what the scenario
# does cannot be done under a sanitizer.
#
# Texts of errors stay as they are unless a run says KGUARD_ERROR_TEXT=1; there, what the library added
# to them is the one difference allowed, and is recorded.
set -u
source=$1
name=$(basename "${source%.*}")
OBJDIR=$(cd "${OBJDIR:-build}" && pwd)
here=$(dirname "$source")
libs=$OBJDIR/scenarios
read -ra program <<<"${RUNNER-}" # what runs a program of another processor
program+=("$libs/$name")
[ "${source##*.}" = py ] && program=(python3 "$source")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export LD_LIBRARY_PATH=$OBJDIR/fake:$libs KG_FAKE=$OBJDIR/fake KGUARD_ERROR_TEXT=0

# A sanitized library needs its runtime before it, whatever the program is. TSan's memory layout does
# not suit every random layout of the kernel's.
sanitizer='' layout=()
case ${SAN-} in
*address*) sanitizer=$(${CC:-gcc} -print-file-name=libasan.so) ;;
*thread*)
    sanitizer=$(${CC:-gcc} -print-file-name=libtsan.so)
    layout=(setarch -R)
    ;;
esac
export ASAN_OPTIONS=detect_leaks=0:abort_on_error=1
export TSAN_OPTIONS=halt_on_error=1:exitcode=66:report_thread_leaks=0:die_after_fork=0
export UBSAN_OPTIONS=print_stacktrace=1

head_of() { # keyword
    sed -nE "s/^( \*|#) $1: *//p" "$source"
}
why=$(head_of unsanitized)
if [ -n "${SAN-}" ] && [ -n "$why" ] && [[ $SAN = thread || $why != TSan* ]]; then
    echo "$why"
    exit 77
fi

normal() {
    sed -E -e "s#$work/[^ ]*/#TMP/#g; s#$OBJDIR/#BUILD/#g; s#$PWD/#SRC/#g" \
        -e 's/code at byte [0-9]+/code at byte N/; s/"place":[0-9]+/"place":N/' \
        -e 's/kguard\[[0-9]+/kguard[PID/g; s/"pid":[0-9]+/"pid":PID/g' \
        -e 's/"time":"?[-0-9.:TZ+]+"?/"time":TIME/g; s/0x[0-9a-f]{5,}/ADDRESS/g' \
        -e 's/ld-2\.[0-9]+\.so|ld-linux-aarch64\.so\.1/ld-linux-x86-64.so.2/g' \
        -e "s/\"process\":\"qemu[^\"]*/\"process\":\"${name:0:15}/g" \
        -e 's/and (ld.so.cache names) none|(ld.so.cache names) one elsewhere/\1\2 IT OR NOT/'
}

# run DIRECTORY PRELOAD WORD...: output, error, exit code into files of the directory
run() {
    local dir=$1 preload=$2 settings=() arguments=() before='' after='' word
    shift 2
    mkdir -p "$dir/tmp"
    for word in "$@"; do
        word=${word//=@/=$libs}
        word=${word//TMP/$dir/tmp}
        case $word in
        PRELOAD_BEFORE=*) before=${word#*=} ;;
        PRELOAD_AFTER=*) after=${word#*=} ;;
        [A-Z_]*=*) settings+=("$word") ;;
        *) arguments+=("$word") ;;
        esac
    done
    "${layout[@]}" env LD_PRELOAD="$sanitizer $before $preload $after" "${settings[@]}" "${program[@]}" \
        "${arguments[@]}" >"$dir/out" 2>"$dir/all"
    echo $? >"$dir/exit"
    grep -v -E '^(kguard\[|\{"schema")' "$dir/all" >"$dir/err"
    grep -E '^(kguard\[|\{"schema")' "$dir/all" >"$dir/said"
    find "$dir/tmp" -type f -exec cat {} + >>"$dir/said"
}

status=0
mapfile -t runs < <(head_of run)
[ ${#runs[@]} = 0 ] && runs=("")
for ((i = 0; i < ${#runs[@]}; i++)); do
    read -ra words <<<"${runs[i]}"
    run "$work/$i/plain" "" "${words[@]}"
    run "$work/$i/with" "$OBJDIR/libkguard.so" "${words[@]}"
    for file in out err exit; do
        # Addresses and directories of the two runs may differ; nothing else.
        added='^$'
        [[ ${runs[i]} == *KGUARD_ERROR_TEXT=1* ]] && added=' \(kguard: .*\)$'
        diff <(normal <"$work/$i/plain/$file") \
            <(normal <"$work/$i/with/$file" | sed -E "s/$added//") >"$work/diff" ||
            { echo "the library changed the program's $file (${runs[i]}):"; cat "$work/diff"; status=1; }
    done
    {
        echo "\$ ${runs[i]:+${runs[i]} }$name"
        normal <"$work/$i/with/out"
        normal <"$work/$i/with/err"
        echo "exit $(cat "$work/$i/with/exit")"
        normal <"$work/$i/with/said"
    } >>"$work/actual"
    if grep -q '^{' "$work/$i/with/said"; then
        grep '^{' "$work/$i/with/said" |
            python3 -c 'import json, sys; [json.loads(line) for line in sys.stdin]' || status=1
    fi
done
expected=$here/$name.txt
# What takes no time takes some tenths of a second on a machine that is busy.
compared() {
    stack=${SAN:+called}
    grep -v "${stack:-^$}" "$1" | sed -E 's/\b0\.[0-9] s\b/0.N s/g'
}
if [ -n "${RECORD-}" ]; then
    cp "$work/actual" "$expected"
else
    diff -u <(compared "$expected") <(compared "$work/actual") || status=1
fi
exit $status
