"""A CUDA extension as projects ship them. Build with TORCH_CUDA_ARCH_LIST=8.0."""
from setuptools import setup
from torch.utils.cpp_extension import BuildExtension, CUDAExtension

setup(
    name="udf_ext",
    version="0.0.1",
    ext_modules=[CUDAExtension("udf_ext", ["bind.cpp", "kernels.cu"])],
    cmdclass={"build_ext": BuildExtension},
)
