#!/bin/bash
# Runs tests, two at a time, and counts.   tests/run.sh TEST...
# A test is a program or script, a scenario's source or a fuzz target's replay; exit 0 = passed,
# 77 = skipped (its last line says why), else failed.
# TIMEOUT=120 seconds each; STRICT=1: a skip is a failure; OBJDIR: where the logs go.
set -u
logs=${OBJDIR:-build}/check
if [ "${1-}" = --one ]; then
    name=$(basename "${2%.*}")
    command=("$2")
    case $2 in
    */scenarios/*.*) command=(tests/scenarios/scenario.sh "$2") ;;
    */fuzz/replay_*) command+=("tests/fuzz/corpus/${name#replay_}") ;;
    esac
    log=$logs/$name.log
    start=$(date +%s%N)
    timeout -k 5 "${TIMEOUT:-120}" "${command[@]}" >"$log" 2>&1 </dev/null
    status=$?
    time="$((($(date +%s%N) - start) / 1000000)) ms"
    case $status in
    0) echo "  ok    $name  ($time)" && echo passed >"$logs/$name.result" ;;
    77) echo "  skip  $name: $(tail -n 1 "$log")" && echo skipped >"$logs/$name.result" ;;
    *)
        [ $status = 124 ] && echo "timed out" >>"$log"
        echo failed >"$logs/$name.result"
        # One write, so that two failures do not mix.
        printf '%s\n' "$(echo "  FAIL  $name  (exit $status, $time)" && sed 's/^/        /' "$log")"
        ;;
    esac
    exit 0
fi
rm -rf "$logs"
mkdir -p "$logs"
printf '%s\n' "$@" | xargs -d '\n' -n 1 -P 2 "$0" --one
count() {
    grep -lx "$1" "$logs"/*.result 2>/dev/null | wc -l
}
failed=$(($# - $(count passed) - $(count skipped)))
echo "$(count passed) passed, $failed failed, $(count skipped) skipped"
[ "$failed" = 0 ] && { [ -z "${STRICT-}" ] || [ "$(count skipped)" = 0 ]; }
