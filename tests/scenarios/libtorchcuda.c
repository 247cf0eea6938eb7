/*
 * Stands for PyTorch's library of kernels.
 * as: torch/lib/libtorch_cuda.so
 * link: -l:libcudart.so.12
 */
#define NO_LACKING
#include "extension.h"
