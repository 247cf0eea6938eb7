/*
 * Stands for NVRTC 12.1: what it answers to an architecture is what the real one does (NVRTC 13.0, run
 * beside it in tests/gpu/modes).
 * as: nvrtc/libnvrtc.so.12
 */
#include <stdlib.h>
#include <string.h>

#define PUBLIC __attribute__((visibility("default")))

static const int arches[] = {50, 52, 53, 60, 61, 62, 70, 72, 75, 80, 86, 87, 89, 90};
enum { ARCHES = sizeof arches / sizeof arches[0] };

PUBLIC int nvrtcVersion(int *major, int *minor);
PUBLIC int nvrtcVersion(int *major, int *minor)
{
    *major = 12;
    *minor = 1;
    return 0;
}

PUBLIC int nvrtcGetNumSupportedArchs(int *count);
PUBLIC int nvrtcGetNumSupportedArchs(int *count)
{
    *count = ARCHES;
    return 0;
}

PUBLIC int nvrtcGetSupportedArchs(int *list);
PUBLIC int nvrtcGetSupportedArchs(int *list)
{
    memcpy(list, arches, sizeof arches);
    return 0;
}

PUBLIC int nvrtcCompileProgram(void *program, int count, const char *const *options);
PUBLIC int nvrtcCompileProgram(void *program, int count, const char *const *options)
{
    for (int i = 0; i < count; i++) {
        const char *digits = strpbrk(options[i], "0123456789");
        int known = 0;

        if (strcmp(options[i], "--no-such-option") == 0)
            return 5;
        for (int k = 0; digits && k < ARCHES; k++)
            known |= arches[k] == atoi(digits);
        if (digits && !known)
            return 5;
    }
    return 0;
}
