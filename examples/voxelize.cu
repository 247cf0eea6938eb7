// The kernel of the demo: snaps points to the grid they lie in. make-fixtures.sh compiles it.
__global__ void voxelize_kernel(float *points, int count)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < count)
        points[i] = floorf(points[i]);
}
