/*
 * A program on a shared 13.x runtime that checks its launches.
 * link: -l:libcudart.so.13
 */
#include "checked.h"
