/*
 * An image that was built in memory lies in no file: the library that handed it over is named.
 * link: -l:libcuda.so.1
 */
#include "direct.h"

int main(void)
{
    CUmodule module = NULL;
    size_t size = fatbin_60_90_end - fatbin_60_90;
    void *image = malloc(size);
    memcpy(image, fatbin_60_90, size);
    start_direct();
    CALL(cuModuleLoadData, &module, image);
    memset(image, 0, size);
    free(image);
    return 0;
}
