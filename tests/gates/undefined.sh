#!/bin/bash
# What the library takes from libc: nothing that tests/gates/undefined.allow does not list, never
# dlsym (it is ours to answer), and only names that musl has too, unless weak: one missing name makes
# every process of an Alpine container exit with 127.
set -eu
so=$OBJDIR/libkguard.so
all=$(nm -D --undefined-only "$so" | sed 's/@.*//' | awk '{print $NF, $(NF-1)}' | sort)
strong=$(echo "$all" | awk '$2 == "U" {print $1}')
status=0
complain() { # names sentence
    [ -z "$1" ] && return
    echo "$2: ${1//$'\n'/ }"
    status=1
}
allowed=$(sed 's/ *#.*//;/^$/d' tests/gates/undefined.allow | sort)
complain "$(comm -23 <(echo "$all" | cut -d' ' -f1) <(echo "$allowed"))" "not on the list"
complain "$(echo "$all" | grep '^dlsym ' || :)" "imports what it exports"
musl=/lib/ld-musl-$(uname -m).so.1
[ -e "$musl" ] || { echo "no $musl"; exit 77; }
complain "$(comm -23 <(echo "$strong") <(nm -D --defined-only "$musl" | awk '{print $3}' | sort))" \
    "not in musl"
exit $status
