/*
 * What else is known about a failure: where the driver's JIT compiler should be and is not, which cache a
 * cubin for another GPU may come from, and whether PyTorch itself would run. Looked up after a failure
 * only; files are asked for, never written.
 */
#include "watch.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#define COMPILER "libnvidia-ptxjitcompiler.so.1"

/* ---- the JIT compiler (221) ------------------------------------------------------------------------------ */

static bool in_loader_cache(const char *name)
{
    struct kgi_bytes cache = kgi_file_map("/etc/ld.so.cache", (size_t)64 << 20);
    bool found = cache.size && memmem(cache.at, cache.size, name, strlen(name) + 1);

    kgi_file_unmap(cache);
    return found;
}

/* The container runtime mounts the compiler with the "compute" capability alone. */
static const char *capabilities(void)
{
    const char *list = getenv("NVIDIA_DRIVER_CAPABILITIES");

    return list && !strstr(list, "compute") && !strstr(list, "all") ? list : NULL;
}

static void look_for_compiler(struct kgi_text *out)
{
    const char *granted = capabilities();
    struct kgi_object driver;
    char path[512 + sizeof COMPILER] = "";
    char *slash;

    if (!kgi_object_named("libcuda.so", &driver) || !kgi_object_path(&driver, path, 512))
        return;
    slash = strrchr(path, '/');
    if (!slash)
        return;
    memcpy(slash + 1, COMPILER, sizeof COMPILER);
    kgi_text_add_safe(out, path);
    if (access(path, R_OK) == 0)
        kgi_text_add(out, " is there, but the driver could not load it");
    else
        kgi_text_add(out, " is missing, beside libcuda.so.1%s",
                     in_loader_cache(COMPILER) ? "; ld.so.cache names one elsewhere"
                                               : ", and ld.so.cache names none");
    if (granted) {
        kgi_text_add(out, "; NVIDIA_DRIVER_CAPABILITIES=");
        kgi_text_add_safe(out, granted);
        kgi_text_add(out, " lacks compute");
    }
}

/* ---- caches of compiled code ----------------------------------------------------------------------------- */

/* Who hands such cubins over, by a part of its path, and where it keeps them; sources read 2026-07:
 * triton/runtime/cache.py and knobs.py, torch/_inductor/runtime/cache_dir_utils.py,
 * aten/src/ATen/native/cuda/jit_utils.cpp, cupy/_environment.py, numba/core/config.py. */
static const struct cache {
    const char *builder, *name, *variable, *under; /* under: of the home directory */
} caches[] = {
    {"/torchinductor", "TorchInductor", "TORCHINDUCTOR_CACHE_DIR", NULL},
    {"/cuda_utils", "Triton", "TRITON_CACHE_DIR", ".triton/cache"},
    {"/triton/", "Triton", "TRITON_CACHE_DIR", ".triton/cache"},
    {"/cupy", "CuPy", "CUPY_CACHE_DIR", ".cupy/kernel_cache"},
    {"/libtorch", "PyTorch", "PYTORCH_KERNEL_CACHE_PATH", ".cache/torch/kernels"},
    {"/jax", "JAX", "JAX_COMPILATION_CACHE_DIR", NULL},
};

static bool cache_place(const struct cache *c, char *out, size_t size)
{
    const char *value = getenv(c->variable), *home = getenv("HOME");
    struct kgi_text path = {out, size, 0, false};

    out[0] = 0;
    if (value && value[0])
        kgi_text_add(&path, "%s", value);
    else if (c->under && home)
        kgi_text_add(&path, "%s/%s", home, c->under);
    return !path.cut && out[0] && access(out, F_OK) == 0;
}

/* One cubin that was built in memory, for another GPU: nobody compiles such a thing on this machine. */
static bool is_cached(const struct kgi_diagnosis *d)
{
    return !d->library && d->built_by && d->code_count == 1 && d->codes[0].kind == KGI_CUBIN &&
           d->host.gpu.number && d->verdict.answer == KGI_NONE &&
           !kgi_cubin_fits(d->codes[0].target, d->host.gpu);
}

static void look_for_cache(const struct kgi_diagnosis *d, struct kgi_evidence *e)
{
    struct kgi_text found = {e->found, sizeof e->found, 0, false};
    struct kgi_text help = {e->help, sizeof e->help, 0, false};
    char place[512], held[24], gpu[24];
    size_t i = 0;

    while (i < KGI_COUNT(caches) && !strstr(d->built_by, caches[i].builder))
        i++;
    if (i == KGI_COUNT(caches) || !cache_place(&caches[i], place, sizeof place))
        return;
    kgi_text_add(&found, "%s keeps compiled code in ", caches[i].name);
    kgi_text_add_safe(&found, place);
    kgi_text_add(&found, ", and handed over code for another GPU");
    kgi_text_add(&help, "delete ");
    kgi_text_add_safe(&help, place);
    kgi_text_add(&help, ": it holds code compiled for %s, and this GPU is %s",
                 kgi_target_name(d->codes[0].target, "sm_", held, sizeof held),
                 kgi_target_name(d->host.gpu, "sm_", gpu, sizeof gpu));
}

/* ---- PyTorch ------------------------------------------------------------------------------------------------ */

/* Asked once a process and GPU: its images are some hundred. */
static bool torch_runs(const struct kgi_object *torch, const struct kgi_host *host)
{
    static _Atomic int known; /* GPU number, negative: does not run */
    int number = atomic_load_explicit(&known, memory_order_relaxed);

    if (number == host->gpu.number || -number == host->gpu.number)
        return number > 0;
    number = kgi_audit_guilty(torch, host) ? -host->gpu.number : host->gpu.number;
    atomic_store_explicit(&known, number, memory_order_relaxed);
    return number > 0;
}

/* Worth saying of a library that is not a part of it, and where the GPU is what is wrong. */
static bool torch_is_fine(const struct kgi_diagnosis *d)
{
    struct kgi_object torch;
    char path[512];
    char *slash;

    if (!d->library || !d->host.gpu.number || d->verdict.answer != KGI_NONE ||
        !kgi_object_named("libtorch_cuda.so", &torch) ||
        !kgi_object_path(&torch, path, sizeof path) || !(slash = strrchr(path, '/')))
        return false;
    slash[1] = 0;
    return strncmp(d->library, path, strlen(path)) != 0 && torch_runs(&torch, &d->host);
}

/* ---- settings of the driver's, for tests, that make programs fail (KG203) --------------------------------- */

static void tell_variable(const char *variable, const char *what)
{
    KGI_TEXT(message, 256);
    struct kgi_diagnosis d = {.event = KGI_EVENT_FOLLOWUP,
                              .reason = KG203_JIT_VARIABLE,
                              .ordinal = -1,
                              .message = message.at};

    kgi_text_add(&message, "%s is set: the driver %s; unset it, it is for tests", variable, what);
    kgi_tell(&d);
}

void kgi_evidence_variables(void)
{
    const struct kgi_machine *m = kgi_log_enabled(KGI_WARN) ? kgi_machine() : NULL;

    if (m && m->host.jit_forced)
        tell_variable(m->host.jit_forced,
                      "ignores all SASS, compiles what has PTX, and refuses every library that has none");
    if (m && m->host.jit_forbidden)
        tell_variable(m->host.jit_forbidden, "refuses every library without SASS for this GPU");
}

void kgi_evidence_find(struct kgi_diagnosis *d, struct kgi_evidence *e)
{
    struct kgi_text found = {e->found, sizeof e->found, 0, false};
    int saved = errno;

    e->found[0] = e->help[0] = 0;
    if (d->result == 221)
        look_for_compiler(&found);
    else if (d->result == 218 && !d->log)
        kgi_text_add(&found, "the driver's compiler left no words in a CU_JIT_ERROR_LOG_BUFFER; ptxas on "
                             "that PTX would say what is wrong");
    else if (is_cached(d))
        look_for_cache(d, e);
    if (e->found[0])
        d->found = e->found;
    if (e->help[0])
        d->help = e->help;
    d->torch_fine = torch_is_fine(d);
    errno = saved;
}
