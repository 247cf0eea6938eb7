/*
 * A program on a shared 12.x runtime that checks its launches.
 * link: -l:libcudart.so.12
 */
#include "checked.h"
