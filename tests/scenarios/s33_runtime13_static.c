/*
 * A program with the 13.x runtime linked in: nothing of it can be interposed, only the driver
 * below.
 * link: -l:libcudart_static_13.a -ldl -lpthread
 * run:
 * run: CUDA_MODULE_LOADING=EAGER
 */
#include "checked.h"
