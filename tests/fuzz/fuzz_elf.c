/* A host library's file. */
#include "exercise.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    exercise_elf((struct kgi_bytes){data, size});
    return 0;
}
