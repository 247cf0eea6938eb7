/* Memory and an event of one process used by another: the parent waits for what the child wrote. */
#include <cstring>
#include <sys/wait.h>
#include <unistd.h>
#include "common.h"

enum { N = 1 << 16 };

struct handles {
    cudaIpcMemHandle_t memory;
    cudaIpcEventHandle_t event;
};

static int child()
{
    handles h;
    float *shared;
    cudaEvent_t event;
    if (read(0, &h, sizeof h) != sizeof h)
        return 2;
    CHECK(cudaIpcOpenMemHandle((void **)&shared, h.memory, cudaIpcMemLazyEnablePeerAccess));
    CHECK(cudaIpcOpenEventHandle(&event, h.event));
    CHECK(cudaStreamWaitEvent(0, event));
    add<<<N / 256, 256>>>(shared, shared, N, 1);
    CHECK(cudaGetLastError());
    CHECK(cudaDeviceSynchronize());
    show("in the child", shared, N);
    CHECK(cudaIpcCloseMemHandle(shared));
    return 0;
}

int main(int argc, char **)
{
    int to[2], status;
    if (argc > 1)
        return child();
    if (pipe(to))
        return 2;
    pid_t pid = fork();
    if (pid == 0) {
        dup2(to[0], 0);
        close(to[1]);
        execl("/proc/self/exe", "ipc", "child", (char *)NULL);
        _exit(127);
    }
    float *memory;
    cudaEvent_t event;
    handles h;
    CHECK(cudaMalloc(&memory, N * sizeof(float)));
    CHECK(cudaEventCreateWithFlags(&event, cudaEventDisableTiming | cudaEventInterprocess));
    fill<<<N / 256, 256>>>(memory, N, 3);
    CHECK(cudaEventRecord(event));
    CHECK(cudaIpcGetMemHandle(&h.memory, memory));
    CHECK(cudaIpcGetEventHandle(&h.event, event));
    if (write(to[1], &h, sizeof h) != sizeof h || waitpid(pid, &status, 0) != pid)
        return 2;
    printf("child's status %d\n", status);
    show("in the parent", memory, N);
    return status != 0;
}
