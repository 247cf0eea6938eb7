/*
 * Two runtimes of different versions in one process, both loaded with RTLD_LOCAL as dependencies
 * of extensions whose wrappers end in a tail call (a jump, so that the return address is not
 * theirs): each call reaches the runtime it is meant for.
 * run: KGUARD_LOG=error
 */
#include <dlfcn.h>
#include <stdio.h>

static void use(const char *extension)
{
    void *library = dlopen(extension, RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        puts(dlerror());
        return;
    }
    int (*version)(int *) = (int (*)(int *))dlsym(library, "extension_version");
    int (*good)(void) = (int (*)(void))dlsym(library, "extension_good");
    int (*bad)(void) = (int (*)(void))dlsym(library, "extension_bad");
    int (*last)(void) = (int (*)(void))dlsym(library, "extension_last_error");
    int number = 0, results[4];
    version(&number);
    results[0] = good();
    results[1] = bad();
    results[2] = last();
    results[3] = last();
    printf("%s: runtime %d, good %d, bad %d, last error %d, then %d\n", extension, number / 1000,
           results[0], results[1], results[2], results[3]);
}

int main(void)
{
    use("libextension12.so");
    use("libextension13.so");
    use("libextension12.so");
    return 0;
}
