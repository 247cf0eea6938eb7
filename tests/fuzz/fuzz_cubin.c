/* A raw cubin. */
#include "exercise.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    exercise_cubin((struct kgi_bytes){data, size});
    return 0;
}
