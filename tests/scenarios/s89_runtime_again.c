/*
 * A program that loads a plugin with its runtime, and lets go of both, again and again: they lie elsewhere each
 * time, and in the end where another runtime lay. Each call reaches the one that is there.
 * run: KGUARD_LOG=error
 * unsanitized: TSan calls what a library registered for its end by atexit after that has been unmapped
 */
#include <dlfcn.h>
#include <link.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

enum { TIMES = 40, PAGE = 4096 };

static uintptr_t start, pages; /* of the runtime */

static int measure(struct dl_phdr_info *info, size_t size, void *context)
{
    if (!strstr(info->dlpi_name, "libcudart.so"))
        return 0;
    start = info->dlpi_addr;
    for (int i = 0; i < info->dlpi_phnum; i++)
        if (info->dlpi_phdr[i].p_type == PT_LOAD)
            pages = (info->dlpi_phdr[i].p_vaddr + info->dlpi_phdr[i].p_memsz + PAGE - 1) / PAGE;
    return 1;
}

static void use(const char *extension, int time, int *right)
{
    void *library = dlopen(extension, RTLD_NOW | RTLD_LOCAL);
    int (*version)(int *) = (int (*)(int *))dlsym(library, "extension_version");
    int (*good)(void) = (int (*)(void))dlsym(library, "extension_good");
    int (*bad)(void) = (int (*)(void))dlsym(library, "extension_bad");
    int (*last)(void) = (int (*)(void))dlsym(library, "extension_last_error");
    int number = 0;

    dl_iterate_phdr(measure, NULL);
    *right += version(&number) == 0 && number / 1000 == (strstr(extension, "12") ? 12 : 13) && good() == 0 &&
              bad() == 209 && last() == 209 && last() == 0;
    dlclose(library);
}

int main(void)
{
    int moved = 0, right = 0;

    for (int time = 0; time < TIMES; time++) {
        uintptr_t before = start;

        use("libextension12.so", time, &right);
        moved += start != before;
        for (uintptr_t i = 0; i < pages; i++)
            mmap((void *)(start + i * PAGE), PAGE, PROT_NONE,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    }
    printf("%d places, %d of %d times right\n", moved, right, TIMES);
    for (int time = right = 0; time < TIMES; time++)
        use(time % 2 ? "libextension12.so" : "libextension13.so", time, &right);
    printf("by turns: %d of %d times right\n", right, TIMES);
    return 0;
}
