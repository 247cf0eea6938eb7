/*
 * Shared runtimes of CUDA 11 load what is registered with them through a private table, past all
 * doors: only at the registration can they be given another image.
 */
#include "jit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

static struct kgi_lock lock;

/* What was made for a registered wrapper. Never freed: found again when its library is loaded
 * again. */
struct registered {
    struct kgi_wrapper given;
    uint8_t key[32];
};

/* 580 of "libcuda.so.580.159.04" and of "... Kernel Module  580.159.04 ..."; 0 where it is not
 * there: WSL has a libcuda.so.1.1. */
static int branch_in(const char *text, const char *before)
{
    const char *at = strstr(text, before);
    int branch = 0;

    for (at = at ? at + strlen(before) : ""; *at >= '0' && *at <= '9'; at++)
        branch = 10 * branch + (*at - '0');
    return branch < 100 ? 0 : branch;
}

static int kernel_driver(void)
{
    char text[256] = "";
    int fd = kgi_open("/proc/driver/nvidia/version", 0);

    if (fd < 0)
        return 0;
    if (syscall(SYS_read, fd, text, sizeof text - 1) < 0)
        text[0] = 0;
    kgi_close(fd);
    return branch_in(text, "Module  ");
}

/* libcuda.so.1 is a link to the file with its version, wherever the loader finds it. */
static int linked_driver(const char *folders)
{
    char path[512], target[256];
    int branch = 0;

    for (size_t length; *folders && !branch; folders += length + (folders[length] == ':')) {
        ssize_t n;

        length = strcspn(folders, ":");
        if (!length || snprintf(path, sizeof path, "%.*s/libcuda.so.1", (int)length, folders) >=
                           (int)sizeof path)
            continue;
        n = readlink(path, target, sizeof target - 1);
        target[n > 0 ? n : 0] = 0;
        branch = branch_in(target, "libcuda.so.");
    }
    return branch;
}

/* The driver's branch, which must be told before it is loaded; 0 unknown. */
static int driver_branch(void)
{
    const char *path = getenv("LD_LIBRARY_PATH");
    int branch = path ? linked_driver(path) : 0;

    if (!branch)
        branch = linked_driver("/usr/local/nvidia/lib64:/usr/lib/x86_64-linux-gnu:/usr/lib64:"
                               "/usr/lib/aarch64-linux-gnu:/usr/local/nvidia/lib:/usr/lib");
    return branch ? branch : kernel_driver();
}

/* The GPU that registered images are for: that of the machine where it is known already, and all
 * are alike; before, KGUARD_TARGET. */
static bool registered_host(struct kgi_host *host)
{
    const struct kgi_machine *m = atomic_load(&kgi_jit_on) ? kgi_machine() : NULL;
    struct kgi_host other;
    int ordinal;

    if (m) {
        *host = m->host;
        return !kgi_jit_host_at(1, &other, &ordinal);
    }
    *host = (struct kgi_host){.driver = driver_branch()};
    if (kgi_target_parse(kgi_options()->target, &host->gpu))
        return false;
    host->gpu.suffix = 0;
    return true;
}

/* The driver's choice cannot be taken back here: only a cubin that it reads for sure will do. A
 * driver that knows sm_100 reads what was made for it. */
static bool is_safe(const struct kgi_cache_hit *hit, const struct kgi_host *host)
{
    struct kgi_cubin cubin;

    return kgi_cubin_head(hit->image, &cubin) == 0 &&
           (host->cuda_version || host->driver || cubin.abi < 8 || cubin.target.number >= 100);
}

static struct registered *assemble_registered(const struct kgi_wrapper *original,
                                              struct kgi_bytes fatbin, struct kgi_part *p)
{
    struct kgi_cubin_for cubin = {p->source.target, p->hit.image};
    struct registered *r = kgi_alloc(sizeof *r);

    if (!r)
        return NULL;
    memcpy(r->key, p->source.key.digest, sizeof r->key);
    r->given = *original;
    r->given.data = kgi_fatbin_with(fatbin, &cubin, 1).at;
    return r->given.data ? r : NULL;
}

static struct registered *registered_for(void *wrapper, const struct kgi_given *g,
                                         struct kgi_part *p, const struct kgi_host *host)
{
    static struct kgi_map by_wrapper;
    struct kgi_jit_settings none = {.count = 0};
    struct registered *r =
        (struct registered *)(uintptr_t)kgi_map_get(&by_wrapper, (uintptr_t)wrapper);

    if (!kgi_given_source(g, host, &none, &p->source))
        return NULL;
    if (r && memcmp(r->key, p->source.key.digest, sizeof r->key) == 0)
        return r;
    if (!kgi_part_find(p, host))
        return NULL;
    r = is_safe(&p->hit, host) ? assemble_registered(wrapper, g->bytes, p) : NULL;
    kgi_lock(&lock);
    if (r)
        kgi_map_set(&by_wrapper, (uintptr_t)wrapper, (uintptr_t)r);
    kgi_unlock(&lock);
    return r;
}

void *kgi_jit_registered(void *wrapper)
{
    struct kgi_part *p = kgi_pages_get(sizeof *p);
    struct registered *r = NULL;
    struct kgi_host host;
    struct kgi_given g;
    int saved = errno;

    if (p && !kgi_options()->off && registered_host(&host) &&
        kgi_given_look(&g, wrapper, NULL, NULL)) {
        kgi_given_force(&g, &host);
        r = registered_for(wrapper, &g, p, &host);
        if (r)
            atomic_fetch_add_explicit(&kgi_jit_counts.registered, 1, memory_order_relaxed);
        kgi_part_free(p);
    }
    kgi_pages_put(p, sizeof *p);
    errno = saved;
    return r ? &r->given : wrapper;
}
