/*
 * The module of a library whose kernels are compiled one by one.
 *
 * A runtime of CUDA 12 asks a library for its module first, and the module for kernels. So the program gets
 * the module of the hollow library that its handle stands for (jit_kernel.c), and what it asks of that is
 * asked of the module that has it: for a kernel on its own its own library's, for everything else the whole's.
 * A module belongs to the context in which it was asked for; so does the one that answers.
 */
#include "jit.h"

#include <errno.h>

/* A module that was given out. Memory is for ever, and used again once the library is gone. */
struct stand_in {
    struct stand_in *next;
    CUmodule module;
    CUlibrary library; /* the program's handle; NULL: free */
    CUcontext context;
};

static struct kgi_lock lock;
static struct kgi_map by_module;
static struct stand_in *all;

void kgi_jit_module_given(CUmodule module, CUlibrary library)
{
    CUcontext context = NULL;
    struct stand_in *s;

    if (!kgi_jit_is_hollow(library) || kgi_map_get(&by_module, (uintptr_t)module) ||
        kgi_jit_driver.CtxGetCurrent(&context))
        return;
    kgi_lock(&lock);
    for (s = all; s && s->library; s = s->next)
        ;
    if (!s && (s = kgi_alloc(sizeof *s))) {
        s->next = all;
        all = s;
    }
    if (s) {
        s->module = module;
        s->library = library;
        s->context = context;
        kgi_map_set(&by_module, (uintptr_t)module, (uintptr_t)s);
    }
    kgi_unlock(&lock);
}

void kgi_jit_modules_gone(CUlibrary library)
{
    kgi_lock(&lock);
    for (struct stand_in *s = all; s; s = s->next)
        if (s->library == library) {
            kgi_map_set(&by_module, (uintptr_t)s->module, 0);
            s->library = NULL;
        }
    kgi_unlock(&lock);
}

/* The module of the library that answers; another answers when an image of ours turns out to be bad. */
static CUresult module_in(CUmodule *module, CUlibrary library, const char *kernel)
{
    CUlibrary used = kernel ? kgi_jit_kernel(library, kernel) : kgi_jit_used(library);
    CUresult result;

    do
        result = kgi_jit_driver.LibraryGetModule(module, used);
    while (result && kgi_jit_failed(library, &used, (int)result));
    return result;
}

CUresult kgi_jit_module_for(CUmodule *module, const char *kernel)
{
    const struct stand_in *s =
        (struct stand_in *)(uintptr_t)kgi_map_get(&by_module, (uintptr_t)*module);
    CUcontext context = NULL;
    struct kgi_kernel known;
    CUmodule found = *module;
    CUresult result;
    bool elsewhere;

    if (!s)
        return CUDA_SUCCESS;
    elsewhere = kgi_jit_driver.CtxGetCurrent(&context) || context != s->context;
    if (elsewhere && kgi_jit_driver.CtxPush(s->context))
        return CUDA_SUCCESS; /* the context is gone: the driver knows what to say of such a module */
    result = module_in(&found, s->library, kernel);
    if (elsewhere)
        kgi_jit_driver.CtxPop(&context);
    if (!result && kgi_handle_get(s->library, &known)) /* what is found in it later is of this image */
        kgi_handle_set(found, known.image, NULL, s->library);
    *module = found;
    return result;
}

void kgi_jit_module_of(CUmodule *module, CUfunction function)
{
    CUlibrary library = (CUlibrary)(uintptr_t)kgi_handle_root(function);
    struct kgi_kernel kernel;
    CUmodule whole;

    if (!kgi_handle_get(function, &kernel) || !kernel.name ||
        !kgi_jit_is_alone(library, kernel.name))
        return;
    if (kgi_jit_driver.LibraryGetModule(&whole, kgi_jit_module_owner(library)))
        return;
    kgi_jit_module_given(whole, library);
    kgi_handle_set(whole, kernel.image, NULL, library);
    *module = whole;
}
