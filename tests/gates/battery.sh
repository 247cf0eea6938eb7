#!/bin/bash
# Ordinary commands, with the library preloaded and without: same output, same errors, same exit code.
# What is not installed is left out, unless ALL=1 (make check-system).
set -u
OBJDIR=$(cd "${OBJDIR:-build}" && pwd)
cd "$(mktemp -d)" || exit
seq 1000 >numbers
mkdir -p many tree/a/b && cp numbers tree/a/b
for i in $(seq 12); do
    printf '#include <stdio.h>\nint f%s(int x) { return printf("%%d\\n", x + %s); }\n' "$i" "$i" >many/f$i.c
done
printf 'all: lib.a\nlib.a: $(patsubst %%.c,%%.o,$(sort $(wildcard *.c)))\n\tar rcsD $@ $^ && md5sum $@\n%%.o: %%.c\n\t@gcc -O1 -c -o $@ $<\n' >many/Makefile
cat >script.pl <<'P'
use strict; use POSIX qw(:sys_wait_h);
my @pids = map { my $n = $_; my $p = fork; if (!$p) { exit $n } $p } 1 .. 5;
print join(",", map { waitpid($_, 0); $? >> 8 } @pids), "\n";
open my $pipe, "-|", "sort -n numbers | tail -2" or die; print <$pipe>;
local $SIG{ALRM} = sub { print "alarm\n"; exit 6 }; alarm 1; sleep 5;
P
export GIT_AUTHOR_DATE=@0 GIT_COMMITTER_DATE=@0 GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a \
    GIT_COMMITTER_EMAIL=a@b GIT_CONFIG_GLOBAL=/dev/null
echo 'int main(void) { return 42; }' >answer.c
printf 'all:\n\t@echo made; false\n' >Makefile
commands=(
    "true" "false" "echo hello" "sh -c 'exit 3'" "bash -c 'echo \$((6 * 7)); trap \"echo bye\" EXIT'"
    "cat numbers" "sort -R --random-source=numbers numbers" "tr 0-9 a-j <numbers" "wc numbers"
    "grep 9 numbers" "sed s/1/one/ numbers" "awk '{s += \$1} END {print s}' numbers"
    "gzip -nc numbers | gunzip" "tar cf - --mtime=@0 numbers | tar tvf -" "find . -name 'n*' | xargs -P2 -n1 ls | sort"
    "head -c 10 /dev/zero | od" "cut -c1 numbers | uniq -c" "diff numbers answer.c" "sha256sum numbers"
    "date -d @0 -u" "id" "env -i /bin/echo bare" "nice sh -c 'echo nice'" "timeout 5 sleep 0"
    "timeout 0.05 sleep 5" "sh -c 'kill -9 \$\$'" "sh -c 'kill -ABRT \$\$'" "nohup echo up" "stat -c %s numbers"
    "gcc -o answer answer.c && ./answer" "gcc -static -o static answer.c && ./static" "make" "make -j2 nothing"
    "ld --version" "readelf -h /bin/true" "nm -D /bin/sh" "objdump -f /bin/true"
    "perl -e 'print join \",\", map {\$_ * 2} 1..9; exit 4'" "perl -e 'fork; wait'"
    "python3 -c 'import json, sys; print(json.dumps([1])); sys.exit(5)'"
    "python3 -c 'import threading; t = threading.Thread(target=print, args=(1,)); t.start(); t.join()'"
    "python3 -c 'import multiprocessing as m; p = m.Process(target=print, args=(1,)); p.start(); p.join()'"
    "python3 -c 'import ctypes; print(ctypes.CDLL(None).dlsym is not None)'"
    "python3 -c 'import ctypes; ctypes.CDLL(None).cuNoSuchFunction'"
    "python3 -c 'import subprocess; print(subprocess.run([\"echo\", \"x\"]).returncode)'"
    "git --version" "getent passwd root" "ldconfig -p | head -3" "locale" "ls -la /proc/self/fd | wc -l"
    "valgrind -q --tool=none true" "dd if=numbers bs=100 count=2 2>/dev/null" "su -c 'echo su' root"
    "gcc -E - <answer.c" "make -C many -s -j4; rm -f many/*.o many/lib.a" "cpp --version"
    "g++ -x c++ -fsyntax-only answer.c" "strings -n 4 numbers" "strip --version"
    "perl script.pl" "perl -MIO::Socket -e 'print IO::Socket->can(q(new)) ? 1 : 0'"
    "tar czf - -C tree --mtime=@0 --owner=0 --group=0 --sort=name . | tar xzvf - --to-stdout"
    "xz --version >/dev/null; tar cJf - numbers --mtime=@0 | tar tJ" "xz -kc numbers | xz -dc | md5sum" "bzip2 -kc numbers | bunzip2 | md5sum"
    "git init -q repo && cd repo && cp ../numbers . && git add . && git commit -qm one && git log --format=%H%n%s && git gc -q && git fsck && cd .. && rm -rf repo"
    "git diff --no-index numbers answer.c" "git hash-object numbers"
    "find tree -type f -exec md5sum {} +" "cmp numbers answer.c" "comm numbers numbers | wc -l" "join numbers numbers | md5sum"
    "sh -c 'for i in 1 2 3; do (exit \$i) & wait \$!; echo \$?; done'" "bash -c 'coproc cat; echo hi >&\${COPROC[1]}; read -r x <&\${COPROC[0]}; echo \$x'"
    "bash -c 'ulimit -c; ulimit -n; umask'" "mkfifo pipe && (cat pipe & echo through >pipe; wait); rm pipe" "setsid -w sh -c 'echo session'"
    "script -qec 'echo in a terminal' /dev/null" "flock numbers echo locked" "env -u LD_PRELOAD printenv HOME" "nice -n 5 true"
    "ssh -V" "ssh -G -F /dev/null example" "ssh-keygen -lf /dev/null" "openssl version" "openssl dgst -sha256 numbers"
    "python3 -m unittest --help" "python3 -c 'import concurrent.futures as f; print(sum(f.ProcessPoolExecutor(2).map(abs, range(-9, 0))))'"
    "python3 -c 'import asyncio; print(asyncio.run(asyncio.sleep(0, 7)))'" "python3 -m zipfile -c z.zip numbers && python3 -m zipfile -l z.zip | cut -c1-20"
    "python3 -c 'import os; os._exit(9)'" "python3 -c 'import ctypes; ctypes.string_at(0)'" "python3 -X faulthandler -c 'import os; os.abort()' 2>&1 | head -1"
    "busybox true" "busybox sh -c 'echo static; ls /nonexistent'" "busybox md5sum numbers" "age --version" "age-keygen -y /dev/null"
    "fakeroot id -u" "strace -f -e trace=none -o /dev/null true" "valgrind -q ls numbers" "gdb -batch -ex run -ex quit --args true 2>&1 | grep -c exited"
    "sudo -n true" "node -e 'console.log(1)'" "java -version"
)
# Not on Debian as it comes.
optional=" sudo node java "
status=0 ran=0
for command in "${commands[@]}"; do
    tool=${command%% *}
    if ! command -v "$tool" >/dev/null; then
        [ -n "${ALL-}" ] && [[ $optional != *" $tool "* ]] && echo "no $tool" && status=1
        continue
    fi
    ran=$((ran + 1))
    for preload in "" "$OBJDIR/libkguard.so"; do
        file=${preload:+with}
        LD_PRELOAD=$preload bash -c "$command" >"out${file}" 2>"err${file}" </dev/null
        echo $? >"exit${file}"
    done
    for what in out err exit; do
        sed -i -E 's/ line [0-9]+: +[0-9]+ / line N: PID /; s/0x[0-9a-f]{6,}/ADDRESS/g' $what ${what}with
        cmp -s $what ${what}with && continue
        echo "$what differs: $command"
        diff $what ${what}with | head -5
        status=1
    done
done
echo "$ran commands"
exit $status
