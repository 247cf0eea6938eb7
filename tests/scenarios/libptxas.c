/*
 * Stands for the ptxas that Triton 3.1 ships: the line by which it tells its version (and what else has
 * such words in it, before that).
 * as: triton/backends/nvidia/bin/ptxas
 */
__attribute__((visibility("default"))) const char version[] =
    "Cuda compilation tools, release %d.%d, V%s\0Cuda compilation tools, release 12.4, V12.4.99";
