/*
 * Eight threads launch through the runtime, some kernels fitting and some not, and ask for the
 * error each time. One report for all of them; clean under a thread sanitizer.
 * link: -l:libcudart.so.13 -lpthread
 * run:
 * run: KGUARD_LOG=info
 */
#include <pthread.h>
#include "runtime.h"

static void *work(void *unused)
{
    for (int i = 0; i < 200; i++) {
        if (fitting_stub() != 0 || lacking_stub() != 209 || cudaPeekAtLastError() != 209 ||
            cudaGetLastError() != 209 || cudaGetLastError() != 0)
            abort();
    }
    return unused;
}

int main(void)
{
    pthread_t threads[8];
    for (int i = 0; i < 8; i++)
        pthread_create(&threads[i], NULL, work, NULL);
    for (int i = 0; i < 8; i++)
        pthread_join(threads[i], NULL);
    puts("done");
    return 0;
}
