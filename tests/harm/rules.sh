#!/bin/bash
# The rules of harmlessness that need no more than this machine: host.c in each kind of surroundings.
# tests/harm/README.md says which rule is shown where.
. tests/harm/check.bash
check "H3 H14 a start under a kill filter for all but the loader's calls" no 'run $host inherited /bin/true'
check "H14 CUDA in a sandbox for files and memory: no other call" yes 'run $host sandboxed'
check "H14 every question refused by the kernel" any 'run $host refused'
check "H7 H9 H10 nothing of the process changes: errno, dlerror, mask, handlers, rounding, files, threads" yes 'run $host properties'
check "H22 threads with 64 KiB stacks" yes 'run $host stacks'
check "H8 fork, vfork, posix_spawn and clone while threads work" yes 'run $host storm'
mkdir -p cache
check "H8 the same, writing a cache" yes 'KGUARD_JIT=auto KGUARD_CACHE_DIR=$work/cache run $host storm'
check "H8 forked children ask the loader, while threads of their parent do" yes 'run $host walks'
check "H8 children that come to CUDA first, in a handler of their fork" yes 'run $host first_in_child'
check "H9 at most 6, 5, ... 0 open files" yes 'run $host few_files'
check "H9 a daemon that closes everything" yes 'run $host daemon'
check "H17 eight threads leave while the others fail" any 'run $host exits'
check "H16 dlmopen: another namespace is not seen" any 'run $host dlmopen libcudaplugin.so'
check "H6 loaded late, where others took the room for thread-local memory, 20 times" no '$host late $OBJDIR/harm/libtls.so:${preload:-$OBJDIR/harm/libtls.so}'
check "H6 H20 an LD_AUDIT library beside it" yes 'LD_AUDIT=$OBJDIR/harm/libaudit.so run $host use'
check "H19 KGUARD=0" no 'KGUARD=0 run $host use'
check "H22 no memory left" any 'run $host no_room'
check "H22 little address space from the start" yes 'ulimit -v 80000; run $host use'
check "H22 a stack of 64 KiB" yes 'ulimit -s 64; run $host use'
check "H22 4 open files from the start" yes 'ulimit -n 4; run $host use'
check "H22 no HOME, no environment" yes 'env -i LD_LIBRARY_PATH="$LD_LIBRARY_PATH" LD_PRELOAD=$preload $host use'
check "H22 a HOME that is not there, and a cache wanted" yes 'HOME=/nonexistent KGUARD_JIT=auto run $host use'
check "H11 standard error is a closed pipe" any '{ run $host use; echo "its exit $?"; } 2> >(exec 0<&-; true)'
check "H11 standard error is closed" no 'run $host use 2>&-'
check "H11 standard error is a full disk" no 'run $host use 2>/dev/full'
check "H11 files may not grow" no '{ (ulimit -f 0; run $host use 2>grown); echo "its exit $?"; } | cat'
check "H11 the log is a full disk" no 'KGUARD_LOG_FILE=/dev/full run $host use'
# Both are among the packages of make check; the chroots of make check-system have neither.
command -v strace >/dev/null && check "H20 strace" yes 'LD_PRELOAD= strace -f -o trace -E LD_PRELOAD=$preload $host use'
command -v valgrind >/dev/null && check "H20 valgrind" yes 'LD_PRELOAD= valgrind -q --error-exitcode=9 --trace-children=yes env LD_PRELOAD=$preload $host use'
end
