/*
 * Modules of PTX alone, through every door that takes one: compiled at the load, then found. The same
 * text through two doors is one entry; a caller's option that changes the code is another one.
 * link: -l:libcuda.so.1
 * run: LD_LIBRARY_PATH=@/../fake/580 KGUARD_JIT=auto TMP/cache
 */
#include "jit.h"

static void use_module(CUmodule module)
{
    CUfunction function = NULL;
    if (CALL(cuModuleGetFunction, &function, module, KERNEL) == 0)
        answer("cuLaunchKernel", launch(cuLaunchKernel, function));
    CALL(cuModuleUnload, module);
}

/* What was loaded is still known when the text is gone. */
static void forget_text(CUmodule module, char *text, size_t size)
{
    CUfunction function = NULL;
    memset(text, 0xff, size);
    CALL(cuModuleGetFunction, &function, module, "no_such_kernel");
    use_module(module);
}

/* A file that goes on behind its text. */
static const char *longer(const char *text)
{
    static char path[512];
    snprintf(path, sizeof path, "%s/longer", getenv("KGUARD_CACHE_DIR"));
    FILE *f = fopen(path, "w");
    if (!f || !fwrite(text, 1, strlen(text) + 1, f) || !fputs("and more", f) || fclose(f))
        exit(2);
    return path;
}

static void load(const char *door)
{
    static const char *fatbin = "tests/scenarios/jit/voxelize.compute_80.fatbin";
    static const char *text_file = "tests/scenarios/jit/voxelize.compute_80.ptx";
    char *text = calloc(1, 4096);
    CUjit_option limit = CU_JIT_MAX_REGISTERS, unknown = (CUjit_option)17;
    void *value = (void *)24;
    CUmodule module = NULL;
    FILE *f = fopen(text_file, "r");
    if (!f || !text || !fread(text, 1, 4095, f) || fclose(f))
        exit(2);
#define DOOR(name, function, ...)                                                                  \
    if (strcmp(door, name) == 0 && CALL(function, __VA_ARGS__) == 0)                               \
    use_module(module)
    DOOR("cuModuleLoad", cuModuleLoad, &module, fatbin);
    DOOR("cuModuleLoad of a text", cuModuleLoad, &module, text_file);
    DOOR("cuModuleLoadData", cuModuleLoadData, &module, ptx.data);
    DOOR("cuModuleLoadData of a text", cuModuleLoadData, &module, text);
    DOOR("cuModuleLoad of a longer file", cuModuleLoad, &module, longer(text));
    if (strcmp(door, "cuModuleLoadData of a text that goes") == 0 && CALL(cuModuleLoadData, &module, text) == 0)
        forget_text(module, text, 4096);
    DOOR("cuModuleLoadData of a wrapper", cuModuleLoadData, &module, &ptx);
    DOOR("cuModuleLoadDataEx", cuModuleLoadDataEx, &module, ptx.data, 0, NULL, NULL);
    DOOR("cuModuleLoadDataEx with a limit", cuModuleLoadDataEx, &module, ptx.data, 1, &limit, &value);
    DOOR("cuModuleLoadDataEx with symbols", cuModuleLoadDataEx, &module, ptx.data, 1, &unknown,
         &value);
    DOOR("cuModuleLoadFatBinary", cuModuleLoadFatBinary, &module, ptx.data);
}

int main(int argc, char **argv)
{
    static const char *const doors[] = {
        "cuModuleLoadData", "cuModuleLoadData", "cuModuleLoad", "cuModuleLoadFatBinary",
        "cuModuleLoadDataEx", "cuModuleLoadDataEx with a limit", "cuModuleLoadDataEx with a limit",
        "cuModuleLoadDataEx with symbols", "cuModuleLoadData of a text", "cuModuleLoad of a text",
        "cuModuleLoad of a longer file", "cuModuleLoadData of a text that goes", "cuModuleLoadData of a wrapper"};
    if (is_run(argv)) {
        start_direct();
        load(argv[2]);
        return 0;
    }
    mkdir(argv[argc - 1], 0700);
    for (size_t i = 0; i < sizeof doors / sizeof *doors; i++)
        again(argv, argv[argc - 1], doors[i]);
    clean(argv[argc - 1]);
    return 0;
}
