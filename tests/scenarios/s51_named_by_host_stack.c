/*
 * With a static 12.x runtime the driver is never told the kernel's name: the host stub that nvcc
 * makes, seen on the stack, gives it.
 * link: -l:libcudart_static_12.a -ldl -lpthread
 */
#define lacking_stub __device_stub__Z15voxelize_kernelPfi
#include "checked.h"
