/*
 * Every way to launch, with the kernel that fits: the result is the driver's, nothing is said.
 * With a handle that is none, the driver's answer comes back and nothing is made up about an
 * image.
 * link: -l:libcuda.so.1
 */
#include "direct.h"

static float *points;
static int count;
static void *arguments[] = {&points, &count};

static void launch_all(CUfunction f)
{
    CUlaunchConfig config = {1, 1, 1, 1, 1, 1, 0, NULL, NULL, 0};
    CUDA_LAUNCH_PARAMS device = {f, 1, 1, 1, 1, 1, 1, 0, NULL, arguments};
    CALL(cuLaunchKernel, f, 1, 1, 1, 1, 1, 1, 0, NULL, arguments, NULL);
    CALL(cuLaunchKernel_ptsz, f, 1, 1, 1, 1, 1, 1, 0, NULL, arguments, NULL);
    CALL(cuLaunchKernelEx, &config, f, arguments, NULL);
    CALL(cuLaunchKernelEx_ptsz, &config, f, arguments, NULL);
    CALL(cuLaunchCooperativeKernel, f, 1, 1, 1, 1, 1, 1, 0, NULL, arguments);
    CALL(cuLaunchCooperativeKernel_ptsz, f, 1, 1, 1, 1, 1, 1, 0, NULL, arguments);
    CALL(cuLaunchCooperativeKernelMultiDevice, &device, 1, 0);
    CALL(cuLaunch, f);
    CALL(cuLaunchGrid, f, 1, 1);
    CALL(cuLaunchGridAsync, f, 1, 1, NULL);
    CALL(cuFuncLoad, f);
}

static void graph(CUfunction f)
{
    CUgraph graph = NULL;
    CUgraphNode node = NULL;
    CUgraphExec exec = NULL;
    CUDA_KERNEL_NODE_PARAMS_v1 v1 = {f, 1, 1, 1, 1, 1, 1, 0, arguments, NULL};
    CUDA_KERNEL_NODE_PARAMS_v2 v2 = {f, 1, 1, 1, 1, 1, 1, 0, arguments, NULL, NULL, NULL};
    CUgraphNodeParams any = {.type = CU_GRAPH_NODE_TYPE_KERNEL};
    CUDA_GRAPH_INSTANTIATE_PARAMS how = {0};
    any.kernel = (CUDA_KERNEL_NODE_PARAMS_v3){f, 1, 1, 1, 1, 1, 1, 0, arguments, NULL, NULL, NULL};
    CALL(cuGraphCreate, &graph, 0);
    CALL(cuGraphAddKernelNode, &node, graph, NULL, 0, &v1);
    CALL(cuGraphAddKernelNode_v2, &node, graph, NULL, 0, &v2);
    CALL(cuGraphAddNode, &node, graph, NULL, 0, &any);
    CALL(cuGraphAddNode_v2, &node, graph, NULL, NULL, 0, &any);
    CALL(cuGraphKernelNodeSetParams_v2, node, &v2);
    CALL(cuGraphInstantiateWithParams, &exec, graph, &how);
    CALL(cuGraphInstantiateWithFlags, &exec, graph, 0);
    CALL(cuGraphLaunch, exec, NULL);
    CALL(cuGraphLaunch_ptsz, exec, NULL);
}

int main(void)
{
    CUmodule module = NULL;
    CUfunction function = NULL;
    start_direct();
    CALL(cuModuleLoadData, &module, fatbin_120);
    CALL(cuModuleGetFunction, &function, module, KERNEL);
    launch_all(function);
    graph(function);
    CALL(cuModuleGetFunction, &function, module, "no_such_kernel");
    return 0;
}
