/*
 * Eight threads fail with ten kernels each and ask for the text a thousand times: each gets its own
 * kernel's name or, from the sixty-fifth kernel on, the plain text; never another's, never half of one.
 * link: -l:libcudart.so.12 -lpthread
 * run: KGUARD_ERROR_TEXT=1 KGUARD_LOG=error KGUARD_LOG_FILE=/dev/null
 */
#include "runtime.h"
#include <pthread.h>

enum { THREADS = 8, KERNELS = 10, TIMES = 100 };

static char stubs[THREADS * KERNELS];
static char names[THREADS * KERNELS][24];
static int named[THREADS], wrong[THREADS];

static void register_kernels(void)
{
    for (int i = 0; i < THREADS * KERNELS; i++) {
        snprintf(names[i], sizeof names[i], "kernel_%03d", i);
        __cudaRegisterFunction(lacking_handle, &stubs[i], names[i], names[i], -1, NULL, NULL, NULL, NULL,
                               NULL);
    }
}

static void *fail(void *argument)
{
    static const char plain[] = "no kernel image is available for execution on the device";
    int me = (int)(intptr_t)argument;

    for (int time = 0; time < TIMES; time++) {
        for (int i = me * KERNELS; i < (me + 1) * KERNELS; i++) {
            cudaLaunchKernel(&stubs[i], one, one, no_arguments, 0, NULL);
            const char *text = cudaGetErrorString(209);
            int mine = strstr(text, names[i]) != NULL;
            named[me] += mine && time == 0;
            wrong[me] += strncmp(text, plain, sizeof plain - 1) != 0 || (!mine && text[sizeof plain - 1]);
        }
    }
    return NULL;
}

int main(void)
{
    pthread_t threads[THREADS];
    int all_named = 0, all_wrong = 0;

    register_kernels();
    for (intptr_t i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, fail, (void *)i);
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        all_named += named[i];
        all_wrong += wrong[i];
    }
    puts(getenv("LD_PRELOAD") && strstr(getenv("LD_PRELOAD"), "kguard") && all_named != 64
             ? "not 64 kernels were named" : "64 kernels were named, if any");
    printf("wrong: %d\n", all_wrong);
    return 0;
}
