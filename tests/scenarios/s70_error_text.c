/*
 * The text of an error names who caused it: for the thread that failed, and for one that asks on its
 * behalf; not before anything failed, not for a failure that was only asked about. It starts with the
 * runtime's own text, and is the same memory each time.
 * link: -l:libcudart.so.12 -l:libcuda.so.1 -lpthread
 * run: KGUARD_ERROR_TEXT=1 KGUARD_LOG=error
 * run: KGUARD_ERROR_TEXT=0 KGUARD_LOG=error
 * run: KGUARD_ERROR_TEXT=1 KGUARD_LOG=off
 * run: KGUARD_ERROR_TEXT=1 KGUARD=0
 */
#include "runtime.h"
#include <pthread.h>

static void show(const char *who)
{
    const char *driver = NULL;
    cuGetErrorString(209, &driver);
    printf("%s, runtime: %s\n", who, cudaGetErrorString(209));
    printf("%s, driver: %s\n", who, driver);
}

static void *ask(void *who)
{
    show(who);
    return NULL;
}

static void *query(void *who)
{
    struct cudaFuncAttributes attributes;
    printf("query = %d\n", cudaFuncGetAttributes(&attributes, (const void *)lacking_stub));
    show(who);
    return NULL;
}

static void in_thread(void *(*body)(void *), const char *who)
{
    pthread_t thread;
    pthread_create(&thread, NULL, body, (void *)(uintptr_t)who);
    pthread_join(thread, NULL);
}

int main(void)
{
    const char *before = cudaGetErrorString(209), *after;
    in_thread(query, "a thread that asked before");
    show("main before");
    CALL(lacking_stub);
    after = cudaGetErrorString(209);
    show("main after");
    printf("starts with the same: %d; the same again: %d; other errors: %s\n",
           strncmp(after, before, strlen(before)) == 0, after == cudaGetErrorString(209),
           cudaGetErrorString(1));
    in_thread(ask, "another thread");
    in_thread(query, "a thread that only asked");
    return 0;
}
