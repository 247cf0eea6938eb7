/*
 * A diagnosis put together and written: device facts, stacks, a kernel's name from the stack, one fix
 * line. Runs at most some dozen times in a process, on the thread that failed; its memory is pages
 * taken for the occasion, because the thread's stack may be small.
 */
#include "watch.h"

#include <stdlib.h>

#define FRAMES_MOST 24
#define TEXT_SIZE 16384

struct desk {
    struct kgi_evidence evidence;
    struct kgi_frame frames[FRAMES_MOST];
    size_t frame_count;
    char python[1024], stack[1024], kernels[1024], help[256];
    char package[192], torch[192], torch_path[1024];
    char text[TEXT_SIZE];
};

bool kgi_host_current(struct kgi_host *host, int *ordinal)
{
    const struct kgi_machine *m = kgi_machine();

    *ordinal = m ? kgi_machine_current(m) : -1;
    *host = m ? m->host : (struct kgi_host){0};
    if (m)
        host->gpu = m->device[*ordinal].gpu;
    return m != NULL;
}

bool kgi_host_at(size_t i, struct kgi_host *host, int *ordinal)
{
    const struct kgi_machine *m = kgi_machine();
    struct kgi_target target;

    *host = m ? m->host : (struct kgi_host){0};
    for (int d = 0; m && d < m->count; d++) {
        bool met = false;

        for (int e = 0; e < d; e++)
            met |= m->device[e].gpu.number == m->device[d].gpu.number;
        if (!met && i-- == 0) {
            *ordinal = d;
            host->gpu = m->device[d].gpu;
            return true;
        }
    }
    *ordinal = -1;
    if (i != 0 || kgi_target_parse(kgi_options()->target, &target) < 0)
        return false;
    host->gpu.number = target.number;
    return true;
}

/* ---- the kernel's name, from the stack ---------------------------------------------------------------------- */

/* nvcc's host stubs carry the kernel's name: _Z38__device_stub__Z15voxelize_kernelPfiPfi holds
 * _Z15voxelize_kernelPfi, as long as the number before says; static stubs are _ZL38... */
static bool is_stub_of(const char *symbol, const char *kernel)
{
    static const char mark[] = "__device_stub_";
    const char *at = strstr(symbol, mark), *digits = at;
    size_t length = strlen(kernel), rest;

    if (!at)
        return false;
    while (digits > symbol && digits[-1] >= '0' && digits[-1] <= '9')
        digits--;
    rest = digits < at ? (size_t)atoi(digits) : strlen(at);
    return rest == sizeof mark - 1 + length && strncmp(at + sizeof mark - 1, kernel, length) == 0;
}

struct match {
    const struct desk *desk;
    size_t best; /* frame index of the innermost match */
    const char *name;
};

static int match_frame(const char *mangled, int registers, void *context)
{
    struct match *m = context;

    (void)registers;
    for (size_t i = 0; i < m->best; i++) {
        const char *symbol = m->desk->frames[i].symbol;

        if (symbol && (strcmp(symbol, mangled) == 0 || is_stub_of(symbol, mangled))) {
            m->best = i;
            m->name = kgi_name(mangled);
        }
    }
    return m->best == 0;
}

struct list {
    struct kgi_text text;
    size_t count;
    const char *first;
};

static int list_kernel(const char *mangled, int registers, void *context)
{
    struct list *list = context;

    (void)registers;
    if (list->count == 0)
        list->first = kgi_name(mangled);
    if (list->count++ < 3) {
        kgi_text_add(&list->text, list->count > 1 ? ", " : "");
        kgi_report_kernel(&list->text, mangled);
    }
    return 0;
}

/* The image's kernels, once: every code of an image normally holds the same ones. *first: the first one. */
static size_t list_kernels(struct desk *desk, const struct kgi_image *image, const char **first)
{
    struct list list = {{desk->kernels, sizeof desk->kernels, 0, false}, 0, NULL};

    for (size_t i = 0; i < image->count && !list.count; i++)
        kgi_image_kernels(image, (int)i, list_kernel, &list);
    if (list.count > 3)
        kgi_text_add(&list.text, " and %zu more", list.count - 3);
    *first = list.first;
    return list.count;
}

static void name_kernel(struct kgi_diagnosis *d, struct desk *desk, const struct kgi_image *image)
{
    struct match match = {desk, desk->frame_count, NULL};
    const char *first;
    size_t listed;

    if (d->kernel || !image)
        return;
    kgi_image_kernels(image, -1, match_frame, &match);
    if (match.best < desk->frame_count) {
        d->not_used_yet = false; /* it is being launched: eager or not */
        d->kernel = match.name;
        d->kernel_from = "host stack";
        return;
    }
    listed = list_kernels(desk, image, &first);
    if (listed == 1 && !d->not_used_yet) {
        d->kernel = first;
        d->kernel_from = "image, which has no other";
    } else if (listed) {
        d->kernels = desk->kernels;
    }
}

/* ---- the stack as one line -------------------------------------------------------------------------------------- */

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}

/* Frames that tell nothing: the interpreter's own (the Python stack does), call gates, a runtime's
 * insides, start-up code, and the stub of a kernel that is already named. */
static bool is_plumbing(const struct kgi_frame *f)
{
    static const char *const files[] = {"libpython", "python",     "libffi",     "_ctypes",  "libc.so",
                                        "libc-2.",   "libpthread", "libcuda.so", "libcudart"};
    static const char *const symbols[] = {"_start", "__libc_start", "libcudart_static_", "__cudart"};
    const char *file = base_name(f->path);

    for (size_t i = 0; i < KGI_COUNT(files); i++)
        if (strncmp(file, files[i], strlen(files[i])) == 0)
            return true;
    for (size_t i = 0; f->symbol && i < KGI_COUNT(symbols); i++)
        if (strncmp(f->symbol, symbols[i], strlen(symbols[i])) == 0)
            return true;
    return f->symbol && (strstr(f->symbol, "__device_stub_") || strstr(f->symbol, "8pybind11") ||
                         strncmp(f->symbol, "__cuda", 6) == 0 || strncmp(f->symbol, "cuda", 4) == 0);
}

/* "void at::native::gpu_kernel<at::native::FillFunctor<float> >(at::TensorIteratorBase&, ...)" is for
 * machines: on this line a long name is "at::native::gpu_kernel<...>", and a lambda's that of the
 * function it stands in. */
static void add_function(struct kgi_text *line, const char *symbol)
{
    char name[2048];
    KGI_TEXT(folded, 72);
    char *end;

    kgi_demangle(symbol, name, sizeof name);
    if (strlen(name) <= 48) {
        kgi_text_add_safe(line, name);
        return;
    }
    end = strstr(name, "::{lambda");
    if (end)
        *end = 0;
    kgi_report_folded(&folded, name + (strncmp(name, "void ", 5) == 0 ? 5 : 0));
    end = strrchr(folded.at, '(');
    if (end && end > folded.at && end[-1] != ' ' && strcmp(end, "(...)") == 0)
        *end = 0;
    kgi_text_add_safe(line, folded.at);
    if (folded.cut)
        kgi_text_add(line, "...");
}

/* What Cython calls its functions tells nothing that the Python stack does not. */
static const char *function_of(const struct kgi_frame *f)
{
    return f->symbol && strncmp(f->symbol, "__pyx_", 6) == 0 ? NULL : f->symbol;
}

/* Outermost first; a file is named where it changes: "udf_ext.so compute() > launch(int)"; a function that
 * comes twice in a row, once. */
static void draw_stack(struct desk *desk)
{
    struct kgi_text line = {desk->stack, sizeof desk->stack, 0, false};
    const char *file = "";
    char last[80] = "";
    size_t picked[5], n = 0;

    for (size_t i = 0; i < desk->frame_count && n < KGI_COUNT(picked); i++)
        if (!is_plumbing(&desk->frames[i]))
            picked[n++] = i;
    while (n-- > 0) {
        const struct kgi_frame *f = &desk->frames[picked[n]];
        const char *function = function_of(f);
        bool same = strcmp(file, f->path) == 0;
        KGI_TEXT(name, 80);

        if (function)
            add_function(&name, function);
        if (same && (!function || strcmp(name.at, last) == 0))
            continue;
        kgi_text_add(&line, "%s", line.length ? " > " : "");
        if (!same)
            kgi_text_add_safe(&line, base_name(f->path));
        kgi_text_add(&line, "%s%s", same || !function ? "" : " ", name.at);
        memcpy(last, name.at, sizeof last);
        file = f->path;
    }
}

/* ---- writing ------------------------------------------------------------------------------------------------------ */

static void write_diagnosis(const struct kgi_diagnosis *d, char *buffer, size_t size)
{
    const struct kgi_options *o = kgi_options();
    struct kgi_text text = {buffer, size, 0, false};
    const char *kept = NULL;
    bool keep = d->event == KGI_EVENT_FAILURE;

    buffer[0] = 0;
    if (!o->json || keep)
        kgi_report_text(d, &text);
    if (!o->json)
        kgi_log_write(text.at, text.length);
    if (keep)
        kept = kgi_strdup(text.at);
    text = (struct kgi_text){buffer, size, 0, false};
    buffer[0] = 0;
    if (o->json || o->record[0] || keep)
        kgi_report_json(d, &text);
    if (o->json)
        kgi_log_write(text.at, text.length);
    if (o->record[0])
        kgi_log_record(text.at, text.length);
    if (keep)
        kgi_last_set(d, kept, kgi_strdup(text.at));
}

static void add_machine(struct kgi_diagnosis *d)
{
    const struct kgi_machine *m = kgi_machine();

    if (!m)
        return;
    d->driver = m->driver[0] ? m->driver : NULL;
    if (d->ordinal >= 0)
        d->gpu = m->device[d->ordinal].name;
}

void kgi_tell(const struct kgi_diagnosis *d)
{
    char *buffer = kgi_pages_get(TEXT_SIZE);
    struct kgi_diagnosis whole = *d;

    if (!buffer)
        return;
    add_machine(&whole);
    write_diagnosis(&whole, buffer, TEXT_SIZE);
    kgi_pages_put(buffer, TEXT_SIZE);
}

/* The library's package, and the PyTorch that this process runs: what can be rebuilt depends on it. */
static void find_packages(struct kgi_diagnosis *d, struct desk *desk,
                          struct kgi_installed *installed)
{
    struct kgi_object torch;

    if (!d->library)
        return;
    if (kgi_package_of(d->library, desk->package, sizeof desk->package))
        d->package = installed->package = desk->package;
    if (kgi_object_named("libtorch_cpu.so", &torch) &&
        kgi_object_path(&torch, desk->torch_path, sizeof desk->torch_path) &&
        kgi_package_of(desk->torch_path, desk->torch, sizeof desk->torch))
        installed->torch = desk->torch;
}

void kgi_tell_failure(struct kgi_diagnosis *d, const struct kgi_kernel *kernel)
{
    struct desk *desk = kgi_pages_get(sizeof *desk);
    struct kgi_verdict said = d->verdict;
    struct kgi_installed installed = {NULL, NULL, d->built_by};
    size_t told = d->code_count;

    if (!desk) {
        kgi_tell(d);
        return;
    }
    desk->frame_count = kgi_stack(desk->frames, FRAMES_MOST, true);
    name_kernel(d, desk, kernel->image);
    if (d->kernel)
        d->kernel = kgi_name(d->kernel); /* outlives its object */
    if (kgi_python_stack(desk->python, sizeof desk->python))
        d->python = desk->python;
    draw_stack(desk);
    if (desk->stack[0])
        d->stack = desk->stack;
    find_packages(d, desk, &installed);
    said.reason = d->reason; /* what the driver's own result decided */
    if (d->broken && d->reason == KG104_UNREADABLE)
        told = 0; /* what could be read of it is not what is wrong with it */
    kgi_advice(d->library, &installed, d->codes, told, &d->host, &said, desk->help,
               sizeof desk->help);
    if (desk->help[0])
        d->help = desk->help;
    kgi_evidence_find(d, &desk->evidence);
    add_machine(d);
    write_diagnosis(d, desk->text, sizeof desk->text);
    kgi_pages_put(desk, sizeof *desk);
}
