#!/bin/bash
# Ordinary commands, with the library preloaded and without: same output, same errors, same exit code.
set -u
cd "$(mktemp -d)" || exit
seq 1000 >numbers
echo 'int main(void) { return 42; }' >answer.c
printf 'all:\n\t@echo made; false\n' >Makefile
commands=(
    "true" "false" "echo hello" "sh -c 'exit 3'" "bash -c 'echo \$((6 * 7)); trap \"echo bye\" EXIT'"
    "cat numbers" "sort -R --random-source=numbers numbers" "tr 0-9 a-j <numbers" "wc numbers"
    "grep 9 numbers" "sed s/1/one/ numbers" "awk '{s += \$1} END {print s}' numbers"
    "gzip -nc numbers | gunzip" "tar cf - --mtime=@0 numbers | tar tvf -" "find . -name 'n*' | xargs -P2 -n1 ls"
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
    "busybox true" "ssh -V" "sudo -n true" "node -e 'console.log(1)'" "java -version"
)
status=0 ran=0
for command in "${commands[@]}"; do
    command -v "${command%% *}" >/dev/null || continue
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
