/* The fatbin walk, and the payloads it finds. */
#include "exercise.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    exercise_fatbin((struct kgi_bytes){data, size});
    return 0;
}
