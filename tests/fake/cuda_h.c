/*
 * Compiled twice by cuda_h.sh: with include/kg_cuda.h, and with a toolkit's cuda.h before it. The
 * compiler then finds a function whose declaration differs; the printed layouts and values are
 * compared by the script.
 */
#ifdef TOOLKIT
#define __CUDA_API_VERSION_INTERNAL /* cuda.h then declares every version under its exported name  \
                                     */
#include <cuda.h>
#define KG_CUDA_TYPES_FROM_TOOLKIT
#endif
#include <stdio.h>
#include "kg_cuda.h"

#define SIZE(type) printf("sizeof " #type " %zu\n", sizeof(type));
#define AT(type, field) printf(#type "." #field " %zu\n", offsetof(type, field));
#define VALUE(name) printf(#name " %d\n", (int)name);

int main(void)
{
    SIZE(CUresult)
    SIZE(CUdeviceptr) SIZE(CUuuid) SIZE(CUlaunchAttribute) SIZE(CUlaunchConfig) SIZE(
        CUDA_LAUNCH_PARAMS) SIZE(CUDA_KERNEL_NODE_PARAMS_v1) SIZE(CUDA_KERNEL_NODE_PARAMS_v2)
        SIZE(CUDA_KERNEL_NODE_PARAMS_v3) SIZE(CUgraphNodeParams) SIZE(CUgraphEdgeData) SIZE(
            CUDA_GRAPH_INSTANTIATE_PARAMS) SIZE(CUlaunchAttributeValue) AT(CUlaunchAttribute, value)
            AT(CUlaunchConfig, sharedMemBytes) AT(CUlaunchConfig, hStream) AT(
                CUlaunchConfig, attrs) AT(CUlaunchConfig, numAttrs) AT(CUDA_LAUNCH_PARAMS, function)
                AT(CUDA_LAUNCH_PARAMS, hStream) AT(CUDA_LAUNCH_PARAMS, kernelParams) AT(
                    CUDA_KERNEL_NODE_PARAMS_v1, func) AT(CUDA_KERNEL_NODE_PARAMS_v1, kernelParams)
                    AT(CUDA_KERNEL_NODE_PARAMS_v2, func) AT(CUDA_KERNEL_NODE_PARAMS_v2, kern)
                        AT(CUDA_KERNEL_NODE_PARAMS_v2, ctx) AT(CUDA_KERNEL_NODE_PARAMS_v3, func)
                            AT(CUDA_KERNEL_NODE_PARAMS_v3, kern) AT(CUgraphNodeParams, type)
                                AT(CUgraphNodeParams, kernel) AT(CUgraphNodeParams, reserved2)
                                    AT(CUDA_GRAPH_INSTANTIATE_PARAMS, hErrNode_out)
                                        AT(CUDA_GRAPH_INSTANTIATE_PARAMS, result_out)
#include "values.h"
                                            return 0;
}
