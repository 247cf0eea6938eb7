/*
 * Stands for Triton's library.
 * as: triton/_C/libtriton.so
 */
__attribute__((visibility("default"))) int triton(void);
int triton(void)
{
    return 0;
}
