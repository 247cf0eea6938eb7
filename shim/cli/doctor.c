/*
 * kguard doctor: what a bug report needs, gathered without running any of it. This program is
 * linked statically: it can load neither the driver nor a runtime, and asks neither. What it says
 * of them is what the kernel, the loader's tables and the files themselves tell; no call of theirs
 * is made.
 */
#include <ctype.h>
#include <errno.h>
#include <jansson.h>
#include <kguard.h>
#include <stdlib.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "../jit/cache.h"
#include "../jit/cache_place.h"
#include "../report/report.h"
#include "doctor.h"
#include "run.h"

/* ---- facts --------------------------------------------------------------------------------------
 */

struct fact {
    const char *section;
    char *name, *value, *problem; /* problem: NULL = none */
};
struct report {
    struct fact *facts;
    size_t count, room, problems;
    const char *section;
    bool json, driver; /* driver: the kernel has one */
    char *seen[64];    /* libraries already told, links resolved */
    size_t seen_count;
};

__attribute__((format(printf, 1, 0))) static char *print(const char *format, va_list arguments)
{
    char *text = NULL;

    return vasprintf(&text, format, arguments) < 0 ? NULL : text;
}

__attribute__((format(printf, 3, 4))) static void tell(struct report *r, const char *name,
                                                       const char *format, ...)
{
    struct fact *more = r->facts;
    va_list arguments;

    if (r->count == r->room) {
        r->room = r->room ? 2 * r->room : 64;
        more = realloc(r->facts, r->room * sizeof *more);
    }
    if (!more)
        exit(KGI_EXIT_INTERNAL);
    r->facts = more;
    va_start(arguments, format);
    r->facts[r->count++] = (struct fact){r->section, strdup(name), print(format, arguments), NULL};
    va_end(arguments);
}

/* What is wrong with the last fact told. */
__attribute__((format(printf, 2, 3))) static void wrong(struct report *r, const char *format, ...)
{
    struct fact *fact = &r->facts[r->count - 1];
    va_list arguments;

    if (fact->problem)
        return;
    va_start(arguments, format);
    fact->problem = print(format, arguments);
    va_end(arguments);
    r->problems++;
}

/* ---- the machine --------------------------------------------------------------------------------
 */

static bool first_line(const char *path, const char *start, char *out, int size)
{
    FILE *file = fopen(path, "re");
    bool found = false;

    while (file && !found && fgets(out, size, file))
        found = strncmp(out, start, strlen(start)) == 0;
    if (file)
        fclose(file);
    if (found) {
        memmove(out, out + strlen(start), strlen(out + strlen(start)) + 1);
        out[strcspn(out, "\n")] = 0;
    }
    return found;
}

static void add_container(struct report *r)
{
    static const struct {
        const char *file, *name;
    } marks[] = {{"/.dockerenv", "docker"},
                 {"/run/.containerenv", "podman"},
                 {"/.singularity.d", "singularity or apptainer"},
                 {"/var/run/secrets/kubernetes.io", "kubernetes"}};
    struct kgi_folder root;
    const char *name = getenv("container");

    kgi_folder_look("/", &root);
    for (size_t i = 0; i < KGI_COUNT(marks) && !name; i++)
        name = access(marks[i].file, F_OK) == 0 ? marks[i].name : NULL;
    if (!name && root.system && strcmp(root.system, "overlayfs") == 0)
        name = "perhaps";
    if (name)
        tell(r, "container", "%s%s%s", name, root.system ? "; / is on " : "",
             root.system ? root.system : "");
}

static void add_system(struct report *r)
{
    struct utsname names;
    char line[256], name[256];

    r->section = "system";
    tell(r, "kguard", "%s", KG_VERSION);
    if (uname(&names) == 0)
        tell(r, "kernel", "%s %s %s", names.sysname, names.release, names.machine);
    if (first_line("/etc/os-release", "PRETTY_NAME=", line, sizeof line) &&
        sscanf(line, "%*[\"']%255[^\"']", name) == 1)
        tell(r, "system", "%s", name);
    add_container(r);
}

/* ---- GPUs and the driver ------------------------------------------------------------------------
 */

static void add_gpu(const char *path, void *context)
{
    struct report *r = context;
    char information[PATH_MAX + 16], model[128] = "?";
    const char *bus = strrchr(path, '/') + 1;
    unsigned number = kgi_gpu_number(bus);

    snprintf(information, sizeof information, "%s/information", path);
    if (first_line(information, "Model:", model, sizeof model))
        memmove(model, model + strspn(model, " \t"), strlen(model + strspn(model, " \t")) + 1);
    if (number)
        tell(r, bus, "%s, compute capability %u.%u", model, number / 10, number % 10);
    else
        tell(r, bus, "%s, compute capability not known to this kguard", model);
}

static void add_device(const char *path, void *context)
{
    char *all = context;

    if (isdigit((unsigned char)path[strlen(path) - 1]) && strlen(all) + strlen(path) + 2 < 512)
        strcat(strcat(all, *all ? " " : ""), path);
}

static void add_gpus(struct report *r)
{
    char devices[512] = "";
    size_t before;

    r->section = "GPUs";
    before = r->count;
    kgi_expand("/proc/driver/nvidia/gpus/*", add_gpu, r);
    if (r->count == before)
        tell(r, "GPUs", "none that the kernel's driver lists");
    kgi_expand("/dev/nvidia*", add_device, devices);
    if (access("/dev/dxg", F_OK) == 0)
        tell(r, "device files", "/dev/dxg (WSL)");
    else
        tell(r, "device files", "%s", *devices ? devices : "none");
    if (r->driver && !*devices && access("/dev/dxg", F_OK) != 0)
        wrong(r, "the kernel has a driver, but no GPU is to be seen from here: a container started "
                 "without --gpus?");
}

/* "580.95.05" of ".../libcuda.so.580.95.05"; not "1.1" of WSL's. */
static const char *file_version(const char *path)
{
    const char *name = strrchr(path, '/'), *so = name ? strstr(name, ".so.") : NULL;
    int branch;

    return so && kgi_driver_parse(so + 4, &branch) == 0 ? so + 4 : NULL;
}

/* A library once, under whatever names it is found. */
static char *resolve_new(struct report *r, const char *path)
{
    char *full = realpath(path, NULL);

    for (size_t i = 0; full && i < r->seen_count; i++)
        if (strcmp(r->seen[i], full) == 0) {
            free(full);
            return NULL;
        }
    if (full && r->seen_count < KGI_COUNT(r->seen))
        r->seen[r->seen_count++] = full;
    else if (full)
        free(full), full = NULL;
    return full;
}

struct library {
    struct report *report;
    const char *name, *kernel; /* kernel: the version of the kernel's driver, "" = none */
    size_t found;
};

static void add_driver_library(const char *path, const char *how, void *context)
{
    struct library *l = context;
    char *full = resolve_new(l->report, path);
    const char *version = full ? file_version(full) : NULL;

    if (!full)
        return;
    tell(l->report, l->found++ ? "  also" : l->name, "%s%s%s%s (%s)", path,
         version ? " (version " : "", version ? version : "", version ? ")" : "", how);
    if (l->found > 1 || !version || !*l->kernel || strcmp(version, l->kernel) == 0)
        return;
    if (strstr(full, "compat"))
        wrong(l->report, "a forward compatibility package stands before the driver's own: for data "
                         "centre GPUs only; elsewhere cuInit gives 804");
    else
        wrong(l->report, "of another version than the kernel's driver (%s): cuInit gives 803",
              l->kernel);
}

static void add_driver(struct report *r)
{
    char version[64] = "";
    struct library cuda = {r, "libcuda.so.1", version, 0};
    struct library jit = {r, "PTX compiler", "", 0};

    r->section = "driver";
    r->driver = kgi_driver_here(version, sizeof version) || access("/dev/dxg", F_OK) == 0;
    tell(r, "kernel's", "%s", *version ? version : r->driver ? "WSL" : "none");
    if (!r->driver)
        wrong(r, "no NVIDIA driver is loaded on this machine");
    kgi_search("libcuda.so.1", add_driver_library, &cuda);
    if (!cuda.found) {
        tell(r, "libcuda.so.1", "not found");
        if (r->driver)
            wrong(r, "CUDA cannot start: the driver's library is not mounted into this container, "
                     "or LD_LIBRARY_PATH does not lead to it");
    }
    kgi_search("libnvidia-ptxjitcompiler.so.1", add_driver_library, &jit);
    if (!jit.found) {
        tell(r, "PTX compiler", "libnvidia-ptxjitcompiler.so.1 not found");
        if (r->driver && cuda.found)
            wrong(r, "PTX cannot be compiled (221): add \"compute\" to NVIDIA_DRIVER_CAPABILITIES");
    }
}

/* ---- runtimes -----------------------------------------------------------------------------------
 */

/* "libcudart.so.12.4.127", "libcudart-d0da41ae.so.11.0"; not "libcudart.so.12.map" */
static bool is_shared_library(const char *name)
{
    const char *so = strstr(name, ".so");

    return so && so[3 + strspn(so + 3, ".0123456789")] == 0;
}

static void add_runtime(const char *path, void *context)
{
    struct report *r = context;
    const char *name = strrchr(path, '/') + 1;
    char *full = is_shared_library(name) ? resolve_new(r, path) : NULL, package[192];

    if (!full)
        return;
    if (kgi_package_of(full, package, sizeof package))
        tell(r, name, "%s (%s)", full, package);
    else
        tell(r, name, "%s", full);
}

static void add_found_runtime(const char *path, const char *how, void *context)
{
    (void)how;
    add_runtime(path, context);
}

static void add_packaged_runtimes(const char *folder, void *context)
{
    static const char *const places[] = {"nvidia/cuda_runtime/lib", "nvidia/cu*/lib", "torch/lib"};
    char pattern[PATH_MAX];

    for (size_t i = 0; i < KGI_COUNT(places); i++)
        if (snprintf(pattern, sizeof pattern, "%s/%s/libcudart*.so*", folder, places[i]) <
            (int)sizeof pattern)
            kgi_expand(pattern, add_runtime, context);
}

static void add_runtimes(struct report *r)
{
    size_t before;
    const char *conda = getenv("CONDA_PREFIX");
    char pattern[PATH_MAX];

    r->section = "CUDA runtimes";
    before = r->count;
    kgi_search("libcudart.so*", add_found_runtime, r);
    kgi_site_packages(add_packaged_runtimes, r);
    if (conda && snprintf(pattern, sizeof pattern, "%s/lib/libcudart.so*", conda) < PATH_MAX)
        kgi_expand(pattern, add_runtime, r);
    kgi_expand("/usr/local/cuda*/lib64/libcudart.so*", add_runtime, r);
    if (r->count == before)
        tell(r, "libcudart", "none found (a program may still hold one of its own)");
}

/* ---- the preload --------------------------------------------------------------------------------
 */

struct preload {
    struct report *report;
    const char *where, *library;
    bool ours;
};

static void add_preload(const char *entry, void *context)
{
    struct preload *p = context;
    const char *slash = strrchr(entry, '/');

    tell(p->report, p->where, "%s", entry);
    if (slash && access(entry, R_OK) != 0)
        wrong(p->report, "%s: the loader goes on without it", strerror(errno));
    if (strcmp(slash ? slash + 1 : entry, "libkguard.so") != 0)
        return;
    if (p->ours)
        wrong(p->report, "named twice");
    p->ours = true;
}

static char *whole_file(const char *path)
{
    struct kgi_bytes file = kgi_file_map(path, 1 << 20);
    char *text = file.at ? strndup((const char *)file.at, file.size) : NULL;

    kgi_file_unmap(file);
    return text;
}

static void remember(const char *path, void *context)
{
    snprintf(context, PATH_MAX, "%s", path);
}

static void add_preloads(struct report *r)
{
    char library[PATH_MAX], musl[PATH_MAX] = "", glibc[PATH_MAX] = "";
    struct preload p = {r, "LD_PRELOAD", library, false};
    const char *value = getenv("LD_PRELOAD");
    char *system = whole_file("/etc/ld.so.preload");

    r->section = "preload";
    if (!kgi_library_find(NULL, library, sizeof library)) {
        tell(r, "libkguard.so", "not found beside kguard, in ../lib, nor in the usual folders");
        wrong(r, "kguard run needs --library");
    } else {
        tell(r, "libkguard.so", "%s", library);
        if (!kgi_preloadable(library))
            wrong(r, "its path has a space, a colon or a $: the loader cannot take it");
    }
    kgi_expand("/lib/ld-musl-*", remember, musl);
    kgi_expand("/lib*/ld-linux-*", remember, glibc);
    if (*musl && !*glibc) {
        tell(r, "C library", "musl (%s)", musl);
        wrong(r, "the library does nothing here");
    }
    if (!value || !*value)
        tell(r, "LD_PRELOAD", "not set (kguard run sets it)");
    else
        kgi_preload_each(value, add_preload, &p);
    p.where = "/etc/ld.so.preload";
    if (system)
        kgi_preload_each(system, add_preload, &p);
    free(system);
}

/* ---- caches -------------------------------------------------------------------------------------
 */

static void check_folder(struct report *r, const char *path)
{
    struct kgi_folder f;

    kgi_folder_look(path, &f);
    if (!f.writable)
        wrong(r, "not writable: nothing is kept");
    else if (!f.lasting)
        wrong(r, "on %s: goes with the %s [KG202]", f.system,
              strcmp(f.system, "overlayfs") == 0 ? "container" : "memory it is in");
}

static void tell_folder(struct report *r, const char *name, const char *path, const char *limit)
{
    struct kgi_folder f;

    kgi_folder_look(path, &f);
    if (f.is_there)
        tell(r, name, "%s: %.1f MiB of %s%s%s", path, (double)kgi_folder_size(path) / (1 << 20),
             limit, f.system ? ", on " : "", f.system ? f.system : "");
    else
        tell(r, name, "%s: not there yet%s%s", path, f.system ? ", on " : "",
             f.system ? f.system : "");
}

static void add_driver_cache(struct report *r)
{
    const char *off = getenv("CUDA_CACHE_DISABLE"), *path = getenv("CUDA_CACHE_PATH");
    const char *home = getenv("HOME"), *most = getenv("CUDA_CACHE_MAXSIZE");
    char folder[PATH_MAX], limit[64];

    if (off && *off && strcmp(off, "0") != 0) {
        tell(r, "the driver's", "off (CUDA_CACHE_DISABLE=%s)", off);
        wrong(r, "PTX is compiled anew at every start [KG202]");
        return;
    }
    if (!path && !home) {
        tell(r, "the driver's", "nowhere: neither CUDA_CACHE_PATH nor HOME is set");
        wrong(r, "PTX is compiled anew at every start [KG202]");
        return;
    }
    snprintf(folder, sizeof folder, "%s%s", path ? path : home, path ? "" : "/.nv/ComputeCache");
    if (most)
        snprintf(limit, sizeof limit, "%.0f MiB", strtod(most, NULL) / (1 << 20));
    else
        snprintf(limit, sizeof limit, "the driver's own limit");
    tell_folder(r, "the driver's", folder, limit);
    check_folder(r, folder);
    if (most && strtod(most, NULL) < 1 << 28)
        wrong(r,
              "CUDA_CACHE_MAXSIZE is less than any driver's own: what does not fit is never kept");
}

static void add_caches(struct report *r)
{
    const struct kgi_options *o = kgi_options();
    char limit[32];

    r->section = "caches of compiled code";
    add_driver_cache(r);
    if (!o->cache_dir[0])
        return;
    if (o->cache_max)
        snprintf(limit, sizeof limit, "%.0f MiB", (double)o->cache_max / (1 << 20));
    else
        snprintf(limit, sizeof limit, "no bound");
    tell_folder(r, "kguard's", o->cache_dir, limit);
    if (o->jit != KGI_JIT_OFF)
        check_folder(r, o->cache_dir);
}

/* ---- settings -----------------------------------------------------------------------------------
 */

/* Why the cache itself does not look at a read-only tier; NULL: it does. */
static const char *tier_fault(const char *tier)
{
    static const struct kgi_cache any;
    int fd = kgi_place_tier(&any, tier, true, false);

    kgi_place_close(fd);
    if (fd == -EINVAL)
        return "not an absolute path";
    if (fd == -EPERM)
        return "not looked at: neither yours nor root's alone";
    if (fd < 0)
        return strerror(-fd);
    return access(tier, R_OK | X_OK) != 0 ? strerror(errno) : NULL;
}

static void check_tiers(struct report *r, const char *list)
{
    char copy[PATH_MAX], *rest = copy, *tier;

    snprintf(copy, sizeof copy, "%s", list);
    while ((tier = strsep(&rest, ":"))) {
        const char *fault = *tier ? tier_fault(tier) : NULL;
        if (fault) {
            wrong(r, "%s: %s", tier, fault);
            return;
        }
    }
}

/* What the table cannot see of a value. */
static void check_value(struct report *r, const char *name, const char *value)
{
    struct kgi_target target;

    if (strcmp(name, "KGUARD") == 0 && kgi_options()->off)
        wrong(r, "everything is off, other settings too");
    else if (strcmp(name, "KGUARD_TARGET") == 0 && kgi_target_parse(value, &target) < 0)
        wrong(r, "not a target: sm_120, 120 or 12.0");
    else if (strcmp(name, "KGUARD_PTXAS") == 0 && access(value, X_OK) != 0)
        wrong(r, "%s", strerror(errno));
    else if (strcmp(name, "KGUARD_CACHE_RO") == 0)
        check_tiers(r, value);
    else if (strcmp(name, "KGUARD_LOG_FILE") == 0) {
        if (kgi_log_fault(value))
            wrong(r, "%s: nothing is written", strerror(kgi_log_fault(value)));
        else if (value[0] != '/')
            wrong(r, "a relative path: it is taken from wherever the program is at the moment");
    }
}

static bool is_row(const char *name, size_t length)
{
    for (size_t i = 0; i < kgi_option_row_count; i++)
        if (strlen(kgi_option_rows[i].name) == length &&
            memcmp(kgi_option_rows[i].name, name, length) == 0)
            return true;
    return false;
}

static void add_settings(struct report *r)
{
    r->section = "settings";
    for (size_t i = 0; i < kgi_option_row_count; i++) {
        const struct kgi_option_row *row = &kgi_option_rows[i];
        const char *value = getenv(row->name), *complaint;
        if (!value || !*value) {
            tell(r, row->name, "%s (default)", *row->fallback ? row->fallback : "none");
            continue;
        }
        tell(r, row->name, "%s", value);
        for (size_t k = 0; (complaint = kgi_options_complaint(k)); k++)
            if (strncmp(complaint, row->name, strlen(row->name)) == 0 &&
                complaint[strlen(row->name)] == '=')
                wrong(r, "%s; the default counts", strrchr(complaint, ':') + 2);
        check_value(r, row->name, value);
    }
    for (char **variable = environ; *variable; variable++) {
        size_t n = strcspn(*variable, "=");
        if (strncmp(*variable, "KGUARD", 6) == 0 && (*variable)[n] && !is_row(*variable, n)) {
            char *name = strndup(*variable, n);
            tell(r, name ? name : "?", "%s", *variable + n + 1);
            wrong(r, "there is no such setting");
            free(name);
        }
    }
}

/* Variables of others that change what happens; a warning where one of them usually is a mistake.
 */
static const struct variable {
    const char *name, *if_value, *warning; /* warning where the value is not "0"; or is if_value */
} variables[] = {
    {"CUDA_VISIBLE_DEVICES", "", "no GPU is visible"},
    {"NVIDIA_VISIBLE_DEVICES", "void", "the container gets no GPU"},
    {"NVIDIA_DRIVER_CAPABILITIES", NULL, NULL},
    {"CUDA_MODULE_LOADING", NULL, NULL},
    {"CUDA_FORCE_PTX_JIT", NULL, "the driver ignores all SASS: libraries without PTX fail [KG203]"},
    {"CUDA_DISABLE_PTX_JIT", NULL, "libraries that hold only PTX for the GPU fail [KG203]"},
    {"CUDA_FORCE_JIT", NULL, "the driver ignores all SASS: libraries without PTX fail [KG203]"},
    {"CUDA_DISABLE_JIT", NULL, "libraries that hold only PTX for the GPU fail [KG203]"},
    {"CUDA_LAUNCH_BLOCKING", NULL, NULL},
    {"CUDA_CACHE_PATH", NULL, NULL},
    {"CUDA_CACHE_MAXSIZE", NULL, NULL},
    {"CUDA_CACHE_DISABLE", NULL, NULL},
    {"CUDA_HOME", NULL, NULL},
    {"LD_LIBRARY_PATH", NULL, NULL},
    {"TORCH_CUDA_ARCH_LIST", NULL, NULL},
    {"TRITON_PTXAS_PATH", NULL, NULL},
    {"TRITON_PTXAS_BLACKWELL_PATH", NULL, NULL},
    {"VIRTUAL_ENV", NULL, NULL},
    {"CONDA_PREFIX", NULL, NULL},
};

static void add_environment(struct report *r)
{
    r->section = "environment";
    for (size_t i = 0; i < KGI_COUNT(variables); i++) {
        const struct variable *v = &variables[i];
        const char *value = getenv(v->name);
        if (!value)
            continue;
        tell(r, v->name, "%s", value);
        if (v->warning &&
            (v->if_value ? strcmp(value, v->if_value) == 0 : *value && strcmp(value, "0") != 0))
            wrong(r, "%s", v->warning);
    }
}

/* ---- output -------------------------------------------------------------------------------------
 */

static void put_safe(const char *text, int width)
{
    char buffer[2 * PATH_MAX];
    struct kgi_text safe = {buffer, sizeof buffer, 0, false};

    buffer[0] = 0;
    kgi_text_add_safe(&safe, text ? text : "");
    printf("%-*s", width, buffer);
}

static void put_text(const struct report *r)
{
    const char *section = "";

    for (size_t i = 0; i < r->count; i++) {
        const struct fact *f = &r->facts[i];
        if (strcmp(section, f->section) != 0)
            printf("%s%s\n", i ? "\n" : "", f->section);
        section = f->section;
        fputs("  ", stdout);
        put_safe(f->name, 22);
        putchar(' ');
        put_safe(f->value, 0);
        putchar('\n');
        if (f->problem) {
            printf("  %-22s ^ ", "");
            put_safe(f->problem, 0);
            putchar('\n');
        }
    }
    if (r->problems)
        printf("\n%zu thing%s to look at (^)\n", r->problems, r->problems == 1 ? "" : "s");
    else
        printf("\nnothing to object to\n");
}

static void set_text(json_t *object, const char *key, const char *text)
{
    json_t *value = text ? json_string(text) : NULL;

    json_object_set_new(object, key, value ? value : json_string("(not UTF-8)"));
}

static void put_json(const struct report *r)
{
    json_t *all = json_object(), *facts = json_array();

    json_object_set_new(all, "schema", json_integer(1));
    json_object_set_new(all, "version", json_string(KG_VERSION));
    for (size_t i = 0; i < r->count; i++) {
        json_t *fact = json_object();
        set_text(fact, "section", r->facts[i].section);
        set_text(fact, "name", r->facts[i].name + strspn(r->facts[i].name, " "));
        set_text(fact, "value", r->facts[i].value);
        if (r->facts[i].problem)
            set_text(fact, "problem", r->facts[i].problem);
        json_array_append_new(facts, fact);
    }
    json_object_set_new(all, "facts", facts);
    json_object_set_new(all, "problems", json_integer((json_int_t)r->problems));
    json_dumpf(all, stdout, JSON_INDENT(1) | JSON_ENSURE_ASCII);
    putchar('\n');
    json_decref(all);
}

/* ---- the command --------------------------------------------------------------------------------
 */

static int set_format(void *context, const char *value)
{
    ((struct report *)context)->json = strcmp(value, "json") == 0;
    return strcmp(value, "text") == 0 || strcmp(value, "json") == 0 ? 0 : -EINVAL;
}

static const struct kgi_flag flags[] = {
    {'f', "format", "text|json", "what to write (default: text)", set_format},
};

static void free_report(struct report *r)
{
    for (size_t i = 0; i < r->count; i++) {
        free(r->facts[i].name);
        free(r->facts[i].value);
        free(r->facts[i].problem);
    }
    for (size_t i = 0; i < r->seen_count; i++)
        free(r->seen[i]);
    free(r->facts);
}

static int doctor_main(const struct kgi_command *self, int argc, char **argv)
{
    struct report r = {0};
    int exit_code, left = kgi_flags_parse(self, argc, argv, &r, &exit_code);

    if (left < 0)
        return exit_code;
    if (left > 0) {
        kgi_complain("doctor: takes no arguments: %s", argv[0]);
        return KGI_EXIT_USAGE;
    }
    add_system(&r);
    add_driver(&r);
    add_gpus(&r);
    add_runtimes(&r);
    add_preloads(&r);
    add_caches(&r);
    add_settings(&r);
    add_environment(&r);
    if (r.json)
        put_json(&r);
    else
        put_text(&r);
    exit_code = r.problems ? KGI_EXIT_FOUND : KGI_EXIT_OK;
    free_report(&r);
    return exit_code;
}

const struct kgi_command kgi_doctor_command = {
    "doctor",
    "[OPTION...]",
    "Shows what a bug report needs: GPUs, driver, runtimes, preload, caches and settings.\n"
    "Reads files and tables only; neither the driver nor a runtime is called.",
    doctor_main,
    flags,
    KGI_COUNT(flags),
    "Exit code: 0 nothing to object to, 1 something is wrong, 2 wrong use.\n",
    false,
};
