/*
 * A program that looks whether there is a driver, lets go of it, and loads it again later, at another place:
 * its calls reach the one that is there, and a failure is told of.
 * run: KGUARD_LOG=error
 */
#include <link.h>
#include <sys/mman.h>
#include "scenario.h"

static void *driver;
static uintptr_t first_page, pages; /* of the driver */

static void *find(const char *name)
{
    return dlsym(driver, name);
}

static int measure(struct dl_phdr_info *info, size_t size, void *context)
{
    if (info->dlpi_addr != ((struct link_map *)context)->l_addr)
        return 0;
    first_page = info->dlpi_addr;
    for (int i = 0; i < info->dlpi_phnum; i++)
        if (info->dlpi_phdr[i].p_type == PT_LOAD)
            pages = (info->dlpi_phdr[i].p_vaddr + info->dlpi_phdr[i].p_memsz + 4095) / 4096;
    return 1;
}

static void load(void)
{
    struct link_map *map = NULL;

    driver = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
    dlinfo(driver, RTLD_DI_LINKMAP, &map);
    dl_iterate_phdr(measure, map);
}

int main(void)
{
    const char *text = NULL;
    CUmodule module = NULL;
    uintptr_t before;

    load();
    before = first_page;
    printf("%s\n", find("cuGetErrorString") && find("cuModuleLoadData") ? "there" : "no driver");
    dlclose(driver);
    for (uintptr_t i = 0; i < pages; i++)
        mmap((void *)(before + i * 4096), 4096, PROT_NONE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    load();
    printf("again, %s\n", first_page == before ? "where it was" : "elsewhere");
    start(find);
    CALL_BY(find, cuGetErrorString, CUDA_ERROR_NO_BINARY_FOR_GPU, &text);
    puts(text);
    CALL_BY(find, cuModuleLoadData, &module, fatbin_60_90);
    return 0;
}
