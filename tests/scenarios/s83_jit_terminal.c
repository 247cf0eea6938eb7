/*
 * A compilation of seconds while the error stream is a terminal: a dot each second, and the time it took.
 * A short PTX gets none.
 * link: -l:libcuda.so.1
 * run: LD_LIBRARY_PATH=@/../fake/580 KGUARD_JIT=auto KGFAKE_LINK_MS=1500 TMP/cache
 */
#include "jit.h"

#include <fcntl.h>

enum { LONG = 100000 };

/* Runs what `again` runs with a terminal as its error stream, and repeats what came there. */
static void in_terminal(char **argv, const char *cache, const char *word)
{
    char text[4096];
    size_t n = 0;
    ssize_t got;
    int saved = dup(2), master = posix_openpt(O_RDWR | O_NOCTTY), terminal;
    if (master < 0 || grantpt(master) || unlockpt(master) ||
        (terminal = open(ptsname(master), O_RDWR | O_NOCTTY)) < 0)
        exit(2);
    fflush(stderr);
    dup2(terminal, 2);
    again(argv, cache, word);
    dup2(saved, 2);
    close(terminal);
    while (n < sizeof text - 1 && (got = read(master, text + n, sizeof text - 1 - n)) > 0)
        n += (size_t)got;
    text[n] = 0;
    close(master);
    for (char *line = strtok(text, "\r\n"); line; line = strtok(NULL, "\r\n")) {
        char *seconds = strstr(line, "compiled in "), *unit = strstr(line, " s to ");
        if (line[0] == '.')
            line = "kguard[0]: (dots)";
        else if (seconds && unit && strncmp(seconds + 12, "0.", 2) != 0)
            memset(seconds + 12, '#', (size_t)(unit - seconds) - 12);
        fprintf(stderr, "%s\n", line);
    }
}

int main(int argc, char **argv)
{
    static char text[LONG];
    CUmodule module = NULL;
    FILE *f = fopen("tests/scenarios/jit/voxelize.compute_80.ptx", "r");
    size_t size = f ? fread(text, 1, 4096, f) : 0;
    const char *cache = argv[argc - 1];
    if (!size)
        return 2;
    if (!is_run(argv)) {
        mkdir(cache, 0700);
        in_terminal(argv, cache, "short");
        in_terminal(argv, cache, "long");
        clean(cache);
        return 0;
    }
    if (strcmp(argv[2], "long") == 0) /* the same, with white space at its end */
        memset(text + size, '\n', LONG - 1 - size);
    start_direct();
    CALL(cuModuleLoadData, &module, text);
    return 0;
}
