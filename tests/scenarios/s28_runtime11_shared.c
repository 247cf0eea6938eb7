/*
 * A program on a shared 11.x runtime that checks its launches.
 * link: -l:libcudart.so.11.0
 */
#include "checked.h"
