/*
 * The calling thread's stack, by LLVM's libunwind from the frame descriptions the loader has
 * mapped.
 *
 * It runs inside a program in trouble, so it expects little: a frame limit; a stack pointer that
 * must rise and be readable; and where libunwind meets a frame description it does not understand,
 * it calls abort(), which here is ours and comes back. Code without descriptions (a JIT's) ends the
 * walk.
 */
#include "report.h"

#include <errno.h>
#include <libunwind.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MOST_STEPS 128
#define LARGEST_FILE ((size_t)16 << 30) /* only address space */

void abort(void) __attribute__((noreturn));

/* While this thread walks its stack, its one word holds where abort() goes: an address, far above
 * what the doors keep in it. */
void abort(void)
{
    if (kgi_thread_word > KGI_THREAD_WORD_DOORS)
        __builtin_longjmp((void **)kgi_thread_word, 1);
    for (;;) /* not libunwind's: what abort() does where nobody catches it */
        syscall(SYS_tgkill, getpid(), kgi_thread_id(), SIGKILL);
}

struct walk {
    struct kgi_frame *frames;
    size_t room, count;
    uintptr_t word;
};

static void keep(struct walk *w, unw_word_t pc)
{
    struct kgi_frame *f = &w->frames[w->count];

    /* A return address is after its call, which may be its function's last instruction. */
    if (!pc || !kgi_object_at((const void *)(pc - 1), &f->object) ||
        kgi_object_is_self(&f->object))
        return;
    f->pc = (const void *)pc;
    f->symbol = NULL;
    if (!kgi_object_path(&f->object, f->path, sizeof f->path))
        f->path[0] = 0;
    w->count++;
}

static void steps(struct walk *w)
{
    unw_context_t context;
    unw_cursor_t cursor;
    unw_word_t pc = 0, sp = 0, last = 0;

    if (unw_getcontext(&context) || unw_init_local(&cursor, &context))
        return;
    for (int i = 0; i < MOST_STEPS && w->count < w->room; i++, last = sp) {
        if (unw_get_reg(&cursor, UNW_REG_IP, &pc) || unw_get_reg(&cursor, UNW_REG_SP, &sp) ||
            sp < last || kgi_mapped((const void *)sp, sizeof sp) < sizeof sp)
            return;
        keep(w, pc);
        if (unw_step(&cursor) <= 0)
            return;
    }
}

/* setjmp's rule: what lives across it lives in memory, here in *w, and in no register of ours. */
static void __attribute__((noinline)) walk(struct walk *w)
{
    void *back[5];

    w->word = kgi_thread_word;
    if (__builtin_setjmp(back) == 0) {
        kgi_thread_word = (uintptr_t)back;
        steps(w);
    }
    kgi_thread_word = w->word;
}

/* Whether the file on disk is the one that is mapped: a package upgraded under a running program
 * would name other functions. The ELF header tells, by the place of its section table. */
static bool same_file(const struct kgi_object *object, struct kgi_bytes file)
{
    size_t header = 64;

    return file.size >= header && kgi_mapped((const void *)object->low, header) == header &&
           !memcmp((const void *)object->low, file.at, header);
}

static void name_frame(struct kgi_frame *f, struct kgi_bytes file)
{
    uint64_t address = (uint64_t)((uintptr_t)f->pc - 1 - f->object.base), start;
    const char *name;
    size_t length;

    if (kgi_elf_symbol_at(file, address, &name, &start) || !name[0])
        return;
    length = strnlen(name, sizeof f->symbol_buffer);
    if (length == sizeof f->symbol_buffer) /* half a mangled name cannot be read by anybody */
        return;
    memcpy(f->symbol_buffer, name, length + 1);
    f->symbol = f->symbol_buffer;
}

/* Each object's file is mapped once, for all its frames. Whoever writes it anew in place ends the process
 * anyway: the loader has mapped it too. */
static void name_frames(struct kgi_frame *frames, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct kgi_bytes file = {NULL, 0};
        bool first = frames[i].path[0] != 0;

        for (size_t j = 0; j < i; j++)
            first &= frames[j].object.base != frames[i].object.base;
        if (first)
            file = kgi_file_map(frames[i].path, LARGEST_FILE);
        if (same_file(&frames[i].object, file))
            for (size_t j = i; j < count; j++)
                if (frames[j].object.base == frames[i].object.base)
                    name_frame(&frames[j], file);
        kgi_file_unmap(file);
    }
}

size_t kgi_stack(struct kgi_frame *frames, size_t room, bool with_symbols)
{
    struct walk w = {frames, room, 0, 0};
    int saved = errno;

    walk(&w);
    if (with_symbols)
        name_frames(frames, w.count);
    errno = saved;
    return w.count;
}
