#!/usr/bin/env python3
"""kguard explain: messages as programs print them, and what is made of each."""
import os
import re
import subprocess
import sys

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
OBJDIR = os.path.abspath(os.environ.get("OBJDIR", os.path.join(ROOT, "build")))
KGUARD = os.path.join(OBJDIR, "kguard")

# A message, and the first line of each explanation, in order.
MESSAGES = [
    ("""RuntimeError: CUDA error: no kernel image is available for execution on the device
CUDA kernel errors might be asynchronously reported at some other API call, so the stacktrace below
might be incorrect. For debugging consider passing CUDA_LAUNCH_BLOCKING=1""", ["CUDA error 209"]),
    ("cupy_backends.cuda.api.driver.CUDADriverError: CUDA_ERROR_NO_BINARY_FOR_GPU: no kernel image is "
     "available for execution on the device", ["CUDA error 209"]),
    ("jaxlib.xla_extension.XlaRuntimeError: INTERNAL: Failed to load in-memory CUBIN: "
     "CUDA_ERROR_NO_BINARY_FOR_GPU", ["CUDA error 209"]),
    ("CUDA error (/__w/xformers/third_party/flash-attention/hopper/flash_fwd_launch_template.h:180): "
     "no kernel image is available for execution on the device",
     ["FlashAttention 3's kernels are for 9.0 alone", "CUDA error 209"]),
    ("Error no kernel image is available for execution on the device at line 167 in file "
     "/src/csrc/ops.cu", ["bitsandbytes failed in its CUDA library", "CUDA error 209"]),
    ("cupy.cuda.compiler.CompileException: nvrtc: error: invalid value for --gpu-architecture (-arch)",
     ["NVRTC does not know this GPU"]),
    ("ptxas fatal   : Value 'sm_120' is not defined for option 'gpu-name'",
     ["ptxas does not know this GPU"]),
    ("W external/xla/xla/stream_executor/gpu/asm_compiler.cc:234] ptxas too old. Falling back to the "
     "driver to compile.", ["ptxas does not know this GPU"]),
    ("ptxas application ptx input, line 9; fatal   : Unsupported .version 8.5; current version is '8.4'",
     ["PTX newer than the compiler or driver that got it"]),
    ("nvcc fatal   : Unsupported gpu architecture 'compute_120'", ["nvcc does not know this GPU"]),
    ("ValueError: Unknown CUDA arch (12.0) or GPU not supported",
     ["PyTorch's extension builder does not know this GPU"]),
    ("""UserWarning: NVIDIA GeForce RTX 5090 with CUDA capability sm_120 is not compatible with the current
    PyTorch installation.
The current PyTorch install supports CUDA capabilities sm_50 sm_60 sm_70 sm_75 sm_80 sm_86 sm_90.""",
     ["PyTorch's warning about its own build"]),
    ("AssertionError: SM89 kernel is not available. Make sure you GPUs with compute capability 8.9.",
     ["SageAttention's module for this GPU is not there"]),
    ("RuntimeError: FlashAttention only supports Ampere GPUs or newer.",
     ["FlashAttention 2 is not for GPUs before 8.0"]),
    ("""NotImplementedError: No operator found for `memory_efficient_attention_forward` with inputs:
`fa2F@v2.5.7-pt` is not supported because: xFormers wasn't build with CUDA support""",
     ["xformers has no operator for this GPU"]),
    ("OSError: Could not find compatible tinycudann extension for compute capability 120.",
     ["tiny-cuda-nn was built for another GPU"]),
    ("ggml/src/ggml-cuda/mmv.cu:51: ERROR: CUDA kernel mul_mat_vec has no device code compatible with "
     "CUDA arch 520. ggml-cuda.cu was compiled for: 520",
     ["ggml's kernel was compiled for another GPU"]),
    ("TensorFlow was not built with CUDA kernel binaries compatible with compute capability 12.0. CUDA "
     "kernels will be jit-compiled from PTX, which could take 30 minutes or longer.",
     ["TensorFlow will compile its kernels at the first start"]),
    ("API Usage Error (Target GPU SM 61 is not supported by this TensorRT release.)",
     ["TensorRT does not support this GPU"]),
    ("RuntimeError: Not compiled with GPU support", ["CPU-only build of a CUDA package"]),
    ("AssertionError: Torch not compiled with CUDA enabled", ["CPU-only build of a CUDA package"]),
    ("RuntimeError: cuDNN error: CUDNN_STATUS_ARCH_MISMATCH", ["a library hides the CUDA error"]),
    ("NCCL WARN Cuda failure 'named symbol not found'",
     ["NCCL reports a CUDA failure", "CUDA error 500"]),
    ("RuntimeError: CUDA error: invalid device function", ["CUDA error 98"]),
    ("RuntimeError: Triton Error [CUDA]: device kernel image is invalid", ["CUDA error 200"]),
    ("CUDA error: a PTX JIT compilation failed", ["CUDA error 218"]),
    ("CUDA_ERROR_JIT_COMPILER_NOT_FOUND", ["CUDA error 221"]),
    ("numba.cuda.cudadrv.driver.CudaAPIError: [222] Call to cuLinkAddData results in "
     "CUDA_ERROR_UNSUPPORTED_PTX_VERSION", ["CUDA error 222"]),
    ("CUDA error: the provided PTX was compiled with an unsupported toolchain.", ["CUDA error 222"]),
    ("cudaErrorJitCompilationDisabled", ["CUDA error 223"]),
    ("invalid device symbol", ["CUDA error 13"]),
    ("CUDA error: invalid resource handle", ["CUDA error 400"]),
    ("CUDA error: an illegal memory access was encountered", ["CUDA error 700"]),
    ("CUDA error: misaligned address", ["CUDA error 716"]),
    ("CUDA error: unspecified launch failure", ["CUDA error 719"]),
    ("RuntimeError: Found no NVIDIA driver on your system. Please check that you have an NVIDIA GPU and "
     "installed a driver", ["CUDA error 100"]),
    ("RuntimeError: No CUDA GPUs are available", ["CUDA error 100"]),
    ("Error 803: system has unsupported display driver / cuda driver combination", ["CUDA error 803"]),
    ("CUDA driver version is insufficient for CUDA runtime version", ["CUDA error 35"]),
    ("Error 804: forward compatibility was attempted on non supported HW", ["CUDA error 804"]),
    ("ggml: CUDA error 209 in function x", ["CUDA error 209"]),
    ("no kernel image", ["CUDA error 209"]),
    ("kguard[42]: error[KG103]: kernel k has PTX newer than the driver", ["KG103"]),
]
UNKNOWN = ["ZeroDivisionError: division by zero", "error 1234", "errors: none", "KG999", "999", "kg",
           "4294967505", "KG4294967397",
           "the background is blank", "an error while reading chapter 209"]


def explain(*arguments, text=None):
    return subprocess.run([KGUARD, "explain", *arguments], stdout=subprocess.PIPE, timeout=30,
                          stderr=subprocess.PIPE, encoding="utf-8", input=text)


def titles(output):
    """Of each explanation: separated by an empty line; a reason code's has one within."""
    blocks = output.split("\n\n")
    return [re.match(r"(KG\d+|CUDA error \d+|.*)", block).group() for block in blocks
            if re.match(r"KG|[^\n]*\n(names|means) ", block)]


def check(good, what, result):
    if not good:
        print(f"FAIL {what}\n  exit {result.returncode}: {result.stdout}{result.stderr}")
    return good


def main():
    good = True
    for message, want in MESSAGES:
        for result in (explain(message), explain("-", text=message), explain(*message.split())):
            good &= check((result.returncode, titles(result.stdout)) == (0, want), message, result)
            lines = result.stdout.splitlines()
            good &= check(all(len(line) <= 100 for line in lines), f"too wide: {message}", result)
    for text in UNKNOWN:
        result = explain(text)
        good &= check(result.returncode == 1 and not result.stdout and "nothing is known" in result.stderr,
                      text, result)
    result = explain("KG101", "209", "kg204")
    good &= check(titles(result.stdout) == ["KG101", "CUDA error 209", "KG204"], "codes", result)
    result = explain("nvcc fatal : Unsupported gpu architecture 'compute_120'")
    good &= check("sm_120: CUDA 12.8 and later makes code for it, PyTorch >= 2.7" in result.stdout,
                  "the GPU that the text names", result)
    result = explain("nvcc fatal : Unsupported gpu architecture 'compute_70'")
    good &= check("sm_70: CUDA 9.0 to 12.9 makes code for it" in result.stdout, "a dropped GPU", result)
    result = explain("-", text="x" * 3000000)
    good &= check(result.returncode == 1, "a long text", result)
    good &= check(explain().returncode == 2, "nothing", result)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
