#!/bin/sh
# In a musl process the library is loaded and does nothing: same bytes, same exit code.
set -eu
command -v musl-gcc >/dev/null || { echo "no musl-gcc"; exit 77; }
cd "$(mktemp -d)"
cat >hello.c <<'EOF'
#include <stdio.h>
#include <dlfcn.h>
int main(int argc, char **argv)
{
    char line[256];
    FILE *maps = fopen("/proc/self/maps", "r");
    int loaded = 0;
    while (maps && fgets(line, sizeof line, maps))
        for (char *c = line; *c; c++)
            loaded |= !__builtin_strncmp(c, "libkguard.so", 12);
    printf("hello %d\n", argc);
    fprintf(stderr, "sym %d\n", dlsym(RTLD_DEFAULT, "printf") != 0);
    return argc > 1 ? loaded : 7;
}
EOF
musl-gcc -O1 -o hello hello.c
status() {
    "$@" && echo 0 || echo $?
}
plain=$(status ./hello 2>&1)
with=$(LD_PRELOAD=$OBJDIR/libkguard.so status ./hello 2>&1)
echo "$with"
[ "$plain" = "$with" ]
# That it was there at all:
[ "$(LD_PRELOAD=$OBJDIR/libkguard.so status ./hello loaded 2>/dev/null | tail -n 1)" = 1 ]
