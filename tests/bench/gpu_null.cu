extern "C" __global__ void null_kernel()
{
}
