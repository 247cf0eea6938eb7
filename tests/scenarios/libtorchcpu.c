/*
 * Stands for the library of PyTorch that every build has.
 * as: torch/lib/libtorch_cpu.so
 */
__attribute__((visibility("default"))) int torch_cpu(void);
int torch_cpu(void)
{
    return 0;
}
