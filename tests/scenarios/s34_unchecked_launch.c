/*
 * A program that never asks whether its launch worked: a later line says so.
 * link: -l:libcudart.so.12
 */
#include "unchecked.h"
