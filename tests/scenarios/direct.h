/* For programs linked with libcuda itself. */
#ifndef DIRECT_H
#define DIRECT_H

#include "scenario.h"

static inline void start_direct(void)
{
    CUdevice device = 0;
    CUcontext context = NULL;
    int result = cuInit(0);
    if (result == 0)
        result = cuDeviceGet(&device, 0);
    if (result == 0)
        result = cuDevicePrimaryCtxRetain(&context, device);
    if (result == 0)
        result = cuCtxSetCurrent(context);
    answer("start", result);
}

CUresult cuDevicePrimaryCtxReset_v2(CUdevice device);

/* Modules go with it; a primary one is there again at once, where it was. */
static inline void reset(void)
{
    answer("reset", cuDevicePrimaryCtxReset_v2(0));
}

#endif
