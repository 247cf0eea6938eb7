/*
 * The GPU and the driver, asked once. Everything asked here works without a context and is asked only
 * after the program's own cuInit succeeded; the answers never change while the process lives.
 */
#include "watch.h"

#include <stdlib.h>

#include "kg_cuda.h"

_Atomic bool kgi_machine_known_ready;
static struct kgi_machine *_Atomic machine;

void kgi_machine_ready(void)
{
    atomic_store_explicit(&kgi_machine_known_ready, true, memory_order_release);
}

/* The functions come from libcuda's own table: what is asked here must not pass our own doors. */
struct driver {
    CUresult (*DriverGetVersion)(int *);
    CUresult (*DeviceGetCount)(int *);
    CUresult (*DeviceGet)(CUdevice *, int);
    CUresult (*DeviceGetName)(char *, int, CUdevice);
    CUresult (*DeviceGetAttribute)(int *, CUdevice_attribute, CUdevice);
};

static bool find_driver(const struct kgi_object *lib, struct driver *d)
{
    d->DriverGetVersion = kgi_object_symbol(lib, "cuDriverGetVersion");
    d->DeviceGetCount = kgi_object_symbol(lib, "cuDeviceGetCount");
    d->DeviceGet = kgi_object_symbol(lib, "cuDeviceGet");
    d->DeviceGetName = kgi_object_symbol(lib, "cuDeviceGetName");
    d->DeviceGetAttribute = kgi_object_symbol(lib, "cuDeviceGetAttribute");
    return d->DriverGetVersion && d->DeviceGetCount && d->DeviceGet && d->DeviceGetName &&
           d->DeviceGetAttribute;
}

/* libcuda.so.570.26 carries its version in the name of its file; there is no call that tells it. WSL's
 * libcuda.so.1.1 does not. */
static void driver_version(const struct kgi_object *lib, struct kgi_machine *m)
{
    char path[512];
    const char *at;

    if (!kgi_object_path(lib, path, sizeof path))
        return;
    at = strstr(path, "libcuda.so.");
    if (!at || !strchr(at + 11, '.') || atoi(at + 11) < 100)
        return;
    strncpy(m->driver, at + 11, sizeof m->driver - 1);
    m->host.driver = atoi(m->driver);
}

static bool ask_device(const struct driver *d, int ordinal, struct kgi_device *out)
{
    CUdevice device;
    int major = 0, minor = 0;

    if (d->DeviceGet(&device, ordinal) ||
        d->DeviceGetAttribute(&major, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, device) ||
        d->DeviceGetAttribute(&minor, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, device))
        return false;
    d->DeviceGetName(out->name, sizeof out->name, device);
    out->name[sizeof out->name - 1] = 0;
    out->gpu.number = (uint16_t)(10 * major + minor);
    return true;
}

/* Which of two variables that mean the same (recorded, driver 580) is set, or NULL. */
static const char *set_one(const char *a, const char *b)
{
    const char *value_a = getenv(a), *value_b = getenv(b);

    return value_a && atoi(value_a) ? a : value_b && atoi(value_b) ? b : NULL;
}

static struct kgi_machine *ask(void)
{
    struct kgi_machine *m;
    struct kgi_object lib;
    struct driver d;
    int count = 0;

    if (!kgi_object_named("libcuda.so", &lib) || !find_driver(&lib, &d) ||
        d.DeviceGetCount(&count) || count < 1)
        return NULL;
    m = kgi_alloc(sizeof *m);
    if (!m)
        return NULL;
    for (int i = 0; i < count && m->count < (int)KGI_COUNT(m->device); i++)
        if (ask_device(&d, i, &m->device[m->count]))
            m->count++;
    if (!m->count)
        return NULL;
    d.DriverGetVersion(&m->host.cuda_version);
    driver_version(&lib, m);
    m->host.gpu = m->device[0].gpu;
    m->host.jit_forced = set_one("CUDA_FORCE_PTX_JIT", "CUDA_FORCE_JIT");
    m->host.jit_forbidden = set_one("CUDA_DISABLE_PTX_JIT", "CUDA_DISABLE_JIT");
    return m;
}

const struct kgi_machine *kgi_machine(void)
{
    struct kgi_machine *known = atomic_load_explicit(&machine, memory_order_acquire), *none = NULL;

    if (known || !kgi_machine_is_ready())
        return known;
    /* Two threads may both ask; the answers are the same and the first is kept. */
    known = ask();
    if (known && !atomic_compare_exchange_strong(&machine, &none, known))
        known = none;
    return known;
}

int kgi_machine_current(const struct kgi_machine *m)
{
    struct kgi_object lib;
    CUresult (*get)(CUdevice *) = NULL;
    CUdevice device = 0;

    if (m->count > 1 && kgi_object_named("libcuda.so", &lib))
        get = kgi_object_symbol(&lib, "cuCtxGetDevice");
    if (!get || get(&device) || device < 0 || device >= m->count)
        return 0;
    return device; /* a CUdevice is the ordinal */
}
