/*
 * A program with the 12.x runtime linked in: nothing of it can be interposed, only the driver
 * below.
 * link: -l:libcudart_static_12.a -ldl -lpthread
 * run:
 * run: CUDA_MODULE_LOADING=EAGER
 */
#include "checked.h"
