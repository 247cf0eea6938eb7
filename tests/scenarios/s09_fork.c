/*
 * A fork while another thread is in the middle of the first cuInit, and a fork before a launch
 * that fails: the child has no lock of the parent's to wait for, and says what it has to say.
 * link: -l:libcuda.so.1 -lpthread
 */
#include <pthread.h>
#include <sys/wait.h>
#include "direct.h"

static void *initialise(void *unused)
{
    cuInit(0);
    return unused;
}

static void in_child(int (*run)(void))
{
    int status = -1;
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        alarm(20); /* a lock held for ever shows as a signal */
        _exit(run());
    }
    waitpid(child, &status, 0);
    printf("child: %d\n", status);
}

static int nothing(void)
{
    return cuInit(0) == 0 ? 0 : 1;
}

static int fail(void)
{
    CUmodule module = NULL;
    return cuModuleLoadData(&module, fatbin_60_90) == 209 ? 9 : 0;
}

int main(void)
{
    pthread_t thread;
    pthread_create(&thread, NULL, initialise, NULL);
    in_child(nothing);
    pthread_join(thread, NULL);
    start_direct();
    in_child(fail);
    return 0;
}
