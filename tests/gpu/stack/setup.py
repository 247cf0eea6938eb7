"""One of three stand-ins: our own source under the name, version and layout of a package of the stack, so
that what is said of it is said of that package. STACK_PACKAGE which; STACK_GENCODE nvcc's -gencode
options, as TORCH_CUDA_ARCH_LIST or FLASH_ATTN_CUDA_ARCHS would give them."""
import os
import subprocess
import sysconfig

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

HERE = os.path.dirname(os.path.abspath(__file__))
NVCC = os.path.join(os.environ.get("CUDA_HOME", "/usr/local/cuda"), "bin", "nvcc")
PACKAGES = {
    "udf_ext": dict(version="0.0.0", module="udf_ext", source="udf_ext.cu"),
    "torchsparse": dict(version="2.1.0", module="torchsparse.backend", source="torchsparse_backend.cu",
                        packages=["torchsparse"]),
    "flash_attn": dict(version="2.8.3", module="flash_attn_2_cuda", source="flash_attn_2_cuda.cu",
                       packages=["flash_attn"]),
}


class Nvcc(build_ext):
    def build_extension(self, ext):
        out = self.get_ext_fullpath(ext.name)
        os.makedirs(os.path.dirname(out), exist_ok=True)
        subprocess.run([NVCC, "-O2", "-shared", "-cudart", "shared", "-Xcompiler", "-fPIC", "-I", HERE,
                        "-I", sysconfig.get_paths()["include"],
                        *os.environ["STACK_GENCODE"].split(), "-o", out, *ext.sources], check=True)


name = os.environ["STACK_PACKAGE"]
chosen = PACKAGES[name]
setup(name=name, version=chosen["version"], packages=chosen.get("packages", []),
      package_dir={"": "packages"},
      ext_modules=[Extension(chosen["module"], [os.path.join(HERE, chosen["source"])], py_limited_api=True)],
      cmdclass={"build_ext": Nvcc})
