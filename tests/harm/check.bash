# shellcheck shell=bash
# For rules.sh and system.sh: a command with the library preloaded and without. Same standard output, same
# exit code; and where a report can be made, there is one.
set -u
libs=$OBJDIR/scenarios
host=$OBJDIR/harm/host
so=$OBJDIR/libkguard.so
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit
export LD_LIBRARY_PATH=$OBJDIR/fake:$libs
failed=0 count=0

# check NAME REPORT COMMAND...   REPORT: yes, no, or any. The command is a line for bash, with $1 what to
# preload; its descriptor 1 is compared, 2 is read for reports, unless the line says otherwise.
check() {
    local name=$1 report=$2 which
    for which in plain with; do
        preload=
        [ $which = with ] && preload=$so
        (eval "$3") >$which.out 2>$which.err </dev/null
        echo "exit $?" >>$which.out
    done
    count=$((count + 1))
    local said=no why=
    grep -q 'kguard\[' with.err && said=yes
    cmp -s plain.out with.out || why="output differs: $(diff plain.out with.out | head -n 6 | tr '\n' '|')"
    grep -qx 'exit 0' plain.out || why="it does not work without either: $(tail -n 3 plain.out plain.err | tr '\n' '|')"
    [ "$report" = any ] || [ "$report" = $said ] || why="${why:+$why; }reported: $said, not $report"
    if [ -n "$why" ]; then
        echo "FAIL $name: $why"
        failed=1
    else
        echo "ok   $name"
    fi
}
run() { # what it runs, with the library or without
    LD_PRELOAD=$preload "$@"
}
end() {
    echo "$count checks"
    exit $failed
}
