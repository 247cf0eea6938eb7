/*
 * Every way a runtime program meets a kernel, each in a process of its own, with the image that
 * fits and the one that does not.
 * link: -l:libcudart.so.12
 * run: launch
 * run: launch_ptsz
 * run: launch_ex
 * run: cooperative
 * run: get_attributes
 * run: set_attribute
 * run: cache_config
 * run: by_symbol
 * run: occupancy
 */
#include "runtime.h"

static int use(const char *door, const void *stub)
{
    struct cudaFuncAttributes attributes;
    cudaLaunchConfig_t config = {one, one, 0, NULL, NULL, 0};
    CUfunction function;
    int blocks;
#define DOOR(name, function, ...)                                                                  \
    if (strcmp(door, name) == 0)                                                                   \
        return CALL(function, __VA_ARGS__);
    DOOR("launch", cudaLaunchKernel, stub, one, one, no_arguments, 0, NULL)
    DOOR("launch_ptsz", cudaLaunchKernel_ptsz, stub, one, one, no_arguments, 0, NULL)
    DOOR("launch_ex", cudaLaunchKernelExC, &config, stub, no_arguments)
    DOOR("cooperative", cudaLaunchCooperativeKernel, stub, one, one, no_arguments, 0, NULL)
    DOOR("get_attributes", cudaFuncGetAttributes, &attributes, stub)
    DOOR("set_attribute", cudaFuncSetAttribute, stub, cudaFuncAttributeMaxDynamicSharedMemorySize,
         1)
    DOOR("cache_config", cudaFuncSetCacheConfig, stub, 1)
    DOOR("by_symbol", cudaGetFuncBySymbol, &function, stub)
    DOOR("occupancy", cudaOccupancyMaxActiveBlocksPerMultiprocessor, &blocks, stub, 32, 0)
    return -1;
}

int main(int argc, char **argv)
{
    (void)argc;
    use(argv[1], (const void *)fitting_stub);
    use(argv[1], (const void *)lacking_stub);
    return CALL(cudaGetLastError);
}
