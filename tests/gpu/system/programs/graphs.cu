/* CUDA graphs: captured from streams, built node by node, cloned, updated, launched many times. */
#include "common.h"

enum { N = 1 << 16 };

static void CUDART_CB count_up(void *counter)
{
    ++*(int *)counter;
}

int main()
{
    float *a, *b;
    int counter = 0;
    cudaStream_t stream, side;
    cudaEvent_t fork, join;
    CHECK(cudaMalloc(&a, N * sizeof(float)));
    CHECK(cudaMalloc(&b, N * sizeof(float)));
    CHECK(cudaStreamCreate(&stream));
    CHECK(cudaStreamCreateWithFlags(&side, cudaStreamNonBlocking));
    CHECK(cudaEventCreateWithFlags(&fork, cudaEventDisableTiming));
    CHECK(cudaEventCreateWithFlags(&join, cudaEventDisableTiming));

    /* Two streams in one capture. */
    cudaGraph_t graph;
    cudaGraphExec_t exec;
    CHECK(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal));
    fill<<<N / 256, 256, 0, stream>>>(a, N, 1);
    CHECK(cudaEventRecord(fork, stream));
    CHECK(cudaStreamWaitEvent(side, fork));
    fill<<<N / 256, 256, 0, side>>>(b, N, 2);
    CHECK(cudaEventRecord(join, side));
    CHECK(cudaStreamWaitEvent(stream, join));
    add<<<N / 256, 256, 0, stream>>>(a, b, N, 3);
    CHECK(cudaLaunchHostFunc(stream, count_up, &counter));
    CHECK(cudaStreamEndCapture(stream, &graph));
    CHECK(cudaGraphInstantiate(&exec, graph, 0));
    for (int i = 0; i < 100; i++)
        CHECK(cudaGraphLaunch(exec, stream));
    CHECK(cudaStreamSynchronize(stream));
    show("captured", a, N);
    printf("host function %d times\n", counter);

    /* Node by node, the parameters of one changed in the executable graph. */
    cudaGraph_t built;
    cudaGraphNode_t first, second, copy, nodes[8];
    float start = 5, factor = 2;
    int n = N;
    void *fill_arguments[] = {&a, &n, &start}, *add_arguments[] = {&b, &a, &n, &factor};
    cudaKernelNodeParams parameters = {};
    parameters.func = (void *)fill;
    parameters.gridDim = dim3(N / 256);
    parameters.blockDim = dim3(256);
    parameters.kernelParams = fill_arguments;
    CHECK(cudaGraphCreate(&built, 0));
    CHECK(cudaGraphAddKernelNode(&first, built, nullptr, 0, &parameters));
    parameters.func = (void *)add;
    parameters.kernelParams = add_arguments;
    CHECK(cudaGraphAddKernelNode(&second, built, &first, 1, &parameters));
    CHECK(cudaGraphAddMemcpyNode1D(&copy, built, &second, 1, a, b, N * sizeof(float),
                                   cudaMemcpyDeviceToDevice));
    cudaGraphExec_t made;
    CHECK(cudaGraphInstantiate(&made, built, 0));
    CHECK(cudaMemset(b, 0, N * sizeof(float)));
    CHECK(cudaGraphLaunch(made, stream));
    CHECK(cudaStreamSynchronize(stream));
    show("built", a, N);
    factor = -1;
    CHECK(cudaGraphExecKernelNodeSetParams(made, second, &parameters));
    CHECK(cudaGraphLaunch(made, stream));
    CHECK(cudaStreamSynchronize(stream));
    show("changed", a, N);

    /* A clone as the child of another, and the whole updated in place. */
    cudaGraph_t clone, parent;
    cudaGraphNode_t child;
    cudaGraphExec_t nested;
    CHECK(cudaGraphClone(&clone, built));
    CHECK(cudaGraphCreate(&parent, 0));
    CHECK(cudaGraphAddChildGraphNode(&child, parent, nullptr, 0, clone));
    CHECK(cudaGraphInstantiate(&nested, parent, 0));
    CHECK(cudaGraphLaunch(nested, stream));
    CHECK(cudaStreamSynchronize(stream));
    show("child", a, N);
    cudaGraphExecUpdateResultInfo info;
    CHECK(cudaGraphExecUpdate(made, clone, &info));
    CHECK(cudaGraphLaunch(made, stream));
    CHECK(cudaStreamSynchronize(stream));
    show("updated", a, N);
    size_t count = 8;
    CHECK(cudaGraphGetNodes(built, nodes, &count));
    printf("%d nodes\n", (int)count);
    CHECK(cudaGraphExecDestroy(exec));
    CHECK(cudaGraphExecDestroy(made));
    CHECK(cudaGraphExecDestroy(nested));
    CHECK(cudaGraphDestroy(parent));
    CHECK(cudaGraphDestroy(built));
    CHECK(cudaGraphDestroy(graph));
    CHECK(cudaDeviceSynchronize());
    return 0;
}
