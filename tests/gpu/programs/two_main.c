/*
 * Two plugins, two CUDA runtimes of different versions, both loaded RTLD_LOCAL, called in turn.
 *     two_main PLUGIN PLUGIN
 * Each call must reach its own runtime: the versions, the sums and the errors say which it was.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

struct part {
    int (*good)(float *), (*bad)(void), (*last_error)(void), (*version)(void);
};

static int load(const char *path, struct part *part)
{
    void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!handle) {
        printf("%s\n", dlerror());
        return 0;
    }
    *(void **)&part->good = dlsym(handle, "part_good");
    *(void **)&part->bad = dlsym(handle, "part_bad");
    *(void **)&part->last_error = dlsym(handle, "part_last_error");
    *(void **)&part->version = dlsym(handle, "part_version");
    return 1;
}

int main(int argc, char **argv)
{
    struct part parts[2];
    int healthy = argc > 3 && !strcmp(argv[3], "healthy");

    if (argc < 3 || !load(argv[1], &parts[0]) || !load(argv[2], &parts[1]))
        return 2;
    for (int round = 0; round < 2; round++)
        for (int i = 0; i < 2; i++) {
            float sum;
            int e = parts[i].good(&sum);
            printf("runtime %d: good %d, sum %g", parts[i].version(), e, sum);
            if (!healthy)
                printf(", bad %d", parts[i].bad());
            printf(", last %d, then %d\n", parts[i].last_error(), parts[i].last_error());
        }
    return 0;
}
