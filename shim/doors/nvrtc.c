/*
 * NVRTC's doors. A program that compiles its kernels while it runs fails before any image exists:
 * "nvrtc: error: invalid value for --gpu-architecture (-arch)". Which of the libnvrtc files in the
 * process said so, and what that one knows, is what nobody sees.
 *
 * Several may be loaded (PyTorch's and CuPy's own), each found by dlsym, so each has a wrapper of its
 * own. A program that is linked to one meets the exported symbol; then the caller's object tells.
 */
#include "doors.h"

#include <errno.h>

#define LIBRARIES_MOST 4
#define ARCHES_MOST 64
#define INVALID_OPTION 5
#define INTERNAL_ERROR 11

typedef int compile_function(void *program, int count, const char *const *options);

static struct nvrtc {
    _Atomic uintptr_t low;
    compile_function *_Atomic compile;
    _Atomic uint32_t told; /* the last target that was told of */
} libraries[LIBRARIES_MOST];
static struct kgi_lock lock;

/* ---- what was asked for ------------------------------------------------------------------------------------- */

static const char *value_of(const char *option, const char *name)
{
    size_t length = strlen(name);

    return strncmp(option, name, length) == 0 && (option[length] == '=' || !option[length])
               ? option + length
               : NULL;
}

/* "-arch=sm_90", "--gpu-architecture", "compute_120"; the last one counts. NULL: none was given. */
static const char *asked_for(int count, const char *const *options)
{
    const char *asked = NULL, *value;

    for (int i = 0; options && i < count; i++) {
        value = options[i] ? value_of(options[i], "-arch") : NULL;
        if (!value && options[i])
            value = value_of(options[i], "--gpu-architecture");
        if (value && *value == '=')
            asked = value + 1;
        else if (value && i + 1 < count)
            asked = options[i + 1];
    }
    return asked;
}

struct known {
    int major, minor;
    int arches[ARCHES_MOST], count; /* 0: it does not tell */
};

static void ask(const struct kgi_object *library, struct known *known)
{
    int (*version)(int *, int *) = (int (*)(int *, int *))kgi_object_symbol(library, "nvrtcVersion");
    int (*number)(int *) =
        (int (*)(int *))kgi_object_symbol(library, "nvrtcGetNumSupportedArchs");
    int (*list)(int *) = (int (*)(int *))kgi_object_symbol(library, "nvrtcGetSupportedArchs");

    *known = (struct known){0};
    if (version)
        version(&known->major, &known->minor);
    if (number && list && number(&known->count) == 0 && known->count > 0 &&
        known->count <= ARCHES_MOST && list(known->arches) == 0)
        return;
    known->count = 0;
}

/* Whether the option that was refused is the architecture. One for a's and f's of GPUs it knows may be
 * refused too, by a release from before those. */
static bool is_refused(const struct known *known, struct kgi_target asked)
{
    int version = known->major * 1000 + known->minor * 10;

    for (int i = 0; i < known->count; i++)
        if (known->arches[i] == asked.number)
            return asked.suffix && version < kgi_target_toolkit(asked);
    return known->count || version < kgi_target_toolkit(asked);
}

/* ---- the report ------------------------------------------------------------------------------------------- */

static void add_arches(struct kgi_text *out, const struct known *known)
{
    for (int i = 0; i < known->count; i++)
        kgi_text_add(out, " %d", known->arches[i]);
}

static void tell(const struct kgi_object *library, const struct known *known, const char *asked,
                 struct kgi_target target, int result)
{
    struct kgi_diagnosis d = {.event = KGI_EVENT_FAILURE, .reason = KG110_COMPILER, .ordinal = -1};
    const struct kgi_kernel kernel = {0};
    char path[512];
    const char *slash;
    KGI_TEXT(message, 256);
    KGI_TEXT(knows, 512);

    kgi_host_current(&d.host, &d.ordinal);
    if (d.host.gpu.number != target.number)
        d.ordinal = -1;
    d.host.gpu = target;
    d.verdict = (struct kgi_verdict){KGI_NONE, KG110_COMPILER, -1, 0};
    if (!kgi_object_path(library, path, sizeof path))
        return;
    d.library = path;
    slash = strrchr(path, '/');
    kgi_text_add_safe(&message, slash ? slash + 1 : path);
    kgi_text_add(&message, ", NVRTC %d.%d, cannot compile for ", known->major, known->minor);
    kgi_text_add_safe(&message, asked);
    d.message = message.at;
    if (known->count) {
        kgi_text_add(&knows, "it compiles for");
        add_arches(&knows, known);
        d.found = knows.at;
    }
    d.api = "nvrtcCompileProgram";
    d.result = result;
    d.result_text = "invalid option";
    kgi_tell_failure(&d, &kernel);
}

static KGI_SLOW void refused(struct nvrtc *library, int result, int count,
                             const char *const *options)
{
    const char *asked = asked_for(count, options);
    struct kgi_target target;
    struct kgi_object object;
    struct known known;
    uint32_t key;
    int saved = errno;

    if (!asked || kgi_target_parse(asked, &target) < 0 || !kgi_log_enabled(KGI_ERROR) ||
        !kgi_object_at((const void *)library->low, &object))
        return;
    key = (uint32_t)target.number << 8 | (uint8_t)target.suffix;
    ask(&object, &known);
    if (is_refused(&known, target) && atomic_exchange(&library->told, key) != key)
        tell(&object, &known, asked, target, result);
    errno = saved;
}

/* ---- the doors -------------------------------------------------------------------------------------------- */

static int compile(struct nvrtc *library, void *program, int count, const char *const *options)
{
    int result = library->compile(program, count, options);

    if (KGI_UNLIKELY(result == INVALID_OPTION))
        refused(library, result, count, options);
    return result;
}

#define INSTANCE(i)                                                                                \
    static int compile_##i(void *program, int count, const char *const *options)                  \
    {                                                                                              \
        return compile(&libraries[i], program, count, options);                                    \
    }
INSTANCE(0)
INSTANCE(1)
INSTANCE(2)
INSTANCE(3)
static compile_function *const instances[LIBRARIES_MOST] = {compile_0, compile_1, compile_2,
                                                            compile_3};

static bool is_nvrtc(const struct kgi_object *object)
{
    const char *soname = kgi_object_soname(object);

    /* libnvrtc.so.12, or libnvrtc-672ee683.so.11.2 in PyTorch's wheels; libnvrtc-builtins has no function of
     * this name */
    return soname && strncmp(soname, "libnvrtc", 8) == 0 &&
           kgi_object_symbol(object, "nvrtcCompileProgram");
}

/* The place of this library among those known; LIBRARIES_MOST when there is no more room. */
static size_t place_of(const struct kgi_object *object, void *p)
{
    size_t i = 0;

    kgi_lock(&lock);
    while (i < LIBRARIES_MOST && libraries[i].low && libraries[i].low != object->low)
        i++;
    if (i < LIBRARIES_MOST) {
        libraries[i].compile = (compile_function *)p;
        libraries[i].low = object->low;
    }
    kgi_unlock(&lock);
    return i;
}

void *kgi_nvrtc_door_of(const char *name, void *p)
{
    struct kgi_object owner;
    size_t i;

    if (strcmp(name, "nvrtcCompileProgram") != 0 || kgi_options()->off ||
        !kgi_object_at(p, &owner) || !is_nvrtc(&owner))
        return p;
    i = place_of(&owner, p);
    return i < LIBRARIES_MOST ? (void *)instances[i] : p;
}

struct wanted {
    const struct kgi_object *caller; /* NULL: whichever */
    struct kgi_object found;
};

static int find_library(const struct kgi_object *object, void *context)
{
    struct wanted *w = context;
    const char *needed;

    if (!is_nvrtc(object))
        return 0;
    w->found = *object;
    for (size_t i = 0; w->caller && (needed = kgi_object_needed(w->caller, i)); i++)
        if (strcmp(needed, kgi_object_soname(object)) == 0)
            return 1;
    return w->caller == NULL;
}

/* For a program that is linked to it: the one its object needs, else any. */
static compile_function *linked(const void *caller)
{
    struct kgi_object object;
    struct wanted w = {kgi_object_at(caller, &object) ? &object : NULL, {0}};
    void *p;
    size_t i;

    kgi_object_each(find_library, &w);
    p = w.found.low ? kgi_object_symbol(&w.found, "nvrtcCompileProgram") : NULL;
    if (!p || kgi_options()->off)
        return (compile_function *)p;
    i = place_of(&w.found, p);
    return i < LIBRARIES_MOST ? instances[i] : (compile_function *)p;
}

#define NVRTC(symbol, parameters, arguments)                                                       \
    KGI_EXPORT int symbol parameters;                                                              \
    KGI_EXPORT int symbol parameters                                                               \
    {                                                                                              \
        int(*original) parameters = linked(__builtin_return_address(0));                           \
                                                                                                   \
        return original ? original arguments : INTERNAL_ERROR;                                     \
    }
#include "doors.def"
