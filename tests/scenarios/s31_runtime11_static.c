/*
 * A program with the 11.x runtime linked in: nothing of it can be interposed, only the driver
 * below.
 * link: -l:libcudart_static_11.a -ldl -lpthread
 * run:
 * run: LD_LIBRARY_PATH=@/../fake/580
 * run: LD_LIBRARY_PATH=@/../fake/580 KGUARD_LOG=error
 * run: LD_LIBRARY_PATH=@/../fake/580 CUDA_MODULE_LOADING=EAGER
 */
#include "checked.h"
