/* A line of /proc/PID/maps. */
#include "exercise.h"
#include "cli/walk.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *line = malloc(size + 1);
    struct kgi_mapping m;

    memcpy(line, data, size);
    line[size] = 0;
    size = strlen(line);
    if (kgi_maps_line(line, &m)) {
        PROMISE(m.path > line && m.path + strlen(m.path) <= line + size && m.path[0] == '/');
        PROMISE(m.inode && m.range[0] && strspn(m.range, "0123456789abcdef-") == strlen(m.range));
    }
    free(line);
    return 0;
}
