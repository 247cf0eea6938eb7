// The Python side of the extension: checks its argument and what became of the launch.
#include <torch/extension.h>

const char *voxelize_launch(float *points, int count); // kernel.cu

static void voxelize(torch::Tensor points)
{
    if (points.numel() == 0)
        return;
    TORCH_CHECK(points.is_cuda() && points.is_contiguous() && points.scalar_type() == torch::kFloat32,
                "points: a contiguous float tensor on the GPU");
    const char *error = voxelize_launch(points.data_ptr<float>(), static_cast<int>(points.numel()));
    TORCH_CHECK(!error, "CUDA error: ", error);
}

PYBIND11_MODULE(TORCH_EXTENSION_NAME, m)
{
    m.def("voxelize", voxelize, "Snaps points to the grid they lie in, in place.");
}
