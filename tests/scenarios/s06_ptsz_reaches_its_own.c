/*
 * cuLaunchKernel and cuLaunchKernel_ptsz, by name and by flag: the hooks differ, and each reaches
 * its own original. libspy stands in for the driver's two functions and says which one was called.
 * run: LD_LIBRARY_PATH=@/spy
 */
#include "scenario.h"

static void *driver(const char *name)
{
    static void *library;
    if (!library)
        library = dlopen("libcuda.so.1", RTLD_NOW);
    return dlsym(library, name);
}

int main(void)
{
    __typeof__(cuGetProcAddress_v2) *get = driver("cuGetProcAddress_v2");
    void *plain = driver("cuLaunchKernel"), *thread = driver("cuLaunchKernel_ptsz");
    void *by_flag = NULL, *by_flag_plain = NULL;
    printf("two: %d\n", plain != thread);
    launch(plain, NULL);
    launch(thread, NULL);
    get("cuLaunchKernel", &by_flag, 12000, CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM, NULL);
    get("cuLaunchKernel", &by_flag_plain, 12000, CU_GET_PROC_ADDRESS_LEGACY_STREAM, NULL);
    launch(by_flag, NULL);
    launch(by_flag_plain, NULL);
    printf("same by name and by flag: %d %d\n", by_flag == thread, by_flag_plain == plain);
    return 0;
}
