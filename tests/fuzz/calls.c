/*
 * A sequence of driver calls, made of a seed, and its trace:
 *
 *   calls SEED LENGTH [STEP...]      these steps alone
 *
 * calls.py runs each with and without the library: the traces must be the same. So a step's choices depend on the
 * seed and its number only, not on what was answered; and what it acts on is in one of some places, where there may
 * be nothing (then the driver is given NULL, of which it says what is recorded).
 *
 * Left out is what README's Limits name: cuFuncGetModule is asked with the context of the function's module
 * current; functions are known by their names, not by their handles; nobody listens to the driver's log. And what no
 * driver defines: handles that are gone, and a module of a library unloaded as if it were one's own.
 *
 * CALLS_CACHE=directory: a step may damage or remove what lies in it, as another process would.
 */
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "kg_cuda.h"

CUresult cuDevicePrimaryCtxReset_v2(CUdevice device);

#define COUNT(array) (sizeof(array) / sizeof *(array))
#define LARGE 24 /* kernels of a large module */

/* ---- chance ---- */

static uint64_t chance, few;

static unsigned pick(unsigned n)
{
    uint64_t z = chance += 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return (unsigned)((z ^ z >> 31) % n);
}

/* ---- images ---- */

struct names {
    const char *head, *tail; /* a number between them, where there are several */
    unsigned count;
};

struct image {
    char *at;
    size_t size;
    struct names kernels;
    uint16_t number, isa; /* of its PTX: 80 of compute_80, 87 of ISA 8.7 */
};

static const struct names of_many = {
    "kernel_", "_that_is_on_its_own_and_has_a_name_of_so_many_letters_that_few_parameters_will_do", 19};
static const struct names of_voxelize = {"_Z15voxelize_kernelPfi", "", 1};

static struct image file_image(const char *path)
{
    struct image image = {.kernels = strstr(path, "many") ? of_many : of_voxelize};
    FILE *file = fopen(path, "rb"), *out = open_memstream(&image.at, &image.size);
    if (!file)
        exit(2);
    for (int byte; (byte = getc(file)) != EOF;)
        putc(byte, out);
    fclose(file);
    fclose(out);
    return image;
}

/* Modules of the same names, alike but for one kernel: what is taken for another shows. What is wrong with a kernel
 * of a large one need not be noticed (README's Limits): that is only wrong as a whole. Each third kernel counts in
 * the module's variable, each fifth calls a function: neither stands on its own. */
static struct image text_image(bool large, unsigned variant)
{
    struct image text = {.kernels = {"kernel_", "", large ? LARGE : 4}, .number = variant ? 80 : 75, .isa = 80};
    FILE *out = open_memstream(&text.at, &text.size);
    if (!pick(20)) /* too high */
        text.number = 130;
    if (!pick(20)) /* too new */
        text.isa = 99;
    fprintf(out, ".version %u.%u\n.target sm_%u\n.address_size 64\n", text.isa / 10, text.isa % 10, text.number);
    fprintf(out, "\n.global .align 8 .u64 counter;\n");
    fprintf(out, ".func helper()\n{\n\tret;\n}\n\n");
    for (unsigned i = 0; i < text.kernels.count; i++) {
        fprintf(out, ".visible .entry kernel_%u(\n\t.param .u64 kernel_%u_out\n)\n{\n\t.reg .b64 %%rd<4>;\n", i, i);
        for (unsigned j = 0; j < (large ? 100 + 17 * i % 90 : 2); j++)
            fprintf(out, "\tmov.u64 \t%%rd1, %u;\n", i == variant ? 1000 + i : i);
        if (i % 3 == 0)
            fprintf(out, "\tmov.u64 \t%%rd3, counter;\n");
        if (i % 5 == 1)
            fprintf(out, "\tcall helper, ();\n");
        fprintf(out, "\t%s.u64 \t[%%rd2], %%rd1;\n\tret;\n}\n\n", pick(40) || large ? "st.global" : "mvo");
    }
    fclose(out);
    return text;
}

static void add_entry(FILE *fatbin, uint16_t kind, struct image code)
{
    struct {
        uint16_t kind, version;
        uint32_t head;
        uint64_t padded;
        uint32_t packed, options;
        uint16_t minor, major;
        uint32_t number;
        uint64_t name, flags, none, unpacked;
    } entry = {.kind = kind, .version = 0x101, .head = sizeof entry, .padded = (code.size + 8) / 8 * 8,
               .minor = code.isa % 10, .major = code.isa / 10, .number = code.number, .flags = 0x11};
    fwrite(&entry, sizeof entry, 1, fatbin);
    fwrite(code.at, code.size, 1, fatbin);
    fwrite("\0\0\0\0\0\0\0", entry.padded - code.size, 1, fatbin);
    free(code.at);
}

static struct image fatbin_image(bool with_text, bool with_cubin)
{
    static const uint32_t head[] = {0xBA55ED50, 1 | 16 << 16, 0, 0};
    struct image text = text_image(pick(3), pick(4)), fatbin = {.kernels = text.kernels}, cubin;
    FILE *out = open_memstream(&fatbin.at, &fatbin.size);
    fwrite(head, sizeof head, 1, out);
    if (with_text)
        add_entry(out, 1, text);
    if (with_cubin) {
        cubin = file_image("tests/scenarios/jit/voxelize.sm_120.cubin");
        cubin.number = 120;
        fatbin.kernels = cubin.kernels;
        add_entry(out, 2, cubin);
    }
    fclose(out);
    *(uint64_t *)(void *)(fatbin.at + 8) = fatbin.size - sizeof head;
    return fatbin;
}

static struct image any_image(void)
{
    static const char *const files[] = {
        "examples/voxelize.sm_60-90.fatbin",          "examples/voxelize.sm_120.fatbin",
        "tests/scenarios/jit/many.compute_80.fatbin", "tests/scenarios/jit/many.both.fatbin",
        "tests/scenarios/jit/voxelize.sm_120.cubin",  "tests/scenarios/jit/voxelize.options.fatbin",
        "tests/fixtures/lz4.fatbin",
    };
    unsigned what = pick(32);
    struct image image = what < 8    ? text_image(pick(2), pick(4))
                         : what < 22 ? fatbin_image(true, false)
                         : what < 24 ? fatbin_image(true, true)
                         : what < 25 ? fatbin_image(false, pick(2))
                         : what < 31 ? file_image(files[pick(COUNT(files))])
                                     : (struct image){strdup("no image at all"), 16, {NULL, NULL, 0}, 0, 0};
    bool packed = what >= 25 && *image.at != 0x7F; /* what becomes of those in a wrapper was not recorded */
    if (!pick(20) && !packed)                      /* cut off */
        memset(image.at + image.size / 2, 0, image.size - image.size / 2);
    return image;
}

/* Every other sequence has few images, and few places for what comes of them, to meet them again and again. */
static struct image some_image(void)
{
    uint64_t which = few + pick(3), after = chance;
    if (few)
        chance = which;
    struct image image = any_image();
    if (few)
        chance = after;
    return image;
}

static const char *some_name(struct names of)
{
    static char name[128];
    static const char *const others[] = {"kernel_3", "_Z15voxelize_kernelPfi", "kernel_with_a_variable", "nothing"};
    if (!of.count || !pick(6))
        return others[pick(COUNT(others))];
    if (of.count == 1)
        return of.head;
    snprintf(name, sizeof name, "%s%u%s", of.head, pick(pick(2) ? 4 : of.count), of.tail);
    return name;
}

/* ---- where an image lies, until it has been loaded or, if the program promises it, for as long as it is ---- */

enum { HEAP, BUFFER, WRITTEN, MAPPED, PLUGIN, PLACES };
static char buffer[512 << 10], written[512 << 10] = "of a file";

struct placed {
    int place;
    char *at;
    size_t size;
    void *plugin;
};

static struct placed place(struct image *image, int where)
{
    struct placed p = {where, NULL, image->size + 64, NULL};
    if (where == PLUGIN) { /* that has one of its own */
        image->kernels = of_many;
        p.plugin = dlopen("libimage.so", RTLD_NOW | RTLD_LOCAL);
        const void *const *at = p.plugin ? dlsym(p.plugin, "plugin_image") : NULL;
        if (!at)
            exit(2);
        p.at = (char *)(uintptr_t)*at;
    } else if (where == MAPPED) {
        FILE *file = tmpfile();
        if (!file || fwrite(image->at, 1, image->size, file) != image->size || fflush(file) ||
            ftruncate(fileno(file), (off_t)p.size))
            exit(2);
        p.at = mmap(NULL, p.size, PROT_READ | PROT_WRITE, MAP_PRIVATE, fileno(file), 0);
        fclose(file);
    } else {
        p.at = where == HEAP ? malloc(p.size) : where == BUFFER ? buffer : written;
        memset(p.at, 0, p.size);
        memcpy(p.at, image->at, image->size);
    }
    free(image->at);
    return p;
}

static void displace(struct placed *p)
{
    if (p->plugin)
        dlclose(p->plugin);
    else if (p->at)
        memset(p->at, 'x', p->size);
    if (p->place == MAPPED && p->at)
        munmap(p->at, p->size);
    if (p->place == HEAP)
        free(p->at);
    *p = (struct placed){.place = HEAP};
}

/* ---- what is there, and its names ---- */

static struct library {
    CUlibrary handle;
    struct names kernels;
    struct placed kept;
} libraries[4];
static struct module {
    CUmodule handle;
    struct names kernels;
    CUlibrary of;
    CUcontext context;
} modules[5];
static struct kernel {
    CUkernel handle;
    struct names kernels;
    CUlibrary of;
} kernels[6];
static struct function {
    CUfunction handle;
    struct names kernels;
    CUlibrary of;
    CUmodule in;
    CUcontext context; /* of its module */
} functions[6];
static CUcontext contexts[4]; /* the first is the primary one */

#define ROOM(array) (few ? COUNT(array) / 2 : COUNT(array))
#define ANY(array) (&(array)[pick(ROOM(array))])
/* One that is there, where there is one; seldom any. */
#define SOME(array)                                                                                                    \
    ({                                                                                                                 \
        unsigned at_ = pick(ROOM(array)), tries = pick(20) ? ROOM(array) : 1;                                          \
        while (--tries && !(array)[at_].handle)                                                                        \
            at_ = (at_ + 1) % ROOM(array);                                                                             \
        &(array)[at_];                                                                                                 \
    })

/* Libraries and modules are numbered as they are met. */
static struct known {
    const void *handle; /* NULL: it is gone */
    CUlibrary of;
    CUcontext context;
} known[4096];
static unsigned known_count;

static CUcontext current(void)
{
    CUcontext context = NULL;
    cuCtxGetCurrent(&context);
    return context;
}

static unsigned number(const void *handle, CUlibrary of, CUcontext context)
{
    for (unsigned i = 0; i < known_count; i++)
        if (known[i].handle == handle)
            return i;
    if (known_count == COUNT(known))
        exit(2);
    known[known_count] = (struct known){handle, of, context};
    return known_count++;
}

#define FORGET(array, condition)                                                                                       \
    for (unsigned i = 0; i < COUNT(array); i++)                                                                        \
        if ((array)[i].handle && (condition))                                                                          \
    memset(&(array)[i], 0, sizeof *(array))

/* Modules go with their context. */
static void forget_context(CUcontext context)
{
    FORGET(modules, modules[i].context == context);
    FORGET(functions, functions[i].context == context);
    FORGET(known, known[i].context == context);
}

static void forget_library(CUlibrary library)
{
    FORGET(kernels, kernels[i].of == library);
    FORGET(functions, functions[i].of == library);
    FORGET(modules, modules[i].of == library);
    FORGET(known, known[i].of == library || known[i].handle == library);
}

static void forget_module(CUmodule module)
{
    FORGET(functions, functions[i].in == module);
    FORGET(modules, modules[i].handle == module);
    FORGET(known, known[i].handle == module);
}

/* ---- calls ---- */

#define UNTOUCHED 99 /* of errno */

static int called(const char *name, int result)
{
    int after = errno;
    printf(" %s=%d", name, result);
    if (after != UNTOUCHED)
        printf(" errno=%d", after);
    return result;
}
#define CALL(function, ...) (errno = UNTOUCHED, called(#function, function(__VA_ARGS__)))

static void show_module(CUmodule module, CUlibrary of)
{
    printf(" module %u", number(module, of, current()));
}

static void met_function(struct function function)
{
    const char *name = NULL;
    *ANY(functions) = function;
    if (CALL(cuFuncGetName, &name, function.handle) == 0)
        printf(" %.9s", name);
}

static void met_kernel(CUkernel handle, const struct library *of)
{
    const char *name = NULL;
    CUlibrary owner = NULL;
    *ANY(kernels) = (struct kernel){handle, of->kernels, of->handle};
    if (CALL(cuKernelGetName, &name, handle) == 0)
        printf(" %.9s", name);
    if (CALL(cuKernelGetLibrary, &owner, handle) == 0)
        printf(" of %u", number(owner, owner, NULL));
}

/* What a kernel writes tells which code it was, and whose variable it counted in. */
static int launch(CUfunction function, uint64_t out[2])
{
    CUdeviceptr at = (CUdeviceptr)(uintptr_t)out;
    void *parameters[] = {&at};
    CUlaunchConfig config = {.gridDimX = 1, .gridDimY = 1, .gridDimZ = 1,
                             .blockDimX = 1, .blockDimY = 1, .blockDimZ = 1};
    if (pick(4))
        return cuLaunchKernel(function, 1, 1, 1, 1, 1, 1, 0, NULL, parameters, NULL);
    return cuLaunchKernelEx(&config, function, parameters, NULL);
}

static void show_launch(CUfunction function)
{
    uint64_t out[2] = {0, 0};
    if (CALL(launch, function, out) == 0)
        printf(" %llx %llu", (unsigned long long)out[0], (unsigned long long)out[1]);
}

/* ---- steps: loads ---- */

static char words[256]; /* of the compiler */

static unsigned some_options(CUjit_option id[3], void *value[3])
{
    static const struct {
        int id;
        uintptr_t value;
    } all[] = {{0, 24}, {0, 40}, {7, 1}, {7, 3}, {14, 1}, {13, 1}, {11, 1}, {34, 0}, {8, 0}, {10, 1}, {2, 0}};
    unsigned count = 0, first = pick(2 * COUNT(all));
    memset(words, 0, sizeof words);
    for (unsigned i = first; i < COUNT(all) && count < 1 + first % 2; i += 3, count++) {
        id[count] = (CUjit_option)all[i].id;
        value[count] = (void *)all[i].value;
    }
    if (count != 1 || pick(2))
        return count;
    id[1] = CU_JIT_ERROR_LOG_BUFFER;
    value[1] = words;
    id[2] = CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES;
    value[2] = (void *)(uintptr_t)sizeof words;
    return 3;
}

struct wrapper {
    int magic, version;
    const void *data;
    void *linked;
};

static void load_library(void)
{
    static struct wrapper wrappers[8192]; /* stay */
    static unsigned used;
    CUjit_option id[3];
    void *value[3], *preserved = (void *)(uintptr_t)1;
    CUlibraryOption option = CU_LIBRARY_BINARY_IS_PRESERVED;
    CUlibrary handle = NULL;
    unsigned count = some_options(id, value), keep = !pick(3);
    struct image image = some_image();
    struct placed p = place(&image, keep && pick(3) ? (int)HEAP : keep ? (int)PLUGIN : (int)pick(PLACES));
    struct wrapper *wrapper = &wrappers[used++ % COUNT(wrappers)];
    *wrapper = (struct wrapper){0x466243B1, 1, p.at, NULL};
    const void *code = pick(2) || memcmp(p.at, "\x50\xED\x55\xBA", 4) != 0 ? (const void *)p.at : wrapper;
    struct library *library = ANY(libraries);
    printf(" %zu bytes in %d, %u options, %s", image.size, p.place, count, keep ? "kept" : "let go");
    int result = CALL(cuLibraryLoadData, &handle, code, id, value, count, &option, &preserved, keep);
    if (result || !keep)
        displace(&p);
    if (result)
        return;
    *library = (struct library){handle, image.kernels, keep ? p : (struct placed){.place = HEAP}};
    printf(" library %u", number(handle, handle, NULL));
}

static void file_written(char path[32], struct image image)
{
    FILE *file = fopen(path, "wb");
    if (!file || fwrite(image.at, 1, image.size, file) != image.size || fclose(file))
        exit(2);
    free(image.at);
}

/* The file becomes another. */
static void load_file(void)
{
    char path[32];
    CUjit_option id[3];
    void *value[3];
    CUlibrary library = NULL;
    CUmodule module = NULL;
    unsigned count = some_options(id, value);
    snprintf(path, sizeof path, "/tmp/calls.%d", (int)getpid());
    struct image image = some_image();
    printf(" %zu bytes, %u options", image.size, count);
    file_written(path, image);
    if (pick(2) && CALL(cuLibraryLoadFromFile, &library, path, id, value, count, NULL, NULL, 0) == 0) {
        *ANY(libraries) = (struct library){library, image.kernels, {.place = HEAP}};
        printf(" library %u", number(library, library, NULL));
    } else if (!library && CALL(cuModuleLoad, &module, path) == 0) {
        *ANY(modules) = (struct module){module, image.kernels, NULL, current()};
        show_module(module, NULL);
    }
    file_written(path, (struct image){strdup("another"), 7, {NULL, NULL, 0}, 0, 0});
    unlink(path);
}

static void load_module(void)
{
    CUjit_option id[3];
    void *value[3];
    CUmodule handle = NULL;
    unsigned door = pick(8), count = some_options(id, value);
    struct image image = some_image();
    struct placed p = place(&image, (int)pick(PLACES));
    struct wrapper wrapper = {0x466243B1, 1, p.at, NULL};
    printf(" %zu bytes in %d, %u options", image.size, p.place, count);
    int result = door < 3    ? CALL(cuModuleLoadData, &handle, p.at)
                 : door < 6  ? CALL(cuModuleLoadDataEx, &handle, p.at, count, id, value)
                 : door == 6 ? CALL(cuModuleLoadFatBinary, &handle, p.at)
                             : CALL(cuModuleLoadData, &handle, &wrapper);
    displace(&p);
    printf(" \"%.20s\"", words);
    if (result)
        return;
    *ANY(modules) = (struct module){handle, image.kernels, NULL, current()};
    show_module(handle, NULL);
}

/* ---- steps: look-ups ---- */

static void get_kernel(void)
{
    const struct library *library = SOME(libraries);
    CUkernel handle = NULL;
    if (CALL(cuLibraryGetKernel, &handle, library->handle, some_name(library->kernels)) == 0)
        met_kernel(handle, library);
}

static void get_module(void)
{
    const struct library *library = SOME(libraries);
    CUmodule handle = NULL;
    if (CALL(cuLibraryGetModule, &handle, library->handle))
        return;
    show_module(handle, library->handle);
    *ANY(modules) = (struct module){handle, library->kernels, library->handle, current()};
}

static void get_function(void)
{
    const struct module *module = SOME(modules);
    CUfunction handle = NULL;
    if (CALL(cuModuleGetFunction, &handle, module->handle, some_name(module->kernels)))
        return;
    met_function((struct function){handle, module->kernels, module->of, module->handle, module->context});
}

static void function_of_kernel(void)
{
    const struct kernel *kernel = SOME(kernels);
    CUfunction handle = NULL;
    if (CALL(cuKernelGetFunction, &handle, kernel->handle) == 0)
        met_function((struct function){handle, kernel->kernels, kernel->of, NULL, current()});
}

static void module_of_function(void)
{
    const struct function *function = SOME(functions);
    CUmodule module = NULL;
    if (function->handle && (!function->context || function->context != current()))
        return;
    if (CALL(cuFuncGetModule, &module, function->handle))
        return;
    show_module(module, function->of);
    *ANY(modules) = (struct module){module, function->kernels, function->of, function->context};
}

static void list_kernels(void)
{
    const struct library *library = SOME(libraries);
    CUkernel handles[LARGE + 8] = {NULL};
    unsigned count = 0, room = pick(3) ? COUNT(handles) : pick(4);
    if (!library->handle || CALL(cuLibraryGetKernelCount, &count, library->handle))
        return;
    printf(" %u", count);
    if (CALL(cuLibraryEnumerateKernels, handles, room, library->handle) == 0 && count && room)
        met_kernel(handles[pick(count < room ? count : room)], library);
}

static void list_functions(void)
{
    const struct module *module = SOME(modules);
    CUfunction handles[LARGE + 8] = {NULL};
    unsigned count = 0, room = pick(3) ? COUNT(handles) : pick(4);
    if (!module->handle || CALL(cuModuleGetFunctionCount, &count, module->handle))
        return;
    printf(" %u", count);
    if (CALL(cuModuleEnumerateFunctions, handles, room, module->handle) == 0 && count && room)
        met_function((struct function){handles[pick(count < room ? count : room)], module->kernels, module->of,
                                       module->handle, module->context});
}

/* The program writes to its variable as well. */
static void get_global(void)
{
    const struct library *library = SOME(libraries);
    const struct module *module = SOME(modules);
    const char *name = pick(5) ? "counter" : "no_such_variable";
    bool of_library = pick(2);
    CUdeviceptr at = 0;
    size_t size = 0;
    if (of_library ? !library->handle : !module->handle)
        return;
    if (of_library ? CALL(cuLibraryGetGlobal, &at, &size, library->handle, name)
                   : CALL(cuModuleGetGlobal_v2, &at, &size, module->handle, name))
        return;
    uint64_t *variable = (uint64_t *)(uintptr_t)at;
    printf(" %zu bytes, %llu", size, (unsigned long long)*variable);
    *variable += 1000;
}

static void ask(void)
{
    const struct kernel *kernel = SOME(kernels);
    const struct function *function = SOME(functions);
    int value = -1;
    CALL(cuFuncGetAttribute, &value, CU_FUNC_ATTRIBUTE_BINARY_VERSION, function->handle);
    CALL(cuFuncSetAttribute, function->handle, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, 1024);
    if (kernel->handle)
        CALL(cuKernelGetAttribute, &value, CU_FUNC_ATTRIBUTE_BINARY_VERSION, kernel->handle, 0);
    printf(" %d", value);
}

static void launch_function(void)
{
    show_launch(SOME(functions)->handle);
}

static void launch_kernel(void)
{
    show_launch((CUfunction)(void *)SOME(kernels)->handle);
}

/* ---- steps: contexts, ends ---- */

static void set_context(void)
{
    CUcontext context = *ANY(contexts);
    CALL(cuCtxSetCurrent, pick(3) ? contexts[0] : context);
}

static void push_context(void)
{
    CUcontext context = *ANY(contexts);
    if (context)
        CALL(cuCtxPushCurrent_v2, context);
}

static void pop_context(void)
{
    CUcontext context = NULL;
    CALL(cuCtxPopCurrent_v2, &context);
}

static void create_context(void)
{
    CUcontext *context = &contexts[1 + pick(ROOM(contexts) - 1)];
    if (!*context)
        CALL(cuCtxCreate_v2, context, 0, 0);
}

/* One that is below others is not destroyed: what it is to a stack then, no driver says. */
static void destroy_context(void)
{
    CUcontext *context = &contexts[1 + pick(ROOM(contexts) - 1)], below[20];
    bool used = false;
    unsigned n = 0;
    if (*context && current() == *context)
        CALL(cuCtxSetCurrent, contexts[0]);
    while (n < COUNT(below) && (below[n] = current())) {
        used |= below[n++] == *context;
        cuCtxPopCurrent_v2(NULL);
    }
    while (n)
        cuCtxPushCurrent_v2(below[--n]);
    if (!*context || used)
        return;
    CALL(cuCtxDestroy_v2, *context);
    forget_context(*context);
    *context = NULL;
}

static void retain_primary(void)
{
    CUcontext context = NULL;
    unsigned flags;
    int active = -1;
    CALL(cuDevicePrimaryCtxGetState, 0, &flags, &active);
    printf(" %d", active);
    if (CALL(cuDevicePrimaryCtxRetain, &context, 0) == 0)
        contexts[0] = context;
}

static void reset_primary(void)
{
    if (contexts[0] && CALL(cuDevicePrimaryCtxReset_v2, 0) == 0)
        forget_context(contexts[0]);
}

static void unload_library(void)
{
    struct library gone = *SOME(libraries);
    if (CALL(cuLibraryUnload, gone.handle))
        return;
    FORGET(libraries, libraries[i].handle == gone.handle);
    forget_library(gone.handle);
    displace(&gone.kept);
}

static void unload_module(void)
{
    const struct module gone = *SOME(modules);
    if (!gone.of && CALL(cuModuleUnload, gone.handle) == 0)
        forget_module(gone.handle);
}

/* ---- steps: threads ---- */

static struct race {
    pthread_barrier_t start;
    CUlibrary library; /* NULL: each loads what lies there, as a library or a module */
    const char *image;
    bool module;
} race;

struct runner {
    pthread_t thread;
    CUcontext context;
    uint64_t out[2];
    char name[128], said[128];
};

static CUresult find(CUfunction *function, CUlibrary library, CUmodule module, const char *name)
{
    CUkernel kernel = NULL;
    if (module)
        return cuModuleGetFunction(function, module, name);
    CUresult result = cuLibraryGetKernel(&kernel, library, name);
    return result ? result : cuKernelGetFunction(function, kernel);
}

static void *run(void *runner)
{
    struct runner *r = runner;
    CUlibrary library = race.library;
    CUmodule module = NULL;
    CUfunction function = NULL;
    int loaded = 0, found = -1, ran = -1, gone = -1;
    cuCtxSetCurrent(r->context);
    pthread_barrier_wait(&race.start);
    if (!library)
        loaded = race.module ? (int)cuModuleLoadData(&module, race.image)
                             : (int)cuLibraryLoadData(&library, race.image, NULL, NULL, 0, NULL, NULL, 0);
    if (!loaded && !(found = (int)find(&function, library, module, r->name)))
        ran = cuLaunchKernel(function, 1, 1, 1, 1, 1, 1, 0, NULL, (void *[]){&(void *){r->out}}, NULL);
    if (!loaded && !race.library)
        gone = module ? (int)cuModuleUnload(module) : (int)cuLibraryUnload(library);
    snprintf(r->said, sizeof r->said, " (%d %d %d %d %llx)", loaded, found, ran, gone, (unsigned long long)r->out[0]);
    return NULL;
}

static void race_threads(void)
{
    struct runner runners[4];
    unsigned n = 2 + pick(3), names = 1 + pick(2);
    const struct library *library = SOME(libraries);
    struct image image = some_image();
    struct placed p = place(&image, HEAP);
    race.library = pick(3) ? library->handle : NULL;
    race.image = p.at;
    race.module = pick(2);
    pthread_barrier_init(&race.start, NULL, n);
    for (unsigned i = 0; i < n; i++) {
        runners[i].out[0] = 0;
        runners[i].context = pick(8) ? current() : *ANY(contexts);
        strcpy(runners[i].name, i < names ? some_name(race.library ? library->kernels : image.kernels)
                                          : runners[i - names].name);
        pthread_create(&runners[i].thread, NULL, run, &runners[i]);
    }
    for (unsigned i = 0; i < n; i++)
        pthread_join(runners[i].thread, NULL);
    for (unsigned i = 0; i < n; i++)
        printf("%s", runners[i].said);
    displace(&p);
}

/* ---- steps: the cache ---- */

static void damage(int directory, unsigned how)
{
    DIR *list = fdopendir(directory);
    for (struct dirent *e; list && (e = readdir(list));) {
        if (*e->d_name == '.')
            continue;
        int fd = openat(directory, e->d_name, O_RDWR | O_CLOEXEC);
        int inner = fd < 0 ? openat(directory, e->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
        if (inner >= 0)
            damage(inner, how);
        if (fd >= 0 && how == 0 && ftruncate(fd, lseek(fd, 0, SEEK_END) / 2))
            exit(2);
        if (fd >= 0 && how == 1 && pwrite(fd, "damaged", 7, pick(4096)) < 0)
            exit(2);
        if (how >= 2)
            unlinkat(directory, e->d_name, inner >= 0 ? AT_REMOVEDIR : 0);
        if (fd >= 0)
            close(fd);
    }
    closedir(list);
}

static void disturb_cache(void)
{
    const char *cache = getenv("CALLS_CACHE");
    int directory = cache ? open(cache, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (directory >= 0)
        damage(directory, pick(4));
}

/* ---- the sequence ---- */

static const struct {
    const char *name;
    void (*function)(void);
    unsigned weight;
} steps[] = {
#define STEP(name, weight) {#name, name, weight}
    STEP(load_library, 14),    STEP(load_module, 14),      STEP(load_file, 5),           STEP(get_kernel, 16),
    STEP(get_module, 8),       STEP(get_function, 16),     STEP(function_of_kernel, 10), STEP(module_of_function, 10),
    STEP(list_kernels, 4),     STEP(list_functions, 3),    STEP(get_global, 7),          STEP(ask, 4),
    STEP(launch_function, 16), STEP(launch_kernel, 6),     STEP(set_context, 5),         STEP(push_context, 3),
    STEP(pop_context, 3),      STEP(create_context, 3),    STEP(destroy_context, 3),     STEP(retain_primary, 2),
    STEP(reset_primary, 3),    STEP(unload_library, 6),    STEP(unload_module, 6),       STEP(race_threads, 4),
    STEP(disturb_cache, 2),
};

static unsigned some_step(void)
{
    unsigned sum = 0, at;
    for (unsigned i = 0; i < COUNT(steps); i++)
        sum += steps[i].weight;
    at = pick(sum);
    for (sum = 0; at >= steps[sum].weight; sum++)
        at -= steps[sum].weight;
    return sum;
}

static unsigned open_files(void)
{
    unsigned count = 0;
    DIR *list = opendir("/proc/self/fd");
    while (readdir(list))
        count++;
    closedir(list);
    return count - 3; /* . and .. and its own */
}

static void take(unsigned long seed, unsigned step)
{
    unsigned what, context = 0;
    chance = seed * 1000003 + step;
    what = some_step();
    printf("%u %s:", step, steps[what].name);
    steps[what].function();
    CUcontext now = current();
    while (context < COUNT(contexts) && contexts[context] != now)
        context++;
    printf(" | context %d, %u files\n", now ? (int)context : -1, open_files());
    fflush(stdout);
}

int main(int argc, char **argv)
{
    if (argc < 3)
        return 2;
    unsigned long seed = strtoul(argv[1], NULL, 10);
    unsigned length = (unsigned)strtoul(argv[2], NULL, 10);
    chance = seed;
    few = pick(2) * (1000 + seed);
    CALL(cuInit, 0);
    if (pick(8)) { /* else a context comes later */
        CALL(cuDevicePrimaryCtxRetain, &contexts[0], 0);
        CALL(cuCtxSetCurrent, contexts[0]);
    }
    puts("");
    for (unsigned step = 0; argc == 3 && step < length; step++)
        take(seed, step);
    for (int i = 3; i < argc; i++)
        take(seed, (unsigned)strtoul(argv[i], NULL, 10));
    return 0;
}
