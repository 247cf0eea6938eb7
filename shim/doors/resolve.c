/*
 * Look-ups.
 *
 * A program reaches the driver in three ways: by linking to it (then our exported symbol is found
 * first), by dlsym on a handle, and by cuGetProcAddress. Every libcudart uses the last two: it asks
 * dlsym for cuGetProcAddress(_v2) alone and gets some 400 functions through it. In the latter two the
 * real look-up is made first, and only its answer is replaced; what does not exist is never invented.
 *
 * dlsym depends on who calls it when the handle is RTLD_NEXT or RTLD_DEFAULT. So our dlsym is a few
 * instructions of assembly that jump, not call, to the real one for those, and for every name that
 * does not start like one of ours. The real one is found by walking libc's (before glibc 2.34:
 * libdl's) own symbol table: no versioned reference to dlsym is needed, which older or newer C
 * libraries would not satisfy; then it is asked for the next dlsym after us, so that another
 * interposer behind us keeps its place.
 *
 * An original is what the call would have reached without us: another preloaded library behind us in
 * load order, else the driver itself, wherever it was loaded (a driver in an RTLD_LOCAL scope is
 * invisible to RTLD_NEXT). Libraries that carry stubs under driver names (TensorFlow) are not
 * originals: their stubs look the driver up themselves, would be handed our doors, and loop.
 */
#include "doors.h"

#include <dlfcn.h>
#include <link.h>
#include <stdlib.h>
#include <sys/auxv.h>

_Atomic(void *) kgi_driver_originals[KGI_DRIVER_DOORS];

#define DRIVER(symbol, parameters, arguments, after) KGI_EXPORT CUresult symbol parameters;
#include "doors.def"
#undef DRIVER

static const struct door {
    const char *name;
    size_t length;
    void *wrapper;
} doors[] = {
#define DRIVER(symbol, parameters, arguments, after) {#symbol, sizeof #symbol - 1, (void *)symbol},
#include "doors.def"
#undef DRIVER
};

/* The door of this name, or -1. Runs inside dlsym: a scan of lengths, no work to set up. */
static int door_named(const char *name)
{
    size_t length = strlen(name);

    for (int i = 0; i < KGI_DRIVER_DOORS; i++)
        if (doors[i].length == length && memcmp(doors[i].name, name, length) == 0)
            return i;
    return -1;
}

bool kgi_is_driver(const struct kgi_object *object)
{
    const char *soname = kgi_object_soname(object);

    return soname && strncmp(soname, "libcuda.so", 10) == 0;
}

/* ---- originals ------------------------------------------------------------------------------------------- */

static bool is_preloaded(const char *name)
{
    const char *list = getenv("LD_PRELOAD"), *file = strrchr(name, '/');

    file = file ? file + 1 : name;
    while (list && *list) {
        size_t n = strcspn(list, ": ");

        if (n && ((strlen(name) == n && memcmp(list, name, n) == 0) ||
                  (strlen(file) == n && memcmp(list, file, n) == 0)))
            return true;
        list += n + (list[n] != 0);
    }
    return false;
}

struct search {
    const char *name;
    bool behind_us;
    void *found;
};

static int search_object(const struct kgi_object *object, void *context)
{
    struct search *s = context;

    if (kgi_object_is_self(object)) {
        s->behind_us = true;
        return 0;
    }
    if (kgi_is_driver(object) || (s->behind_us && object->name[0] && is_preloaded(object->name)))
        s->found = kgi_object_symbol(object, s->name);
    return s->found != NULL;
}

void *kgi_driver_resolve(enum kgi_driver_door door)
{
    struct search s = {doors[door].name, false, NULL};
    void *none = NULL;

    kgi_object_each(search_object, &s);
    if (s.found)
        atomic_compare_exchange_strong(&kgi_driver_originals[door], &none, s.found);
    return none ? none : s.found;
}

/* Takes p, found in the driver, as a door's original. False when the door already stands in front of another
 * driver's function: one door, one original, and the second stays untouched. A driver that is no longer loaded
 * (before cuInit nothing keeps it) has none. */
static bool adopt(int door, void *p)
{
    void *known = NULL;
    struct kgi_object other;

    if (atomic_compare_exchange_strong(&kgi_driver_originals[door], &known, p) || known == p)
        return true;
    if (kgi_object_at(known, &other) && known == kgi_object_symbol(&other, doors[door].name))
        return false;
    atomic_store_explicit(&kgi_driver_originals[door], p, memory_order_relaxed);
    return true;
}

/* ---- dlsym -------------------------------------------------------------------------------------------------- */

typedef void *dlsym_function(void *handle, const char *name);

dlsym_function *kgi_real_dlsym;

static bool same_name(const char *a, const char *b)
{
    while (*a && *a == *b)
        a++, b++;
    return *a == *b;
}

static const char *base_name(const char *path)
{
    const char *base = path;

    for (; *path; path++)
        if (*path == '/')
            base = path + 1;
    return base;
}

/* The loader's list of objects, which debuggers read: by the dynamic section of the program. */
static const struct link_map *loaded_objects(void)
{
    const ElfW(Phdr) *p = (const ElfW(Phdr) *)getauxval(AT_PHDR);
    size_t n = getauxval(AT_PHNUM);
    uintptr_t base = 0;
    const ElfW(Dyn) *d = NULL;

    for (size_t i = 0; p && i < n; i++)
        if (p[i].p_type == PT_PHDR)
            base = (uintptr_t)p - p[i].p_vaddr;
    for (size_t i = 0; p && i < n; i++)
        if (p[i].p_type == PT_DYNAMIC)
            d = (const ElfW(Dyn) *)(base + p[i].p_vaddr);
    for (; d && d->d_tag != DT_NULL; d++)
        if (d->d_tag == DT_DEBUG && d->d_un.d_ptr)
            return ((const struct r_debug *)d->d_un.d_ptr)->r_map;
    return NULL;
}

/* Called once, from the assembly, before the first look-up that passes it. That is early: sanitizer
 * runtimes look up what they stand in front of before they are set up, and a call of strcmp or of
 * dl_iterate_phdr would then end in their unfinished hooks (gcc's ASan and TSan programs died of a
 * call to address 0). So nothing of libc's but getauxval is called here. libc stands in the list
 * from the start and is never unloaded: no lock is needed to walk as far. */
__attribute__((visibility("hidden"))) dlsym_function *kgi_find_dlsym(void);
dlsym_function *kgi_find_dlsym(void)
{
    dlsym_function *found = NULL, *next;

    for (const struct link_map *m = loaded_objects(); m && !found; m = m->l_next) {
        const char *name = base_name(m->l_name);
        struct kgi_object object = {
            .base = m->l_addr, .low = m->l_addr, .high = UINTPTR_MAX, .dynamic = m->l_ld};

        if (same_name(name, "libc.so.6") || same_name(name, "libdl.so.2") ||
            same_name(name, "libc.so") || (name[0] == 'l' && name[1] == 'd' && name[2] == '-'))
            found = (dlsym_function *)kgi_object_symbol(&object, "dlsym");
    }
    if (!found)
        return NULL;
    next = (dlsym_function *)found(RTLD_NEXT, "dlsym");
    kgi_real_dlsym = next ? next : found;
    return kgi_real_dlsym;
}

/* The C half of dlsym: an explicit handle and a name that starts with "cu" or "nv". */
__attribute__((visibility("hidden"))) void *kgi_dlsym(void *handle, const char *name,
                                                      const void *caller);
void *kgi_dlsym(void *handle, const char *name, const void *caller)
{
    void *p = kgi_real_dlsym(handle, name);
    int door = p ? door_named(name) : -1;
    struct kgi_object owner, asking;

    if (p && name[0] == 'n')
        return kgi_nvrtc_door_of(name, p);
    if (door < 0 || p == doors[door].wrapper || kgi_options()->off ||
        !kgi_object_at(p, &owner) || !kgi_is_driver(&owner))
        return p;
    /* A driver that asks for driver functions is one that loads another (WSL): it wants the truth. */
    if (kgi_object_at(caller, &asking) && kgi_is_driver(&asking))
        return p;
    if (!adopt(door, p))
        return p;
    if (door == KGI_D_cuGetProcAddress)
        kgi_drvlog_client(caller);
    return doors[door].wrapper;
}

/* ---- cuGetProcAddress --------------------------------------------------------------------------------------- */

void *kgi_driver_door_of(const char *name, void *p)
{
    size_t length = strlen(name);
    struct kgi_object owner = {.name = NULL};

    for (int i = 0; i < KGI_DRIVER_DOORS; i++)
        if (p == atomic_load_explicit(&kgi_driver_originals[i], memory_order_relaxed))
            return doors[i].wrapper;
    /* The answer is one of the driver's exported functions: which one, its own table tells. The request does
     * not: the same name means three functions, cuX, cuX_v2 and cuX_ptsz. But all of them start with it, so
     * that most requests, of functions without a door, are over here: a runtime makes 400. */
    for (int i = 0; i < KGI_DRIVER_DOORS; i++) {
        if (strncmp(doors[i].name, name, length) != 0)
            continue;
        if (!owner.name && (!kgi_object_at(p, &owner) || !kgi_is_driver(&owner)))
            return p;
        if (p == kgi_object_symbol(&owner, doors[i].name))
            return adopt(i, p) ? doors[i].wrapper : p;
    }
    return p;
}

/* ---- keeping the driver ---------------------------------------------------------------------------------------- */

struct keep {
    char path[512];
    void *(*open)(const char *, int);
};

static int find_keeper(const struct kgi_object *object, void *context)
{
    struct keep *keep = context;
    const char *soname = kgi_object_soname(object);

    if (!keep->open && soname &&
        (strcmp(soname, "libc.so.6") == 0 || strcmp(soname, "libdl.so.2") == 0))
        keep->open = (void *(*)(const char *, int))kgi_object_symbol(object, "dlopen");
    if (!keep->path[0] && kgi_is_driver(object))
        strncpy(keep->path, object->name, sizeof keep->path - 1);
    return 0;
}

void kgi_driver_keep(void)
{
    struct keep keep = {"", NULL};

    kgi_object_each(find_keeper, &keep);
    if (keep.open && keep.path[0])
        keep.open(keep.path, RTLD_LAZY | RTLD_NOLOAD | RTLD_NODELETE);
}
