/* Compiled against a toolkit's cuda.h: every declaration of kg_cuda.h repeated beside the
 * toolkit's own, so that the compiler itself finds a difference; layouts and values by assertion. */
#define __CUDA_API_VERSION_INTERNAL
#include <cuda.h>
#define KG_CUDA_TYPES_FROM_TOOLKIT
#include "kg_cuda.h"
