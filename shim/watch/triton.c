/*
 * Triton builds its kernels with a ptxas of its own, and one that does not know the GPU fails before the
 * driver is ever asked: nothing that a door could see. So its version is read from the file beside
 * libtriton.so, once that is loaded. Triton is imported at any time: it is looked for when CUDA starts,
 * at some of the loads after that, and at the end.
 */
#include "watch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define PTXAS_MOST ((size_t)512 << 20)

/* What `ptxas --version` prints stands in the file: 12040 for "Cuda compilation tools, release 12.4,
 * V12.4.99"; 0 where it does not. */
static int version_of(const char *path)
{
    static const char mark[] = "Cuda compilation tools, release ";
    struct kgi_bytes file = kgi_file_map(path, PTXAS_MOST);
    const uint8_t *at = file.at, *end = file.at + file.size;
    unsigned version = 0;
    char number[16] = "", *point, *comma;

    /* The words stand there more than once, also as a format. */
    while (!version && at && (size_t)(end - at) > sizeof mark + sizeof number &&
           (at = memmem(at, (size_t)(end - at) - sizeof number, mark, sizeof mark - 1))) {
        at += sizeof mark - 1;
        memcpy(number, at, sizeof number - 1);
        version = (unsigned)strtoul(number, &point, 10) * 1000;
        version += *point == '.' ? (unsigned)strtoul(point + 1, &comma, 10) * 10 : 0;
        if (*point != '.' || *comma != ',' || version > 99990)
            version = 0;
    }
    kgi_file_unmap(file);
    return (int)version;
}

static bool is_there(char *path, size_t size, const char *folder, const char *file)
{
    struct kgi_text text = {path, size, 0, false};

    path[0] = 0;
    kgi_text_add(&text, "%s%s", folder, file);
    return !text.cut && access(path, R_OK) == 0;
}

/* Which ptxas is run for a GPU: Triton's get_ptxas (third_party/nvidia/backend/compiler.py, 3.6 and
 * earlier; triton/common/backend.py, 2.x). */
static bool ptxas_for(struct kgi_target gpu, const char *triton, char *path, size_t size,
                      const char **chosen_by)
{
    static const char *const variables[] = {"TRITON_PTXAS_BLACKWELL_PATH", "TRITON_PTXAS_PATH"};

    for (size_t i = gpu.number >= 100 ? 0 : 1; i < KGI_COUNT(variables); i++) {
        const char *own = getenv(variables[i]);

        *chosen_by = variables[i];
        if (own && is_there(path, size, "", own))
            return true;
    }
    *chosen_by = NULL;
    return (gpu.number >= 100 &&
            is_there(path, size, triton, "/backends/nvidia/bin/ptxas-blackwell")) ||
           is_there(path, size, triton, "/backends/nvidia/bin/ptxas") ||
           is_there(path, size, triton, "/third_party/cuda/bin/ptxas");
}

static void tell(const char *ptxas, const char *library, const char *chosen_by, int cuda,
                 const struct kgi_host *host, int ordinal)
{
    struct kgi_diagnosis d = {.event = KGI_EVENT_MODULE,
                              .reason = KG110_COMPILER,
                              .library = ptxas,
                              .host = *host,
                              .ordinal = ordinal};
    struct kgi_installed installed = {.package = NULL};
    char package[192], help[256], says[128];
    KGI_TEXT(message, 768);

    d.verdict = (struct kgi_verdict){KGI_NONE, KG110_COMPILER, -1, 0};
    if (kgi_package_of(library, package, sizeof package))
        d.package = installed.package = package;
    kgi_text_add_safe(&message, d.package ? d.package : "Triton");
    kgi_text_add(&message, " builds its kernels with a ptxas of ");
    kgi_toolkit_says(cuda, host->gpu, says, sizeof says);
    kgi_text_add(&message, "%s", says);
    if (chosen_by)
        snprintf(help, sizeof help, "unset %s, which chose it", chosen_by);
    else
        kgi_advice(library, &installed, NULL, 0, host, &d.verdict, help, sizeof help);
    if (help[0])
        kgi_text_add(&message, ": %s", help);
    d.help = help[0] ? help : NULL;
    d.message = message.at;
    kgi_tell(&d);
}

static void check(const struct kgi_object *object)
{
    char library[512], triton[512], ptxas[640];
    const char *chosen_by;
    struct kgi_host host;
    int ordinal;

    if (!kgi_object_path(object, library, sizeof library))
        return;
    memcpy(triton, library, sizeof triton);
    for (int level = 0; level < 2; level++) { /* triton/_C/libtriton.so */
        char *slash = strrchr(triton, '/');
        if (!slash)
            return;
        *slash = 0;
    }
    for (size_t i = 0; kgi_host_at(i, &host, &ordinal); i++) {
        int cuda = ptxas_for(host.gpu, triton, ptxas, sizeof ptxas, &chosen_by) ? version_of(ptxas)
                                                                                : 0;

        if (cuda && !kgi_toolkit_compiles(cuda, host.gpu))
            tell(ptxas, library, chosen_by, cuda, &host, ordinal);
    }
}

void kgi_triton_check(void)
{
    static _Atomic bool done;
    struct kgi_object object;
    int saved = errno;

    if (!atomic_load_explicit(&done, memory_order_relaxed) && kgi_log_enabled(KGI_WARN) &&
        kgi_machine() && kgi_object_named("libtriton.so", &object) &&
        !atomic_exchange(&done, true))
        check(&object);
    errno = saved;
}

/* Loads are many and imports few: the first, second, fourth, eighth ... is a good time to look. */
void kgi_triton_load(void)
{
    static _Atomic uint32_t loads;
    uint32_t n = atomic_fetch_add_explicit(&loads, 1, memory_order_relaxed) + 1;

    if ((n & (n - 1)) == 0)
        kgi_triton_check();
}
