/*
 * Floor 1: what every other room stands on. Only libc below; no CUDA, no policy.
 * Functions are listed under the file that defines them.
 */
#ifndef KGI_BASE_H
#define KGI_BASE_H

#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "bytes.h"

#define KGI_LIKELY(x) __builtin_expect(!!(x), 1)
#define KGI_UNLIKELY(x) __builtin_expect(!!(x), 0)
#define KGI_COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* ---- options.c: the one table of settings ----------------------------------------------------- */

enum kgi_level { KGI_OFF, KGI_ERROR, KGI_WARN, KGI_INFO, KGI_DEBUG };
enum kgi_jit { KGI_JIT_OFF, KGI_JIT_AUTO, KGI_JIT_FORCE };

struct kgi_options {
    bool off;              /* KGUARD=0, or a set-id process */
    enum kgi_level log;    /* KGUARD_LOG */
    bool json;             /* KGUARD_LOG_FORMAT=json */
    bool abort_on_error;   /* KGUARD_ON_ERROR=abort */
    bool error_text;       /* KGUARD_ERROR_TEXT=1 */
    char log_file[512];    /* KGUARD_LOG_FILE, %p and %h not yet expanded; "" = stderr */
    char record[512];      /* KGUARD_RECORD; "" = none */
    char target[16];       /* KGUARD_TARGET as given; "" = the device */
    enum kgi_jit jit;      /* KGUARD_JIT */
    char jit_only[512];    /* KGUARD_JIT_ONLY; "" = every library */
    char ptxas[512];       /* KGUARD_PTXAS; "" = none */
    char cache_dir[512];   /* KGUARD_CACHE_DIR or the default place, absolute; "" = there is none */
    char cache_ro[1024];   /* KGUARD_CACHE_RO; "" = none */
    uint64_t cache_max;    /* KGUARD_CACHE_MAX_SIZE in bytes; 0 = no bound */
};

/* The settings, read from the environment at the first call (any thread, also before any
 * constructor) and never again: a program may clear its environment later. Never NULL. A value
 * that cannot be understood is replaced by its default and listed by kgi_options_complaint(). */
const struct kgi_options *kgi_options(void);

/* The i-th complaint about a bad value ("KGUARD_LOG=loud: not one of off, ..."), or NULL. */
const char *kgi_options_complaint(size_t i);

/* One row of the table, for doctor, help and man pages. */
struct kgi_option_row {
    const char *name, *values, *fallback, *help;
};
extern const struct kgi_option_row kgi_option_rows[];
extern const size_t kgi_option_row_count;

/* ---- text.c: formatting into a fixed buffer --------------------------------------------------- */

/* A text being built; always NUL-ended; what does not fit is cut and `cut` set. */
struct kgi_text {
    char *at;
    size_t size, length;
    bool cut;
};

#define KGI_TEXT(name, capacity)                                                                   \
    char name##_buffer[capacity];                                                                  \
    struct kgi_text name = {name##_buffer, sizeof name##_buffer, 0, false};                        \
    name##_buffer[0] = 0

void kgi_text_add(struct kgi_text *t, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Adds bytes as the inside of a JSON string: quotes, backslashes, control characters and invalid
 * UTF-8 escaped. */
void kgi_text_add_json(struct kgi_text *t, const char *s);
/* Adds s for a terminal: control characters shown as \xNN, so that a name from a hostile file
 * cannot move the cursor. */
void kgi_text_add_safe(struct kgi_text *t, const char *s);

/* ---- log.c: the only place that writes output -------------------------------------------------- */

/* Writes text (one or more whole lines) with a single write() to KGUARD_LOG_FILE (opened, written
 * and closed here, O_APPEND|O_CLOEXEC, never a descriptor below 3) or to descriptor 2. Never
 * stdout. SIGPIPE and SIGXFSZ cannot reach the program; errno is kept; errors are ignored. */
void kgi_log_write(const char *text, size_t length);
/* Writes text likewise to KGUARD_RECORD, a file that must be there already: whoever reads it takes it away
 * when that is over. */
void kgi_log_record(const char *text, size_t length);
/* Formats one line "kguard[PID]: ..." and writes it when level is enabled and the format is text. */
void kgi_log(enum kgi_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));
bool kgi_log_enabled(enum kgi_level level);
/* Around a write of ours: SIGPIPE and SIGXFSZ are held back on this thread, and what the write raised
 * is taken out again. */
struct kgi_signals {
    uint64_t mask, pending; /* as they were before */
};
void kgi_signals_hold(struct kgi_signals *before);
void kgi_signals_release(const struct kgi_signals *before);

/* ---- rank.c: which process of a job this is ------------------------------------------------------ */

/* From what launchers set; -1 when this is the only process. */
int kgi_rank(void);
int kgi_local_rank(void);
bool kgi_process_name(char *out, size_t size);
/* How a line starts: "kguard[4242]: ", "kguard[4242 rank 1]: ". */
void kgi_prefix(struct kgi_text *line);

/* ---- file.c: files, without leaving a trace ------------------------------------------------------ */

/* open() by the raw system call (no cancellation point, no interposer), always O_CLOEXEC and never
 * a descriptor below 3. -1 on failure. */
int kgi_open(const char *path, int flags);
/* Moves a descriptor that got a number below 3 up, O_CLOEXEC set; -1 when that fails. */
int kgi_fd_above_stdio(int fd);
void kgi_close(int fd);
/* A regular file mapped for reading; empty when it is none, cannot be opened, is empty or larger
 * than limit. No descriptor stays open. errno is kept. */
struct kgi_bytes kgi_file_map(const char *path, size_t limit);
void kgi_file_unmap(struct kgi_bytes file);
/* The same file read into memory, from kgi_pages_get: size + 1 bytes, the last of them 0. For what is needed
 * longer than a moment: a mapping ends in a SIGBUS where somebody writes the file anew. */
struct kgi_bytes kgi_file_read(const char *path, size_t limit);

/* ---- memory.c: memory that is not the program's malloc ----------------------------------------- */

/* Zeroed memory that is never freed; NULL when there is none. From mmap; aligned to 16. */
void *kgi_alloc(size_t size);
/* A copy of s from kgi_alloc; NULL when there is no memory. */
const char *kgi_strdup(const char *s);
/* Zeroed pages for temporary use, and their release. */
void *kgi_pages_get(size_t size);
void kgi_pages_put(void *p, size_t size);
/* The same for what is filled at once and may be megabytes; *room is what to release. */
void *kgi_pages_get_huge(size_t size, size_t *room);
/* How many bytes from p on, at most want, can be read in this process. May take the loader's lock:
 * never call with a lock of ours held. */
size_t kgi_mapped(const void *p, size_t want);
/* Bytes of a text up to its NUL, or as far as it can be read. */
size_t kgi_text_mapped(const void *text);

/* ---- lock.c: a lock that survives fork ---------------------------------------------------------- */

/* Zero-initialised. Held only around memory operations of ours: never across a driver call, a dl*
 * call, or anything of the host program's. A child forked while a parent's thread held it takes it
 * over. */
struct kgi_lock {
    _Atomic uint32_t owner; /* pid of the holder, 0 = free */
};
void kgi_lock(struct kgi_lock *lock);
void kgi_unlock(struct kgi_lock *lock);
/* Sleeps 50 us; errno is kept. */
void kgi_nap(void);
/* The kernel's id of this thread. */
int kgi_thread_id(void);
/* The one word of thread-local memory there is. The doors keep numbers up to KGI_THREAD_WORD_DOORS in
 * it, the stack walk an address. */
extern __thread uintptr_t kgi_thread_word __attribute__((visibility("hidden")));
#define KGI_THREAD_WORD_DOORS ((uintptr_t)0xffffff)

/* ---- map.c: word -> word, read without a lock --------------------------------------------------- */

/* Zero-initialised. One writer at a time (the owner's lock); readers need none. Key 0 is refused. */
struct kgi_map {
    struct kgi_map_table *_Atomic table;
    _Atomic unsigned turn;       /* how many tables there were */
    struct kgi_map_table *spare; /* the last one, to be used again */
};
/* The value of key, 0 when absent. */
uint64_t kgi_map_get(const struct kgi_map *map, uint64_t key);
/* Sets key (0 as value removes it); -ENOMEM when there is no memory. */
int kgi_map_set(struct kgi_map *map, uint64_t key, uint64_t value);

/* ---- words.c: a set of words ---------------------------------------------------------------------- */

struct kgi_words {
    uint64_t *slot;
    size_t room;
};
/* For at most so many words; false when there is no memory. To be freed. */
bool kgi_words_make(struct kgi_words *words, size_t most);
void kgi_words_add(struct kgi_words *words, const void *word, size_t size);
bool kgi_words_has(const struct kgi_words *words, const void *word, size_t size);
void kgi_words_free(struct kgi_words *words);

/* ---- object.c: what the dynamic loader has mapped ----------------------------------------------- */

/* One loaded ELF object, as dl_iterate_phdr tells it; valid while it stays loaded. */
struct kgi_object {
    uintptr_t base, low, high; /* load bias; lowest and one past the highest mapped address */
    const void *dynamic;       /* its dynamic section, NULL when it has none */
    const char *name;          /* the loader's name; "" for the program itself */
    const void *segments;      /* its program headers, ElfW(Phdr)[segment_count] */
    size_t segment_count;
};

/* Calls each for every loaded object, in load order, until it returns non-zero; returns that. Takes
 * the loader's lock: never call with a lock of ours held, nor from such a function. */
int kgi_object_each(int (*each)(const struct kgi_object *, void *), void *context);
/* The object that holds address. */
bool kgi_object_at(const void *address, struct kgi_object *out);
/* The first loaded object whose DT_SONAME (or file name) starts with prefix. */
bool kgi_object_named(const char *prefix, struct kgi_object *out);
/* The address of a dynamic symbol that the object defines, through its own hash table; NULL if
 * none. Does not run the loader's look-up: no dlerror, no versions, no interposition. Data counts as well
 * (_PyRuntime), IFUNCs do not. */
void *kgi_object_symbol(const struct kgi_object *object, const char *name);
/* DT_SONAME, or NULL. The i-th DT_NEEDED, or NULL past the last. Borrowed from the object. */
const char *kgi_object_soname(const struct kgi_object *object);
const char *kgi_object_needed(const struct kgi_object *object, size_t i);
/* Whether it is the object this code is in, and whether two descriptions are of one. */
bool kgi_object_is_self(const struct kgi_object *object);
static inline bool kgi_object_same(const struct kgi_object *a, const struct kgi_object *b)
{
    return a->low == b->low;
}
/* The offset in the object's file of an address in it; false outside its file-backed segments. */
bool kgi_object_offset(const struct kgi_object *object, const void *address, uint64_t *offset);
/* Whether what lies there stays what it is: the program cannot write to it. */
bool kgi_object_constant(const struct kgi_object *object, const void *address);
/* The file behind the object, links resolved: object->name, or /proc/self/exe's target. */
bool kgi_object_path(const struct kgi_object *object, char *out, size_t size);

/* ---- demangle.c --------------------------------------------------------------------------------- */

/* The C++ name in readable form, or a copy of name where it is not mangled; cut to size. Of a mangled one of
 * more than 1024 characters the beginning: "cutlass::Kernel2<...>". */
void kgi_demangle(const char *name, char *out, size_t size);
/* The same for many names, on one stack: KGI_DEMANGLE_STACK bytes from kgi_pages_get, of which only the
 * touched pages are real memory. NULL: out is a copy. */
#define KGI_DEMANGLE_STACK ((size_t)4 << 20)
void kgi_demangle_on(void *stack, const char *name, char *out, size_t size);

#endif
