/*
 * A part of PyTorch that was not built for this GPU, beside one that was.
 * as: torch/lib/libtorch_linalg.so
 * link: -l:libcudart.so.12
 */
#define NO_FITTING
#include "extension.h"
