"""A PyTorch extension as projects ship them, with the fault that kguard is made for, and the cure.

The fault is a list of GPUs that was right when the extension was built, and no PTX for later ones:

    TORCH_CUDA_ARCH_LIST="8.0" pip install --no-build-isolation examples/torch_extension
    kguard run -- python3 examples/torch_extension/run.py

On an H100 or RTX 5090 the program says "no kernel image is available", and kguard which library is
to blame. It is known before anything runs, and without a GPU:

    kguard scan --target sm_90,sm_120 /opt/venv

The cure names the GPUs, and adds PTX for those to come:

    TORCH_CUDA_ARCH_LIST="8.0;9.0;12.0+PTX" pip install --no-build-isolation --force-reinstall \\
        --no-deps examples/torch_extension
"""

from setuptools import setup
from torch.utils.cpp_extension import BuildExtension, CUDAExtension

setup(
    name="voxelize",
    version="0.1",
    ext_modules=[CUDAExtension("voxelize", ["bind.cpp", "kernel.cu"])],
    cmdclass={"build_ext": BuildExtension},
)
