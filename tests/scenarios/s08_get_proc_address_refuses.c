/*
 * Requests that the driver refuses stay refused, outputs untouched: an unknown name, a version
 * before the function existed, no place for the status, no place for the answer.
 */
#include "scenario.h"

static void *library;

static void *driver(const char *name)
{
    return dlsym(library, name);
}

int main(void)
{
    void *mark = &mark, *out = mark;
    CUdriverProcAddressQueryResult status = 77;
    library = dlopen("libcuda.so.1", RTLD_NOW);
    start(driver);
    __typeof__(cuGetProcAddress_v2) *get = driver("cuGetProcAddress_v2");
    CALL(get, "cuNoSuchFunction", &out, 12000, 0, &status);
    printf("status %d, out is %s\n", (int)status, out == mark ? "untouched" : out ? "set" : "NULL");
    out = mark;
    status = 77;
    CALL(get, "cuLaunchKernelEx", &out, 9000, 0, &status);
    printf("status %d, out is %s\n", (int)status, out == mark ? "untouched" : out ? "set" : "NULL");
    out = NULL;
    CALL(get, "cuLaunchKernel", &out, 12000, 0, NULL);
    printf("found %d\n", out != NULL);
    CALL(get, "cuLaunchKernel", NULL, 12000, 0, NULL);
    return 0;
}
