/*
 * What is said, and how often. The rules decide the reason; the driver's own result decides between
 * reasons the bytes alone cannot tell. One report per (library, reason, kind of use), the rest is
 * counted: a training loop fails the same launch ten thousand times.
 */
#include "watch.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SEEN_MOST 256
#define QUICK ((size_t)1 << 10)
#define REPORTS_MOST 32 /* full reports; beyond that the terminal is lost anyway */
#define LINES_MOST 64   /* module lines */
#define SEARCHES_MOST 64 /* of the stack, for an image that no door has seen */

/* glibc's alone; where it is missing there is no closing line. */
extern int on_exit(void (*)(int, void *), void *) __attribute__((weak));

struct seen {
    const char *library; /* or who built the image; interned or NULL */
    int reason, group;
    const char *kernel;
    _Atomic uint64_t count;
    bool unchecked_told;
};

static struct {
    struct kgi_lock lock;
    int pid;
    struct seen seen[SEEN_MOST];
    size_t seen_count;
    unsigned reports, lines;
    bool exit_known;
    struct seen *first;
    /* (image, result, group) -> seen: a repeated failure costs a look-up. Each key has one place, where the
     * last of those that share it is: plugins may come and go for ever. */
    struct {
        uint64_t key;
        struct seen *seen;
    } quick[QUICK];
} said;

/* ---- the family -------------------------------------------------------------------------------------------- */

static const struct result_row {
    int result;
    const char *text;
    int reason; /* where the bytes do not tell */
} result_rows[] = {
    /* cuda.h and driver_types.h, CUDA 13.0: the numbers are the same in both since CUDA 10.1. */
    {98, "invalid device function", KG106_NO_KERNEL},
    {200, "device kernel image is invalid", KG104_UNREADABLE},
    {209, "no kernel image is available", KG101_NO_CODE},
    {218, "a PTX JIT compilation failed", KG107_BAD_PTX},
    {221, "PTX JIT compiler library not found", KG105_NO_JIT},
    {222, "the provided PTX was compiled with an unsupported toolchain", KG103_PTX_TOO_NEW},
    {223, "PTX JIT compilation was disabled", KG105_NO_JIT},
    {300, "invalid device source", KG104_UNREADABLE},
    {500, "named symbol not found", KG106_NO_KERNEL},
};

static const struct result_row *row_of(int result)
{
    for (size_t i = 0; i < KGI_COUNT(result_rows); i++)
        if (result_rows[i].result == result)
            return &result_rows[i];
    return NULL;
}

bool kgi_failure_family(int result)
{
    return row_of(result) != NULL;
}

/* What a runtime says of a variable, or of a graph node's kernel, whose image it could not load:
 * "invalid device symbol", "invalid resource handle". They mean many things; here they count only
 * where the rules find that the image at hand cannot run. (cudart 11.8 cudaMemcpyToSymbol and cudart
 * 13.0 cudaGraphAddKernelNode answer 400, driver 580.) */
static bool may_be_family(const struct kgi_call *call)
{
    return call->runtime && (call->result == 13 || call->result == 400);
}

static int reason_of(const struct kgi_verdict *verdict, bool judged, int result, bool unreadable)
{
    const struct result_row *row = row_of(result);

    /* What could be read of a broken image says nothing about the rest of it. */
    if (unreadable && (result == 200 || result == 300))
        return KG104_UNREADABLE;
    /* The bytes decide where they can: an -rdc program without a fitting image answers 500, PTX text
     * for a higher GPU 218 (both seen on driver 580). */
    if (result != 222 && result != 221 && result != 223 && verdict->reason >= KG101_NO_CODE &&
        verdict->reason <= KG109_CPU_ONLY)
        return verdict->reason;
    /* The driver saw a fitting image that the rules see too, and missed something in it. Where the GPU is
     * not known the rules saw nothing. */
    return result == 209 && judged ? KG104_UNREADABLE : row ? row->reason : KG101_NO_CODE;
}

bool kgi_loads_eagerly(bool unless_told)
{
    const char *loading = getenv("CUDA_MODULE_LOADING");

    if (!loading)
        return unless_told;
    return strcmp(loading, "EAGER") == 0 || (unless_told && strcmp(loading, "LAZY") != 0);
}

/* ---- counting ----------------------------------------------------------------------------------------------- */

static void at_exit(int status, void *context);

/* With the lock held. A forked child starts with a clean slate: its failures are its own news. */
static void own_state(void)
{
    int pid = getpid();

    if (said.pid == pid)
        return;
    if (said.pid) {
        said.seen_count = 0;
        said.reports = said.lines = 0;
        said.first = NULL;
        memset(said.quick, 0, sizeof said.quick);
    }
    said.pid = pid;
}

/* With the lock held. */
static struct seen *seen_of(const char *library, int reason, int group)
{
    struct seen *s;

    for (size_t i = 0; i < said.seen_count; i++) {
        s = &said.seen[i];
        if (s->library == library && s->reason == reason && s->group == group)
            return s;
    }
    if (said.seen_count == SEEN_MOST)
        return NULL;
    s = &said.seen[said.seen_count++];
    *s = (struct seen){.library = library, .reason = reason, .group = group};
    return s;
}

enum { GROUP_UNUSED, GROUP_LOAD, GROUP_QUERY, GROUP_USE, GROUP_MODULE };

static int group_of(const struct kgi_call *call)
{
    if (call->unused)
        return GROUP_UNUSED;
    return call->use == KGI_USE_LOAD ? GROUP_LOAD
           : call->use == KGI_USE_QUERY ? GROUP_QUERY
                                        : GROUP_USE;
}

static uint64_t quick_key(const struct kgi_call *call, const struct kgi_image *image)
{
    uint64_t k = (uintptr_t)image ^ (uint64_t)image->age << 48;

    return (k ^ (uint64_t)call->result << 52 ^ (uint64_t)group_of(call) << 61) | 1;
}

static size_t quick_place(uint64_t key)
{
    return (size_t)(key * 0x9e3779b97f4a7c15u >> 32) % QUICK;
}

/* From now on the text of this thread's error names who caused it; not for what a program asks that
 * expects a failure, nor for an image nobody has used yet. */
static void name_in_text(const struct kgi_call *call, const struct kgi_kernel *kernel, bool query)
{
    if (!call->unused)
        kgi_error_caused(call->result, query ? NULL : kernel);
}

/* Whether this image failed in this way before; then it is only counted. */
static bool seen_quickly(const struct kgi_call *call, const struct kgi_kernel *kernel)
{
    struct seen *s = NULL;
    uint64_t key;

    if (!kernel->image)
        return false;
    key = quick_key(call, kernel->image);
    kgi_lock(&said.lock);
    own_state();
    if (said.quick[quick_place(key)].key == key)
        s = said.quick[quick_place(key)].seen;
    kgi_unlock(&said.lock);
    if (!s)
        return false;
    atomic_fetch_add_explicit(&s->count, 1, memory_order_relaxed);
    kgi_last_again(s->library, s->reason);
    /* What was looked up and is not there may be a probe: its words, like its report, are the first's. */
    if (call->use == KGI_USE_LAUNCH || call->result != 500)
        name_in_text(call, kernel, call->use == KGI_USE_QUERY);
    return true;
}

/* Counts one more of (library, reason, group); its record when it is the first and is to be reported,
 * else NULL. */
static struct seen *news_of(const struct kgi_call *call, const struct kgi_kernel *kernel,
                    const struct kgi_diagnosis *d)
{
    const char *library = d->library ? d->library : d->built_by;
    struct seen *s;
    bool news = false, arm = false;

    kgi_lock(&said.lock);
    own_state();
    s = seen_of(library, d->reason, group_of(call));
    if (s) {
        news = atomic_fetch_add_explicit(&s->count, 1, memory_order_relaxed) == 0;
        /* An image built in memory is another one each time. */
        if (kernel->image && kernel->image->lasting) {
            uint64_t key = quick_key(call, kernel->image);

            said.quick[quick_place(key)].key = key;
            said.quick[quick_place(key)].seen = s;
        }
        if (!said.first && group_of(call) != GROUP_QUERY && group_of(call) != GROUP_UNUSED)
            said.first = s;
    }
    if (news && ++said.reports > REPORTS_MOST)
        news = false;
    arm = !said.exit_known;
    said.exit_known = true;
    kgi_unlock(&said.lock);
    if (arm && on_exit)
        on_exit(at_exit, NULL);
    return news ? s : NULL;
}

/* ---- diagnosing ----------------------------------------------------------------------------------------------- */

struct holder {
    const char *kernel;
};

static int is_kernel(const char *mangled, int registers, void *context)
{
    (void)registers;
    return strcmp(mangled, ((struct holder *)context)->kernel) == 0;
}

/* "Named symbol not found" is an everyday answer to a program that probes, unless the image does hold
 * the kernel, for another GPU than this one. */
static bool is_probe(const struct kgi_call *call, const struct kgi_kernel *kernel)
{
    struct holder h = {kernel->name};

    return call->result == 500 && call->use != KGI_USE_LAUNCH &&
           (!kernel->name || kgi_image_kernels(kernel->image, -1, is_kernel, &h) <= 0);
}

/* NCCL asks for the attributes of each of its kernels when it starts, and goes without those that have no
 * code here (github.com/NVIDIA/nccl, src/enqueue.cc, ncclInitKernelsForDevice): on every GPU some are for
 * others alone. With its static runtime that is a look-up like any other. Were it NCCL as a whole that
 * lacks code, the reason would be another one. */
static bool is_nccl_probe(const struct kgi_call *call, const char *kernel, int reason)
{
    return reason == KG102_ARCH_SPECIFIC && call->use == KGI_USE_FIND && kernel &&
           strstr(kernel, "nccl") && strstr(kernel, "DevKernel_");
}

static void describe_image(struct kgi_diagnosis *d, struct kgi_image *image)
{
    kgi_image_read(image);
    kgi_image_inspect(image);
    kgi_image_locate(image);
    d->library = image->library;
    d->built_by = image->built_by;
    d->place = image->place;
    d->codes = image->codes;
    d->code_count = image->count;
    d->unreadable = image->unreadable;
    d->broken = image->broken;
    d->log = image->log;
}

/* The innermost object on the stack that brought an image this GPU cannot run. It means reading
 * whole libraries, so not for ever: a program that fails so often has been told. */
static struct kgi_image *guilty_on_stack(const struct kgi_host *host)
{
    static _Atomic unsigned searches;
    const size_t room = 24;
    struct kgi_frame *frames = kgi_pages_get(room * sizeof *frames);
    struct kgi_image *image = NULL;
    bool search = frames && atomic_fetch_add(&searches, 1) < SEARCHES_MOST;
    size_t n = search ? kgi_stack(frames, room, false) : 0;

    for (size_t i = 0; i < n && !image; i++)
        if (i == 0 || !kgi_object_same(&frames[i].object, &frames[i - 1].object))
            image = kgi_audit_guilty(&frames[i].object, host);
    kgi_pages_put(frames, room * sizeof *frames);
    return image;
}

/* KGUARD_ON_ERROR=abort: the program's own handler first, as abort() would, then the signal's own
 * way. (abort() itself, in this library, is where libunwind's complaints end.) */
static void die(void)
{
    syscall(SYS_tgkill, getpid(), kgi_thread_id(), SIGABRT);
    signal(SIGABRT, SIG_DFL);
    syscall(SYS_tgkill, getpid(), kgi_thread_id(), SIGABRT);
}

/* The image a call without a known one is about: one that the object of its argument cannot run, else
 * one of the objects on the stack. */
static struct kgi_image *guilty_image(const struct kgi_call *call, const struct kgi_host *host)
{
    struct kgi_image *image = NULL;
    struct kgi_object object;

    if (call->about && kgi_object_at(call->about, &object))
        image = kgi_audit_guilty(&object, host);
    if (!image && !may_be_family(call) && call->use != KGI_USE_LOAD)
        image = guilty_on_stack(host);
    return image;
}

static void diagnose(const struct kgi_call *call, struct kgi_kernel *kernel)
{
    struct kgi_diagnosis d = {.event = KGI_EVENT_FAILURE, .ordinal = -1};
    const struct result_row *row = row_of(call->result);
    struct kgi_call asked;
    struct seen *news;

    kgi_host_current(&d.host, &d.ordinal);
    if (!kernel->image && call->result != 500)
        kernel->image = guilty_image(call, &d.host);
    if (!kernel->image && (may_be_family(call) || call->result == 500))
        return;
    if (kernel->image)
        describe_image(&d, kernel->image);
    if (d.host.gpu.number)
        kgi_judge(d.codes, d.code_count, &d.host, &d.verdict);
    if (may_be_family(call) && d.verdict.answer != KGI_NONE)
        return;
    d.reason = reason_of(&d.verdict, d.host.gpu.number != 0, call->result, d.unreadable);
    if (is_nccl_probe(call, kernel->name, d.reason)) {
        if (!kgi_log_enabled(KGI_INFO))
            return;
        asked = *call;
        asked.use = KGI_USE_QUERY;
        call = &asked;
    }
    d.query = call->use == KGI_USE_QUERY || (kernel->image && is_probe(call, kernel));
    d.not_used_yet = call->unused;
    d.kernel = kernel->name;
    d.api = call->api;
    d.result = call->result;
    d.result_text = row ? row->text : NULL;
    news = news_of(call, kernel, &d);
    if (news) {
        kgi_tell_failure(&d, kernel);
        kernel->name = news->kernel = d.kernel; /* the stack may have told it */
    } else {
        kgi_last_again(d.library ? d.library : d.built_by, d.reason);
    }
    name_in_text(call, kernel, d.query);
    if (kgi_options()->abort_on_error && !d.query && !d.not_used_yet)
        die();
}

void kgi_failure(const struct kgi_call *call, const struct kgi_kernel *known)
{
    struct kgi_kernel kernel = *known;
    int saved = errno;

    if (kgi_error_is_consequence(call->result))
        kgi_failure_follows(call->api, call->result);
    if ((kgi_failure_family(call->result) || may_be_family(call)) && kgi_log_enabled(KGI_ERROR) &&
        !seen_quickly(call, &kernel))
        diagnose(call, &kernel);
    errno = saved;
}

void kgi_failure_on_stack(void)
{
    /* The API is not known: the runtime inside the program is out of sight. */
    struct kgi_call call = {.result = 209, .use = KGI_USE_FIND, .unused = kgi_loads_eagerly(true)};
    struct kgi_kernel kernel = {0};
    struct kgi_host host;
    int ordinal, saved = errno;

    if (kgi_log_enabled(KGI_ERROR) && kgi_host_current(&host, &ordinal)) {
        kernel.image = guilty_on_stack(&host);
        if (kernel.image && !seen_quickly(&call, &kernel))
            diagnose(&call, &kernel);
    }
    errno = saved;
}

/* ---- later --------------------------------------------------------------------------------------------------------- */

static const char *path_of(const struct kgi_failed *failed)
{
    return failed->library ? failed->library : failed->built_by;
}

static const char *file_of(const struct kgi_failed *failed)
{
    const char *path = path_of(failed), *slash = path ? strrchr(path, '/') : NULL;

    return slash ? slash + 1 : path ? path : "an unknown library";
}

static void follow_up(const struct kgi_failed *failed, const char *format, const char *by)
{
    const struct kgi_call *call = &failed->call;
    struct kgi_diagnosis d = {.event = KGI_EVENT_FOLLOWUP,
                              .reason = KG204_UNCHECKED,
                              .kernel = failed->kernel,
                              .library = failed->library,
                              .api = call->api,
                              .result = call->result,
                              .ordinal = -1};
    KGI_TEXT(message, 768);

    kgi_text_add(&message, "%s = %d for ", call->api ? call->api : "launch", call->result);
    if (failed->kernel)
        kgi_report_kernel(&message, failed->kernel);
    else
        kgi_text_add(&message, "a kernel");
    kgi_text_add(&message, " of ");
    kgi_text_add_safe(&message, file_of(failed));
    kgi_text_add(&message, "%s%s", format, by ? by : "");
    d.message = message.at;
    kgi_tell(&d);
}

/* The first failure that was not checked. */
static struct kgi_failed unchecked;
static _Atomic int unchecked_state; /* 1 while being written, 2 there, 3 told */

static void remember_unchecked(const struct kgi_failed *failed)
{
    int none = 0;

    if (!atomic_compare_exchange_strong(&unchecked_state, &none, 1))
        return;
    unchecked = *failed;
    atomic_store(&unchecked_state, 2);
}

void kgi_failure_follows(const char *api, int result)
{
    int there = 2, saved = errno;
    struct kgi_diagnosis d = {.event = KGI_EVENT_FOLLOWUP, .reason = KG204_UNCHECKED, .ordinal = -1};
    KGI_TEXT(message, 768);

    if (!kgi_log_enabled(KGI_WARN) ||
        !atomic_compare_exchange_strong(&unchecked_state, &there, 3))
        return;
    d.kernel = unchecked.kernel;
    d.api = api;
    d.result = result;
    if (api)
        kgi_text_add(&message, "%s = %d", api, result);
    else
        kgi_text_add(&message, "error %d", result);
    kgi_text_add(&message, ": likely a consequence of %s = %d for ",
                 unchecked.call.api ? unchecked.call.api : "a launch", unchecked.call.result);
    if (unchecked.kernel)
        kgi_report_kernel(&message, unchecked.kernel);
    else
        kgi_text_add(&message, "a kernel");
    kgi_text_add(&message, " of ");
    kgi_text_add_safe(&message, file_of(&unchecked));
    kgi_text_add(&message, ", which was not checked: that kernel never ran");
    d.message = message.at;
    kgi_tell(&d);
    errno = saved;
}

void kgi_failure_unchecked(const struct kgi_failed *failed, bool at_exit_now)
{
    int saved = errno;
    struct seen *s;
    bool tell;

    kgi_lock(&said.lock);
    own_state();
    s = seen_of(path_of(failed), KG204_UNCHECKED, GROUP_USE);
    tell = s && !s->unchecked_told && kgi_log_enabled(KGI_WARN);
    if (s)
        s->unchecked_told = true;
    kgi_unlock(&said.lock);
    kgi_error_unchecked(failed);
    remember_unchecked(failed);
    if (tell)
        follow_up(failed,
                  at_exit_now ? ": the process ends and its thread never asked for the error; what "
                                "the kernel should have written is missing"
                              : ": its thread launched on without asking for the error; what the "
                                "kernel should have written is missing",
                  NULL);
    errno = saved;
}

void kgi_failure_surfaced(const char *api, const struct kgi_failed *earlier)
{
    int saved = errno;

    if (kgi_log_enabled(KGI_WARN))
        follow_up(earlier,
                  ": this earlier failure, not a launch since, is the error now returned by ", api);
    errno = saved;
}

/* ---- images that load ---------------------------------------------------------------------------------------------- */

static bool line_is_news(const struct kgi_diagnosis *d)
{
    const char *library = d->library ? d->library : d->built_by;
    struct seen *s;
    bool news = false;

    kgi_lock(&said.lock);
    own_state();
    s = seen_of(library, d->reason, GROUP_MODULE + (int)d->host.gpu.number);
    if (s)
        news = atomic_fetch_add_explicit(&s->count, 1, memory_order_relaxed) == 0;
    if (news && d->reason && ++said.lines > LINES_MOST)
        news = false;
    kgi_unlock(&said.lock);
    return news;
}

static void judge_module(struct kgi_image *image, const struct kgi_host *host, int ordinal,
                         bool coming)
{
    struct kgi_diagnosis d = {.event = KGI_EVENT_MODULE, .host = *host, .ordinal = ordinal};
    bool info = kgi_log_enabled(KGI_INFO);

    kgi_judge(image->codes, image->count, host, &d.verdict);
    if (d.verdict.reason) {
        /* Stubs hold no kernels: only the payloads tell. A fitting image needs no such look. */
        kgi_image_inspect(image);
        kgi_judge(image->codes, image->count, host, &d.verdict);
    }
    if (d.verdict.answer == KGI_NO_CUDA || (!d.verdict.reason && !info) ||
        (coming && d.verdict.reason != KG201_WILL_JIT))
        return;
    kgi_image_locate(image);
    describe_image(&d, image);
    d.reason = d.verdict.reason;
    if (line_is_news(&d)) {
        kgi_tell(&d);
        kgi_jit_cannot(&d);
    }
}

void kgi_module(struct kgi_image *image, bool coming)
{
    struct kgi_host host;
    int ordinal, saved = errno;

    if (image->announced || !kgi_log_enabled(KGI_WARN) || !kgi_machine() ||
        (!coming && atomic_exchange(&image->announced, true)))
        return;
    kgi_image_read(image);
    for (size_t i = 0; kgi_host_at(i, &host, &ordinal); i++)
        judge_module(image, &host, ordinal, coming);
    errno = saved;
}

/* ---- the end --------------------------------------------------------------------------------------------------------- */

static void unchecked_at_exit(const struct kgi_failed *failed)
{
    if (failed->call.use == KGI_USE_LAUNCH)
        kgi_failure_unchecked(failed, true);
}

static uint64_t failures_in_all(void)
{
    uint64_t all = 0;

    for (size_t i = 0; i < said.seen_count; i++)
        if (said.seen[i].group < GROUP_MODULE && said.seen[i].reason != KG204_UNCHECKED)
            all += atomic_load_explicit(&said.seen[i].count, memory_order_relaxed);
    return all;
}

/* The first cause again, where it is worth the line: the process ends badly, or failed more often
 * than was printed. */
static void at_exit(int status, void *context)
{
    struct seen *first = said.first;
    uint64_t all = failures_in_all();
    struct kgi_diagnosis d = {.event = KGI_EVENT_SUMMARY, .ordinal = -1, .count = all};
    const char *slash;
    KGI_TEXT(message, 768);

    (void)context;
    if (said.pid != getpid())
        return;
    kgi_thread_each_open(unchecked_at_exit);
    if (!first || !kgi_log_enabled(KGI_ERROR) || (status == 0 && all <= said.reports))
        return;
    slash = first->library ? strrchr(first->library, '/') : NULL;
    d.reason = first->reason;
    d.kernel = first->kernel;
    d.library = first->library;
    kgi_text_add(&message, "first cause: %s", first->kernel ? "kernel " : "");
    if (first->kernel) {
        kgi_report_kernel(&message, first->kernel);
        kgi_text_add(&message, " of ");
    }
    kgi_text_add_safe(&message, slash           ? slash + 1
                                : first->library ? first->library
                                                 : "an unknown library");
    kgi_text_add(&message, ": %s", kgi_reason_title(first->reason));
    d.message = message.at;
    kgi_tell(&d);
}
