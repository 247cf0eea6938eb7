/*
 * Which runtime is meant by a call of a program that is linked with none is looked for among the loaded ones.
 * One of them is unloaded as soon as it was seen: nothing of it is looked at afterwards, and the call reaches
 * the other.
 * run:
 * unsanitized: TSan starts with a call of the function that the program has here
 */
#include <stdio.h>
#include "unloaded_in_walk.h"

int main(void)
{
    int (*last_error)(void), result = 0;

    dlopen("libcudart.so.13", RTLD_NOW | RTLD_LOCAL);
    last_error = (int (*)(void))dlsym(RTLD_DEFAULT, "cudaGetLastError");
    unloaded = "libcudart.so.12";
    if (last_error) /* the library's */
        result = last_error();
    unloaded = NULL;
    printf("%d\n", result);
    return 0;
}
