/*
 * The usual way to see launches, for comparison: a CUPTI callback on cuLaunchKernel that does
 * nothing but count. Loaded by the driver: CUDA_INJECTION64_PATH.
 */
#include <cupti.h>

static unsigned long count;

static void CUPTIAPI on_call(void *user, CUpti_CallbackDomain domain, CUpti_CallbackId id,
                             const void *data)
{
    (void)user, (void)domain, (void)id, (void)data;
    count++;
}

__attribute__((visibility("default"))) int InitializeInjection(void);

int InitializeInjection(void)
{
    CUpti_SubscriberHandle subscriber;
    if (cuptiSubscribe(&subscriber, (CUpti_CallbackFunc)on_call, 0) != CUPTI_SUCCESS)
        return 0;
    return cuptiEnableCallback(1, subscriber, CUPTI_CB_DOMAIN_DRIVER_API,
                               CUPTI_DRIVER_TRACE_CBID_cuLaunchKernel) == CUPTI_SUCCESS;
}
