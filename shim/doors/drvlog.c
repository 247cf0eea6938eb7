/*
 * A statically linked CUDA 11 runtime loads and launches through a private table of the driver
 * (cuGetExportTable): no door sees it. From driver 575 on, the driver itself tells: the callback
 * below is called on the failing thread, during the failing call, and the stack at that moment runs
 * through the guilty binary. The text differs between drivers and is not read; it is a trigger.
 *
 * The callback comes several times per failure, and also during calls that succeed. So it counts only
 * where the innermost caller of the driver is such a runtime, and only where that binary does hold an
 * image that this GPU cannot run.
 *
 * NVIDIA says nothing of what the callback may call. The one call made there is cuCtxGetDevice, and only
 * where there are several GPUs: which of them the thread uses is known to nobody else.
 */
#include "doors.h"

#define CLIENTS_MOST 64

static _Atomic uintptr_t clients[CLIENTS_MOST]; /* lowest address of each object */
static _Atomic bool listening;

void kgi_drvlog_client(const void *caller)
{
    struct kgi_object object;
    const char *soname;

    if (!kgi_object_at(caller, &object))
        return;
    soname = kgi_object_soname(&object);
    /* A shared runtime has the runtime's doors in front of it. */
    if (soname && strncmp(soname, "libcudart", 9) == 0)
        return;
    for (size_t i = 0; i < CLIENTS_MOST; i++) {
        uintptr_t none = 0;

        if (atomic_compare_exchange_strong(&clients[i], &none, object.low) || none == object.low)
            return;
    }
}

static bool is_client(const struct kgi_object *object)
{
    for (size_t i = 0; i < CLIENTS_MOST; i++)
        if (atomic_load_explicit(&clients[i], memory_order_relaxed) == object->low)
            return true;
    return false;
}

static void heard(void *data, CUlogLevel level, char *message, size_t length)
{
    const size_t room = 24; /* some are the driver's */
    struct kgi_frame *frames;
    size_t n, i = 0;
    bool guilty = false;

    (void)data, (void)level, (void)message, (void)length;
    if (kgi_thread_word & KGI_DEPTH)
        return; /* the runtime's door hears the result itself */
    frames = kgi_pages_get(room * sizeof *frames);
    n = frames ? kgi_stack(frames, room, false) : 0;
    while (i < n && kgi_is_driver(&frames[i].object))
        i++;
    guilty = i < n && is_client(&frames[i].object);
    kgi_pages_put(frames, room * sizeof *frames);
    if (guilty)
        kgi_failure_on_stack();
}

void kgi_drvlog_start(void)
{
    CUresult (*listen)(CUlogsCallback, void *, CUlogsCallbackHandle *);
    CUlogsCallbackHandle handle;
    struct kgi_object driver;

    if (!atomic_load_explicit(&clients[0], memory_order_relaxed) ||
        !kgi_log_enabled(KGI_ERROR) || !kgi_object_named("libcuda.so", &driver))
        return;
    listen = (CUresult(*)(CUlogsCallback, void *, CUlogsCallbackHandle *))kgi_object_symbol(
        &driver, "cuLogsRegisterCallback");
    if (!listen || atomic_exchange_explicit(&listening, true, memory_order_relaxed))
        return;
    kgi_machine_ready();
    kgi_machine(); /* from now on it is known, and not asked for in the driver's callback */
    listen(heard, NULL, &handle);
}
