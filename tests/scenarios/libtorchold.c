/*
 * The same of a PyTorch that was built for other GPUs too.
 * as: torch_old/lib/libtorch_cuda.so
 * link: -l:libcudart.so.12
 */
#define NO_FITTING
#include "extension.h"
