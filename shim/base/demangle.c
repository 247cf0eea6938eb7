/*
 * C++ names in readable form, by libiberty's demangler as it lies in libsupc++.a, through the entry
 * that asks for no memory.
 *
 * It takes its memory from the stack: about 72 bytes for each character of the name, and recursion
 * as deep as the name nests. Threads with 64 KiB of stack are ordinary, and a hostile file's name may
 * be anything. So it runs on a stack of its own. Of a longer name than it takes, which CUTLASS's
 * kernels have, the beginning is made readable here: "cutlass::Kernel2<...>".
 */
#include "base.h"

#include <limits.h>

/* cp-demangle.c counts two components for each character, takes 2048 (DEMANGLE_RECURSION_LIMIT), and this
 * entry has no way to say otherwise. */
#define LONGEST 1024

/* 0 when the name could be demangled. */
int __gcclibcxx_demangle_callback(const char *mangled,
                                  void (*callback)(const char *, size_t, void *), void *opaque);

struct job {
    const char *name;
    struct kgi_text text;
    int result;
};

static void piece(const char *s, size_t length, void *context)
{
    struct kgi_text *text = context;

    kgi_text_add(text, "%.*s", (int)length, s);
}

static void work(void *context)
{
    struct job *job = context;

    job->result = __gcclibcxx_demangle_callback(job->name, piece, &job->text);
}

/* Calls function(context) with the stack pointer at top. The old one waits in a register that the
 * callee keeps. */
static void __attribute__((noinline)) call_on(void *top, void (*function)(void *), void *context)
{
#if defined(__x86_64__)
    __asm__ volatile("movq %%rsp, %%rbx\n\t"
                     "movq %[top], %%rsp\n\t"
                     "call *%[function]\n\t"
                     "movq %%rbx, %%rsp"
                     : "+D"(context)
                     : [top] "r"(top), [function] "r"(function)
                     : "rbx", "rax", "rcx", "rdx", "rsi", "r8", "r9", "r10", "r11", "memory", "cc",
                       "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8",
                       "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15");
#elif defined(__aarch64__)
    register void *argument __asm__("x0") = context;

    __asm__ volatile("mov x19, sp\n\t"
                     "mov sp, %[top]\n\t"
                     "blr %[function]\n\t"
                     "mov sp, x19"
                     : "+r"(argument)
                     : [top] "r"(top), [function] "r"(function)
                     : "x1", "x2", "x3", "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12",
                       "x13", "x14", "x15", "x16", "x17", "x18", "x19", "x30", "memory", "cc", "v0",
                       "v1", "v2", "v3", "v4", "v5", "v6", "v7", "v16", "v17", "v18", "v19", "v20",
                       "v21", "v22", "v23", "v24", "v25", "v26", "v27", "v28", "v29", "v30", "v31");
#else
#error "no way to change the stack on this architecture"
#endif
}

/* Adds the identifiers that are next, at most so many, each as long as its number says, and :: between;
 * returns how many. *first is the first of them. */
static size_t add_identifiers(struct kgi_text *text, const char **at, size_t most,
                              struct kgi_bytes *first)
{
    size_t count = 0, length;

    for (; count < most; count++, *at += length) {
        const char *s = *at + (**at == 'L'); /* of internal linkage */

        for (length = 0; *s >= '0' && *s <= '9' && length <= INT_MAX / 16; s++)
            length = length * 10 + (size_t)(*s - '0');
        if (!length || strnlen(s, length) < length)
            break;
        *at = s;
        if (!count)
            *first = (struct kgi_bytes){(const uint8_t *)s, length};
        if (strncmp(s, "_GLOBAL__N", 10) == 0)
            kgi_text_add(text, "%s(anonymous namespace)", count ? "::" : "");
        else
            kgi_text_add(text, "%s%.*s", count ? "::" : "", (int)length, s);
    }
    return count;
}

/* The scopes and the name, and of all arguments the name of the first type where it is of the same scope,
 * as CUTLASS's are; the rest are dots, as in a folded name (report/text.c). */
static bool add_beginning(struct kgi_text *text, const char *mangled)
{
    const char *at = mangled + 2;
    bool nested = *at == 'N', std;
    struct kgi_bytes scope, none;
    size_t count;

    at += nested;
    at += nested && *at == 'K';
    std = strncmp(at, "St", 2) == 0;
    at += std ? 2 : 0;
    kgi_text_add(text, std ? "std::" : "");
    count = add_identifiers(text, &at, nested ? SIZE_MAX : 1, &scope);
    if (*at != 'I') {
        kgi_text_add(text, !nested || *at == 'E' ? "(...)" : "...");
    } else if (strncmp(at, "INS_", 4) == 0 && count > 1 && !std) { /* S_: the outermost scope */
        at += 4;
        kgi_text_add(text, "<%.*s::", (int)scope.size, scope.at);
        add_identifiers(text, &at, SIZE_MAX, &none);
        kgi_text_add(text, *at == 'I' ? "<...>...>" : "...>");
    } else {
        kgi_text_add(text, "<...>");
    }
    return count > 0;
}

static bool is_mangled(const char *name)
{
    return name[0] == '_' && name[1] == 'Z';
}

static bool is_long(const char *name)
{
    return strnlen(name, LONGEST + 1) > LONGEST;
}

void kgi_demangle_on(void *stack, const char *name, char *out, size_t size)
{
    struct job job = {name, {out, size, 0, false}, -1};
    bool done = false;

    if (!size)
        return;
    out[0] = 0;
    if (is_mangled(name) && is_long(name)) {
        done = add_beginning(&job.text, name);
    } else if (is_mangled(name) && stack) {
        call_on((char *)stack + KGI_DEMANGLE_STACK - 64, work, &job);
        done = job.result == 0;
    }
    if (!done) {
        job.text = (struct kgi_text){out, size, 0, false};
        out[0] = 0;
        kgi_text_add(&job.text, "%s", name);
    }
}

void kgi_demangle(const char *name, char *out, size_t size)
{
    void *stack = is_mangled(name) ? kgi_pages_get(KGI_DEMANGLE_STACK) : NULL;

    kgi_demangle_on(stack, name, out, size);
    kgi_pages_put(stack, KGI_DEMANGLE_STACK);
}
