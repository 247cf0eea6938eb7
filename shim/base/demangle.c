/*
 * C++ names in readable form, by libiberty's demangler as it lies in libsupc++.a, through the entry
 * that asks for no memory.
 *
 * It takes its memory from the stack: about 72 bytes for each character of the name, and recursion
 * as deep as the name nests. Threads with 64 KiB of stack are ordinary, and a hostile file's name may
 * be anything. So it runs on a stack of its own. A name of more than 1024 characters, which CUTLASS's
 * kernels have, stays as it is: cp-demangle.c counts two components for each, takes 2048
 * (DEMANGLE_RECURSION_LIMIT), and this entry has no way to say otherwise.
 */
#include "base.h"

#define LONGEST 4096

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

static bool is_mangled(const char *name)
{
    return name[0] == '_' && name[1] == 'Z' && strnlen(name, LONGEST) < LONGEST;
}

void kgi_demangle_on(void *stack, const char *name, char *out, size_t size)
{
    struct job job = {name, {out, size, 0, false}, -1};

    if (!size)
        return;
    out[0] = 0;
    if (stack && is_mangled(name))
        call_on((char *)stack + KGI_DEMANGLE_STACK - 64, work, &job);
    if (job.result != 0) {
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
