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

static void load(const char *door)
{
    static const char *fatbin = "tests/scenarios/jit/voxelize.compute_80.fatbin";
    static const char *text_file = "tests/scenarios/jit/voxelize.compute_80.ptx";
    static char text[4096];
    CUjit_option limit = CU_JIT_MAX_REGISTERS, unknown = (CUjit_option)17;
    void *value = (void *)24;
    CUmodule module = NULL;
    FILE *f = fopen(text_file, "r");
    if (!f || !fread(text, 1, sizeof text - 1, f) || fclose(f))
        exit(2);
#define DOOR(name, function, ...)                                                                  \
    if (strcmp(door, name) == 0 && CALL(function, __VA_ARGS__) == 0)                               \
    use_module(module)
    DOOR("cuModuleLoad", cuModuleLoad, &module, fatbin);
    DOOR("cuModuleLoad of a text", cuModuleLoad, &module, text_file);
    DOOR("cuModuleLoadData", cuModuleLoadData, &module, ptx.data);
    DOOR("cuModuleLoadData of a text", cuModuleLoadData, &module, text);
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
        "cuModuleLoadData of a wrapper"};
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
