#!/bin/bash
# Python's own tests of what a preloaded library may disturb, with the library and without, at the same
# time: the same tests, the same outcomes. Part of make check-system; minutes.    suites.sh [TEST...]
set -u
python=/usr/bin/python3
OBJDIR=$(cd "${OBJDIR:-build}" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0
outcomes() { # file: "test_x (test.test_y.Z.test_x) ... ok"; the description of a test may stand between
    grep -oE '^(test\w*|\w+) \([a-zA-Z0-9_.]+\)|(\.\.\. )?(ok|FAIL|ERROR|skipped .*|expected failure|unexpected success)$' "$1" |
        sed 's/^\.\.\. //' | awk '/\(/ { name = $0; next } name { print name, $0; name = "" }' | sort
}
for test in "${@:-test_ctypes test_threading test_subprocess test_multiprocessing_spawn test_multiprocessing_fork test_multiprocessing_forkserver test_signal test_os test_dl test_faulthandler}"; do
    for one in $test; do
        "$python" -c "import test.$one" 2>/dev/null || { echo "     no $one here"; continue; }
        for which in plain with; do
            preload=
            [ $which = with ] && preload=$OBJDIR/libkguard.so
            mkdir -p "$work/$one.$which"
            (cd "$work/$one.$which" && LD_PRELOAD=$preload TMPDIR=$PWD timeout 900 "$python" -m unittest -v "test.$one" \
                >out 2>err </dev/null; echo "exit $?" >status) &
        done
        wait
        outcomes "$work/$one.plain/err" >"$work/plain"
        outcomes "$work/$one.with/err" >"$work/with"
        cat "$work/$one.plain/status" >>"$work/plain"
        cat "$work/$one.with/status" >>"$work/with"
        if [ "$(wc -l <"$work/plain")" -gt 5 ] && diff "$work/plain" "$work/with" >"$work/diff"; then
            echo "ok   $one: $(grep -c ' ok$' "$work/with") ok, $(grep -cE ' (FAIL|ERROR)$' "$work/with") not, $(grep -c ' skipped' "$work/with") skipped, $(tail -n 1 "$work/with"), as without"
        else
            echo "FAIL $one: $(head -n 8 "$work/diff" | tr '\n' '|')"
            failed=1
        fi
    done
done
exit $failed
