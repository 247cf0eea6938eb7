/*
 * Who compiles.
 *
 * The driver's own JIT, by cuLink*: it is there wherever the driver is, knows the GPU, and gives
 * the cubin back, which cuModuleLoad* does not. It compiles for linking, where cuModuleLoad*
 * compiles a whole program, so a variable or kernel could be lost on the way: a cubin in which any
 * is missing that the PTX defines is not taken.
 *
 * Or a ptxas that the user names, in a child: it may crash, hang, or write without end. The child
 * is made by the raw system call, since fork() would run the program's handlers; with no signal at
 * its end, so that the program's SIGCHLD handler hears nothing and its wait() does not find it.
 * exec() would give it that signal, so the ptxas is a child of the child, which waits for it and
 * calls nothing of the program's. Source and cubin are files in memory, which vanish with their
 * descriptors.
 */
#include "jit.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef MFD_CLOEXEC
#define MFD_CLOEXEC 1u
#endif

static int64_t now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* ---- whether everything is there
 * ------------------------------------------------------------------- */

/* The names of a cubin's symbols. */
static bool collect(struct kgi_bytes cubin, struct kgi_words *names)
{
    struct kgi_bytes symbols, strings;
    Elf64_Sym symbol;
    size_t count;

    if (kgi_elf_symbols(cubin, SHT_SYMTAB, &symbols, &strings))
        return false;
    count = symbols.size / sizeof symbol;
    if (!kgi_words_make(names, count))
        return false;
    for (size_t i = 0; i < count; i++) {
        const char *name;

        if (!KGI_GET(symbols, i * sizeof symbol, &symbol) || symbol.st_shndx == SHN_UNDEF)
            continue;
        name = kgi_bytes_string(strings, symbol.st_name);
        if (name && *name)
            kgi_words_add(names, name, strlen(name));
    }
    return true;
}

static int is_missing(const char *name, int registers, void *context)
{
    (void)registers;
    return !kgi_words_has(context, name, strlen(name));
}

static bool has_all(struct kgi_bytes cubin, const struct kgi_code *code)
{
    struct kgi_words names = {NULL, 0};
    void *scratch = NULL;
    struct kgi_bytes text = kgi_source_text(code, &scratch);
    struct kgi_ptx ptx;
    bool all = text.at && collect(cubin, &names) &&
               kgi_ptx_kernels(text, &ptx, is_missing, &names) == 0 &&
               kgi_ptx_variables(text, is_missing, &names) == 0;

    kgi_words_free(&names);
    kgi_pages_put(scratch, code->size);
    return all;
}

/* Takes what a compiler made, when it is what was asked for. */
static void accept(struct kgi_compiled *out, const struct kgi_source *s)
{
    struct kgi_cubin cubin;
    const char *wrong = NULL;

    if (kgi_cubin_head(out->cubin, &cubin) || cubin.traits & KGI_T_RELOCATABLE)
        wrong = "what came out is no executable cubin";
    else if (cubin.target.number != s->target.number)
        wrong = "what came out is for another GPU";
    else if (!has_all(out->cubin, &s->code))
        wrong = "kernels or variables of the PTX are missing in what came out";
    if (!wrong)
        return;
    snprintf(out->log, sizeof out->log, "%s", wrong);
    out->failed = true;
    kgi_pages_put((void *)(uintptr_t)out->cubin.at, out->room);
    out->cubin = (struct kgi_bytes){NULL, 0};
}

/* ---- the driver's JIT
 * ------------------------------------------------------------------------------- */

/* From libcuda's own table: none of this must pass our doors. */
struct linker {
    CUresult (*create)(unsigned, CUjit_option *, void **, CUlinkState *);
    CUresult (*add)(CUlinkState, CUjitInputType, void *, size_t, const char *, unsigned,
                    CUjit_option *, void **);
    CUresult (*complete)(CUlinkState, void **, size_t *);
    CUresult (*destroy)(CUlinkState);
};

static bool find_linker(struct linker *l)
{
    struct kgi_object lib;

    if (!kgi_object_named("libcuda.so", &lib))
        return false;
    l->create = kgi_object_symbol(&lib, "cuLinkCreate_v2");
    l->add = kgi_object_symbol(&lib, "cuLinkAddData_v2");
    l->complete = kgi_object_symbol(&lib, "cuLinkComplete");
    l->destroy = kgi_object_symbol(&lib, "cuLinkDestroy");
    return l->create && l->add && l->complete && l->destroy;
}

static void keep_cubin(struct kgi_compiled *out, const void *at, size_t size)
{
    void *copy = kgi_pages_get(size);

    if (!copy)
        return;
    memcpy(copy, at, size);
    out->cubin = (struct kgi_bytes){copy, size};
    out->room = size;
}

static CUresult link_one(const struct linker *l, CUlinkState state, const struct kgi_source *s,
                         struct kgi_bytes input, struct kgi_compiled *out)
{
    CUjitInputType type =
        kgi_image_form(s->image) == KGI_FORM_PTX ? CU_JIT_INPUT_PTX : CU_JIT_INPUT_FATBINARY;
    size_t size = 0;
    void *cubin = NULL;
    CUresult result =
        l->add(state, type, (void *)(uintptr_t)input.at, input.size, "kguard", 0, NULL, NULL);

    if (!result)
        result = l->complete(state, &cubin, &size);
    if (!result && cubin)
        keep_cubin(out, cubin, size);
    return result;
}

/* Whether a result is the input's fault (recorded: the link answers of tests/recorded). Others, no memory or
 * a context that an earlier kernel broke, may not come again. */
static bool is_about_input(int result)
{
    switch (result) {
    case CUDA_ERROR_INVALID_IMAGE:
    case CUDA_ERROR_NO_BINARY_FOR_GPU:
    case CUDA_ERROR_INVALID_PTX:
    case CUDA_ERROR_UNSUPPORTED_PTX_VERSION:
    case CUDA_ERROR_INVALID_SOURCE:
        return true;
    default:
        return false;
    }
}

/* Threads that a large text is worth: a third of the time on eight, no less on more (H200, driver 580). The
 * same code comes out, but that what several kernels call (the slow path of a square root) stays a function. */
#define SPLIT_WORTH ((uint64_t)64 << 10)
#define SPLIT_MOST 8

static unsigned threads_for(const struct kgi_source *s)
{
    uint64_t cpus[128] = {0}; /* this thread may run on */
    unsigned count = 0;

    if (s->code.size < SPLIT_WORTH ||
        syscall(SYS_sched_getaffinity, 0, sizeof cpus, cpus) <= 0)
        return 1;
    for (size_t i = 0; i < KGI_COUNT(cpus); i++)
        count += (unsigned)__builtin_popcountll(cpus[i]);
    return count < SPLIT_MOST ? count : SPLIT_MOST;
}

/* What a link is made with; the driver writes into the values for as long as the link lasts. */
struct link_options {
    CUjit_option ids[KGI_JIT_SETTINGS + 3];
    void *values[KGI_JIT_SETTINGS + 3];
    unsigned count;
};

static void add_option(struct link_options *o, int id, uintptr_t value)
{
    o->ids[o->count] = (CUjit_option)id;
    o->values[o->count] = (void *)value;
    o->count++;
}

static void set_options(struct link_options *o, const struct kgi_source *s, unsigned threads,
                        struct kgi_compiled *out)
{
    o->count = 0;
    add_option(o, CU_JIT_ERROR_LOG_BUFFER, (uintptr_t)out->log);
    add_option(o, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES, sizeof out->log);
    for (unsigned i = 0; i < s->settings.count; i++)
        add_option(o, s->settings.id[i], s->settings.value[i]);
    if (threads > 1)
        add_option(o, CU_JIT_SPLIT_COMPILE, threads);
}

void kgi_compile_by_driver(const struct kgi_source *s, struct kgi_compiled *out)
{
    struct kgi_bytes input = kgi_source_alone(s);
    struct linker l = {NULL, NULL, NULL, NULL};
    struct link_options options;
    unsigned threads = threads_for(s);
    CUlinkState state = NULL;
    int64_t start = now_ms();

    out->result = CUDA_ERROR_UNKNOWN;
    if (input.at && find_linker(&l)) {
        set_options(&options, s, threads, out);
        out->result = (int)l.create(options.count, options.ids, options.values, &state);
        if (out->result == CUDA_ERROR_INVALID_VALUE && threads > 1) { /* a driver before CUDA 13 */
            set_options(&options, s, 1, out);
            out->result = (int)l.create(options.count, options.ids, options.values, &state);
        }
    }
    if (!out->result) {
        out->result = (int)link_one(&l, state, s, input, out);
        l.destroy(state);
        out->failed = is_about_input(out->result);
    }
    out->log[sizeof out->log - 1] = 0;
    out->cost_ms = (uint32_t)(now_ms() - start);
    if (out->cubin.at)
        accept(out, s);
    kgi_pages_put((void *)(uintptr_t)input.at, input.size);
}

/* ---- a ptxas in a child
 * ------------------------------------------------------------------------------ */

#define CUBIN_MOST ((uint64_t)256 << 20)
#define WORDS_MOST 24

/* wait4(2): children without a signal at their end; all children. */
#define WITHOUT_SIGNAL 0x80000000u
#define ALL_CHILDREN 0x40000000u
#define NOT_STARTED 127

struct job {
    char *words[WORDS_MOST];
    size_t count;
    /* Files in memory. said: what it wrote to its standard output and error; ended: its wait
     * status. */
    int in, out, said, ended;
    int timeout_ms;
    struct kgi_bytes strange; /* of the stored options, the word that is not for ptxas */
    char text[1024]; /* the words' memory */
    size_t used;
};

static int memory_file(void)
{
    return kgi_fd_above_stdio((int)syscall(SYS_memfd_create, "kguard", MFD_CLOEXEC));
}

static bool write_all(int fd, struct kgi_bytes b)
{
    while (b.size) {
        long n = syscall(SYS_write, fd, b.at, b.size);

        if (n <= 0 && !(n < 0 && errno == EINTR))
            return false;
        if (n > 0)
            b = (struct kgi_bytes){b.at + n, b.size - (size_t)n};
    }
    return true;
}

static size_t read_at_start(int fd, void *to, size_t size)
{
    size_t have = 0;

    while (have < size) {
        long n = syscall(SYS_pread64, fd, (char *)to + have, size - have, (long)have);

        if (n > 0)
            have += (size_t)n;
        else if (n == 0 || errno != EINTR)
            break;
    }
    return have;
}

static bool add_word(struct job *j, const char *word, size_t length)
{
    char *copy = j->text + j->used;

    if (j->count + 1 >= WORDS_MOST || length + 1 > sizeof j->text - j->used)
        return false;
    memcpy(copy, word, length);
    copy[length] = 0;
    j->used += length + 1;
    j->words[j->count++] = copy;
    return true;
}

static bool add_number(struct job *j, const char *before, unsigned n)
{
    char word[48];

    return add_word(j, word, (size_t)snprintf(word, sizeof word, "%s%u", before, n));
}

/* Options come out of a library, as its build gave them to ptxas (-Xptxas; xformers': "-v -O2
 * -allow-expensive-optimizations=true"): those of ptxas --help that name no file, and one that it does not list,
 * which cuSOLVER and cuSPARSE of CUDA 12.4 to 13.0 have. */
static bool is_harmless(const char *word, size_t length)
{
    bool number = true; /* of an option before it */
    static const char *const known[] = {
        "-g", "--device-debug",
        "--dont-merge-basicblocks", "-no-bb-merge",
        "--return-at-end", "-ret-end",
        "-lineinfo", "--generate-line-info",
        "-maxrregcount", "--maxrregcount",
        "-O", "--opt-level",
        "-fmad", "--fmad",
        "-allow-expensive-optimizations", "--allow-expensive-optimizations",
        "-dlcm", "--def-load-cache",
        "-dscm", "--def-store-cache",
        "-flcm", "--force-load-cache",
        "-fscm", "--force-store-cache",
        "-regUsageLevel", "--register-usage-level",
        "-uumn", "--uumn",
        "-func-maxrregcount", "--device-function-maxrregcount",
        "-maxntid", "--maxntid",
        "-minnctapersm", "--minnctapersm",
        "-override-directive-values", "--override-directive-values",
        "-Ofc", "--Ofast-compile",
        "-split-compile", "--split-compile",
        "-sp-bounds-check", "--sp-bounds-check",
        "-device-stack-protector", "--device-stack-protector",
        "-make-errors-visible-at-exit", "--make-errors-visible-at-exit",
        "-legacy-bar-warp-wide-behavior", "--legacy-bar-warp-wide-behavior",
        "-opt-fp-atomics", "--optimize-float-atomics",
        "-disable-optimizer-consts", "--disable-optimizer-constants",
        "-v", "--verbose",
        "-w", "--disable-warnings",
        "-warn-double-usage", "--warn-on-double-precision-use",
        "-warn-lmem-usage", "--warn-on-local-memory-usage",
        "-warn-spills", "--warn-on-spills",
        "-suppress-stack-size-warning", "--suppress-stack-size-warning",
        "-suppress-double-demote-warning", "--suppress-double-demote-warning",
        "-suppress-async-bulk-multicast-advisory-warning", "--suppress-async-bulk-multicast-advisory-warning",
        "-suppress-sparse-mma-advisory-info", "--suppress-sparse-mma-advisory-info",
        /* values, where they are words of their own */
        "true", "false", "ca", "cg", "cs", "cv", "min", "mid", "max",
    };
    size_t name = length;

    for (size_t i = 0; i < length; i++) {
        bool digit = word[i] >= '0' && word[i] <= '9';

        number &= digit;
        if (word[i] == '=' || (i >= 2 && digit))
            name = i < name ? i : name;
    }
    for (size_t i = 0; i < KGI_COUNT(known); i++)
        if (strlen(known[i]) == name && memcmp(known[i], word, name) == 0)
            return true;
    return number;
}

static bool add_stored(struct job *j, struct kgi_bytes options)
{
    const char *at = (const char *)options.at, *end = at + options.size;

    while (at < end && *at) {
        size_t length = 0;

        while (at < end && *at == ' ')
            at++;
        while (at + length < end && at[length] && at[length] != ' ')
            length++;
        if (length && !is_harmless(at, length))
            j->strange = (struct kgi_bytes){(const uint8_t *)at, length};
        if (length && (j->strange.at || !add_word(j, at, length)))
            return false;
        at += length;
    }
    return true;
}

static bool add_setting(struct job *j, int id, unsigned value)
{
    switch (id) {
    case 0:
        return add_number(j, "-maxrregcount=", value);
    case 7:
        return add_number(j, "-O", value < 3 ? value : 3);
    case 13:
        return !value || add_word(j, "-lineinfo", 9);
    case 14: /* CUjit_cacheMode: none, cg, ca */
        return !value || (value < 3 && add_word(j, value == 1 ? "-dlcm=cg" : "-dlcm=ca", 8));
    default:
        return false;
    }
}

static bool add_words(struct job *j, const char *ptxas, const struct kgi_source *s)
{
    char target[24], name[24];

    snprintf(name, sizeof name, "-arch=%s",
             kgi_target_name(s->target, "sm_", target, sizeof target));
    if (!add_word(j, ptxas, strlen(ptxas)) || !add_word(j, name, strlen(name)) ||
        !add_word(j, "-m64", 4) || !add_stored(j, s->code.options))
        return false;
    for (unsigned i = 0; i < s->settings.count; i++)
        if (!add_setting(j, s->settings.id[i], s->settings.value[i]))
            return false;
    return add_number(j, "/proc/self/fd/", (unsigned)j->in) && add_word(j, "-o", 2) &&
           add_number(j, "/proc/self/fd/", (unsigned)j->out);
}

static void limit(int what, uint64_t most)
{
    uint64_t both[2] = {most, most};

    syscall(SYS_prlimit64, 0, what, both, NULL);
}

/* In the child: system calls alone. */
static __attribute__((noreturn)) void become(const struct job *j)
{
    static char *const environment[] = {"PATH=/usr/bin:/bin", NULL};
    uint64_t none = 0;
    long null = syscall(SYS_openat, AT_FDCWD, "/dev/null", O_RDONLY);

    syscall(SYS_prctl, 1 /* PR_SET_PDEATHSIG */, SIGKILL, 0, 0, 0);
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, &none, NULL, sizeof none);
    syscall(SYS_dup3, null, 0, 0);
    syscall(SYS_dup3, j->said, 1, 0);
    syscall(SYS_dup3, j->said, 2, 0);
#ifdef SYS_close_range
    syscall(SYS_close_range, 3, ~0u, 4 /* CLOSE_RANGE_CLOEXEC */);
#endif
    syscall(SYS_fcntl, j->in, F_SETFD, 0);
    syscall(SYS_fcntl, j->out, F_SETFD, 0);
    limit(RLIMIT_CORE, 0);
    limit(RLIMIT_CPU, (uint64_t)j->timeout_ms / 1000 + 1);
    limit(RLIMIT_FSIZE, CUBIN_MOST);
    syscall(SYS_execve, j->words[0], j->words, environment);
    for (;;)
        syscall(SYS_exit_group, NOT_STARTED);
}

/* In the child: waits for its own. Every signal is blocked: handlers are the program's. */
static void supervise(const void *context)
{
    const struct job *j = context;
    int status = NOT_STARTED << 8;
    long pid;

    pid = syscall(SYS_clone, 0, 0, 0, 0, 0);
    if (pid == 0)
        become(j);
    if (pid > 0)
        syscall(SYS_wait4, pid, &status, ALL_CHILDREN, NULL);
    syscall(SYS_write, j->ended, &status, sizeof status);
}

long kgi_child_start(void (*run)(const void *context), const void *context)
{
    uint64_t all = ~(uint64_t)0, before = 0;
    long pid;

    syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, &before, sizeof all);
    pid = syscall(SYS_clone, 0, 0, 0, 0, 0);
    if (pid == 0) {
        syscall(SYS_prctl, 1 /* PR_SET_PDEATHSIG */, SIGKILL, 0, 0, 0);
        run(context);
        for (;;)
            syscall(SYS_exit_group, 0);
    }
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, &before, NULL, sizeof before);
    return pid;
}

void kgi_child_kill(long pid)
{
    syscall(SYS_kill, pid, SIGKILL);
    while (syscall(SYS_wait4, pid, NULL, WITHOUT_SIGNAL, NULL) < 0 && errno == EINTR)
        ;
}

/* The ptxas' wait status; -1 when there was none, -2 when it took too long. */
static int run(const struct job *j)
{
    int64_t end = now_ms() + j->timeout_ms;
    struct timespec nap = {0, 1000000};
    int status = -1;
    long pid = kgi_child_start(supervise, j), got;

    if (pid < 0)
        return -1;
    while ((got = syscall(SYS_wait4, pid, &status, WNOHANG | WITHOUT_SIGNAL, NULL)) == 0 ||
           (got < 0 && errno == EINTR)) {
        if (now_ms() > end) {
            kgi_child_kill(pid);
            return -2;
        }
        syscall(SYS_nanosleep, &nap, NULL);
        if (nap.tv_nsec < 20000000)
            nap.tv_nsec += 1000000;
    }
    return read_at_start(j->ended, &status, sizeof status) == sizeof status ? status : -1;
}

static bool open_job(struct job *j, int timeout_ms)
{
    *j = (struct job){.in = memory_file(),
                      .out = memory_file(),
                      .said = memory_file(),
                      .ended = memory_file(),
                      .timeout_ms = timeout_ms};
    return j->in >= 0 && j->out >= 0 && j->said >= 0 && j->ended >= 0;
}

static void close_job(const struct job *j)
{
    kgi_close(j->in);
    kgi_close(j->out);
    kgi_close(j->said);
    kgi_close(j->ended);
}

static void read_cubin(const struct job *j, struct kgi_compiled *out)
{
    long size = syscall(SYS_lseek, j->out, 0, SEEK_END);
    void *at = size > 0 && (uint64_t)size < CUBIN_MOST ? kgi_pages_get((size_t)size) : NULL;

    if (!at)
        return;
    out->room = (size_t)size;
    out->cubin = (struct kgi_bytes){at, read_at_start(j->out, at, (size_t)size)};
}

static void explain(const struct job *j, int status, struct kgi_compiled *out)
{
    bool started = status >= 0 && !(WIFEXITED(status) && WEXITSTATUS(status) == NOT_STARTED);
    size_t n = 0;

    if (status == -2)
        snprintf(out->log, sizeof out->log, "it took too long and was ended");
    else if (!started)
        snprintf(out->log, sizeof out->log, "%s could not be started", j->words[0]);
    else if (WIFSIGNALED(status))
        snprintf(out->log, sizeof out->log, "it was ended by signal %d", WTERMSIG(status));
    else
        n = read_at_start(j->said, out->log, sizeof out->log - 1);
    while (n && out->log[n - 1] == '\n')
        n--;
    if (n)
        out->log[n] = 0;
    else if (!out->log[0])
        snprintf(out->log, sizeof out->log, "it made nothing and said nothing");
    out->failed = started || status == -2;
    /* That it ran out of memory is said in the same way. */
    out->refused = started && WIFEXITED(status) && WEXITSTATUS(status) && !strstr(out->log, "Memory allocation");
}

void kgi_compile_by_ptxas(const char *ptxas, const struct kgi_source *s, int timeout_ms,
                          struct kgi_compiled *out)
{
    struct job j;
    void *scratch = NULL;
    struct kgi_bytes text = kgi_source_text(&s->code, &scratch);
    const uint8_t *nul = text.at ? memchr(text.at, 0, text.size) : NULL;
    int64_t start = now_ms();
    int status = -1;

    if (nul) /* with it ptxas says "Unexpected EOF" */
        text.size = (size_t)(nul - text.at);
    out->result = CUDA_ERROR_INVALID_PTX;
    if (!open_job(&j, timeout_ms) || !text.at || !write_all(j.in, text)) {
        snprintf(out->log, sizeof out->log, "it was not asked: no memory or descriptors");
    } else if (!add_words(&j, ptxas, s)) {
        snprintf(out->log, sizeof out->log, "it was not asked: options that only the driver knows%s%.*s",
                 j.strange.size ? ": " : "",
                 (int)(j.strange.size < 200 ? j.strange.size : 200), (const char *)j.strange.at);
    } else {
        status = run(&j);
        if (status == 0)
            read_cubin(&j, out);
        if (!out->cubin.at)
            explain(&j, status, out);
    }
    close_job(&j);
    kgi_pages_put(scratch, s->code.size);
    out->cost_ms = (uint32_t)(now_ms() - start);
    if (status == 0 && out->cubin.at)
        accept(out, s);
    if (out->cubin.at)
        out->result = 0;
}

/* "Cuda compilation tools, release 13.0, V13.0.88" and "Build cuda_13.0.r13.0/compiler.36424714_0"
 */
static bool read_version(const char *said, struct kgi_compiler *out)
{
    const char *release = strstr(said, "release "), *build = strstr(said, "Build "), *full;
    unsigned major = 0, minor = 0;

    full = release ? strstr(release, ", V") : NULL;
    if (!full)
        return false;
    for (release += 8; *release >= '0' && *release <= '9'; release++)
        major = 10 * major + (unsigned)(*release - '0');
    for (release += *release == '.'; *release >= '0' && *release <= '9'; release++)
        minor = 10 * minor + (unsigned)(*release - '0');
    *out = (struct kgi_compiler){.kind = KGI_BY_PTXAS,
                                 .cuda_version = (int)(1000 * major + 10 * minor)};
    snprintf(out->build, sizeof out->build, "%.*s%s%.*s", (int)strcspn(full + 2, "\n "), full + 2,
             build ? " " : "", build ? (int)strcspn(build + 6, "\n ") : 0, build ? build + 6 : "");
    return major != 0;
}

bool kgi_ptxas_version(const char *ptxas, struct kgi_compiler *out)
{
    char said[1024];
    struct job j;
    bool known = false;

    if (open_job(&j, 10000) && add_word(&j, ptxas, strlen(ptxas)) && add_word(&j, "--version", 9) &&
        run(&j) == 0) {
        said[read_at_start(j.said, said, sizeof said - 1)] = 0;
        known = read_version(said, out);
    }
    close_job(&j);
    return known;
}
