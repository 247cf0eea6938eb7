#include <torch/extension.h>

void voxelize_checked(float *, int);
void voxelize_unchecked(float *, int);
void voxelize_large_shared(float *, int);
void voxelize_or_exit(float *, int);

PYBIND11_MODULE(TORCH_EXTENSION_NAME, m)
{
    auto call = [&m](const char *name, void (*f)(float *, int)) {
        m.def(name, [f](torch::Tensor t) { f(t.data_ptr<float>(), (int)t.numel()); });
    };
    call("checked", voxelize_checked);
    call("unchecked", voxelize_unchecked);
    call("large_shared", voxelize_large_shared);
    call("or_exit", voxelize_or_exit);
}
